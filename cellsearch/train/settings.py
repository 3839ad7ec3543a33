"""Values for training: a setting, the grid of all settings, and the schedule.

Torch-free, so that search spaces and leaderboards read it without loading torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from math import prod
from types import MappingProxyType

from cellsearch.options import option


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

    A setting is identified by its index: mixed radix over the fields in the order of `Setting`, the last one
    fastest.
    """

    # The defaults are those of the bundled space `quick`: six settings with rates and scales for small models
    # and short epochs, so that a space with only tasks gives a result within minutes.
    init_scale: tuple[float, ...] = option(
        (1.0, 1.4), "s: initial weights are drawn from U[-s/sqrt(H), s/sqrt(H)]", low=1e-6, high=1e3
    )
    learning_rate: tuple[float, ...] = option(
        (0.25, 0.5, 1.0), "learning rate of plain SGD before the first halving", low=1e-9, high=1e3
    )
    max_norm: tuple[float, ...] = option(
        (2.5,), "maximum norm of a gradient; larger ones are scaled down to it", low=1e-6, high=1e9
    )
    layers: tuple[int, ...] = option((1,), "number of stacked layers of the cell", low=1, high=64)
    parameters: tuple[int, ...] = option(
        (10_000,),
        "target size of the whole model, including embedding and output; the width follows by bisection",
        low=100,
        high=1e10,
    )

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
    """The canonical text of a setting, its key in records: every value with its name, in the order of the
    fields; equal values give equal texts, inside and outside of a grid."""
    values = ((f.name, f.type, getattr(setting, f.name)) for f in fields(setting))
    return " ".join(f"{name}={int(v) if kind is int else float(v)!r}" for name, kind, v in values)


def values(key: str) -> dict[str, float | int]:
    """The values of a setting by name, from its canonical text."""
    kinds = {f.name: f.type for f in fields(Setting)}
    pairs = (word.partition("=") for word in key.split())
    return {name: int(v) if kinds.get(name) is int else float(v) for name, _, v in pairs}


@lru_cache(maxsize=64)
def keys(grid: Grid) -> Mapping[str, int]:
    """The key of each setting of a grid and its index, in the order of the grid."""
    return MappingProxyType({key(grid[index]): index for index in range(len(grid))})


@dataclass(frozen=True, slots=True)
class Training:
    """The training schedule of a model (Jozefowicz et al. 2015, sections 3.6 and 3.7)."""

    batch: int = option(20, "parallel sequences per minibatch [3.7]", low=1, high=100_000)
    steps: int = option(35, "steps per window of truncated backpropagation [3.7]", low=1, high=100_000)
    patience: int = option(
        3,
        "epochs without a lower validation loss before the learning rate is reduced [3.6]",
        low=1,
        high=10_000,
    )
    halvings: int = option(
        4,
        "epochs with a reduced rate, each lower than the previous one; then training ends",
        low=0,
        high=10_000,
    )
    factor: float = option(0.5, "factor of the learning rate at each halving", low=1e-6, high=1)
    max_epochs: int | None = option(
        None, "maximum number of epochs; the paper has none, small spaces do", low=1, high=1_000_000
    )
    gradient: str = option(
        "sum",
        "reading of 'gradient divided by minibatch size' (section 3.7): the sum of the losses of a window "
        "divided by `batch`, or their mean over the scored positions. Rates and norms depend on the reading: "
        "if all positions are scored, the gradients differ by the factor `steps`",
        choices=("sum", "mean"),
    )
    dtype: str = option("float32", "floating-point type of training", choices=("float32", "float64"))
    rungs: tuple[int, ...] = option(
        (),
        "successive halving: epochs after which only the best share `keep` of a trial's settings continues; "
        "without rungs every setting is trained to its end (not in the paper)",
        low=1,
        high=1_000_000,
        allowed="a list of whole numbers from 1 to 1,000,000 in ascending order; it may be empty",
    )
    keep: float = option(0.5, "share of the settings that continue after a rung", low=0, high=1)
