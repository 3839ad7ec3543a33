"""The values a training run can take: one setting, the grid of all settings, and the training schedule.

Torch-free, so that search spaces and leaderboards read it without loading torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from math import prod
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Setting:
    """One assignment of hyperparameters (Jozefowicz et al. 2015, section 3.7)."""

    init_scale: float  # s: weights start in U[-s/sqrt(H), s/sqrt(H)]
    learning_rate: float
    max_norm: float  # the gradient of a member is scaled down to this norm
    layers: int
    parameters: int  # target size of the whole model; the width H follows by bisection


@dataclass(frozen=True, slots=True)
class Grid:
    """All allowed settings: the product of the values of each hyperparameter.

    A setting is known by its index: mixed radix over the fields in the order of `Setting`, the last one
    fastest.
    """

    init_scale: tuple[float, ...]
    learning_rate: tuple[float, ...]
    max_norm: tuple[float, ...]
    layers: tuple[int, ...]
    parameters: tuple[int, ...]

    def __len__(self) -> int:
        return prod(len(getattr(self, f.name)) for f in fields(self))

    def __getitem__(self, index: int) -> Setting:
        if not 0 <= index < len(self):
            raise IndexError(f"setting {index} of a grid of {len(self)}")
        chosen: dict[str, float | int] = {}
        for f in reversed(fields(self)):
            values = getattr(self, f.name)
            index, k = divmod(index, len(values))
            chosen[f.name] = values[k]
        return Setting(**chosen)  # type: ignore[arg-type]


def key(setting: Setting) -> str:
    """The canonical text of a setting, by which records know it: every value under its name, in the order of
    the fields; equal values give equal texts, in a grid and outside of one."""
    values = ((f.name, f.type, getattr(setting, f.name)) for f in fields(setting))
    return " ".join(f"{name}={int(v) if kind is int else float(v)!r}" for name, kind, v in values)


@lru_cache(maxsize=64)
def keys(grid: Grid) -> Mapping[str, int]:
    """The key of each setting of a grid and its index, in the order of the grid."""
    return MappingProxyType({key(grid[index]): index for index in range(len(grid))})


@dataclass(frozen=True, slots=True)
class Training:
    """How a model is trained (Jozefowicz et al. 2015, sections 3.6 and 3.7)."""

    batch: int = 20  # B, parallel streams
    steps: int = 35  # T, the window of truncated backpropagation
    patience: int = 3  # epochs without improvement on the validation part before the rate is lowered
    # Then the rate is multiplied by `factor` at every epoch, this many times, and training stops.
    halvings: int = 4
    factor: float = 0.5
    max_epochs: int | None = None  # the paper has no limit; small spaces have one
    # What "gradient divided by minibatch size" (section 3.7) means for a window of T steps of B streams: the
    # `sum` of the losses divided by B, or their `mean` over the positions that are scored. Rates and norms
    # mean different things under each: where all are scored, the gradients differ by the factor T.
    gradient: str = "sum"
    dtype: str = "float32"
    # Not of the paper: after each of these epochs only the best share `keep` of the settings that are still
    # in training goes on (`halving`). Without them every setting is trained to its end.
    rungs: tuple[int, ...] = ()
    keep: float = 0.5
