"""The states of `Recurrent`, in the convention of torch.nn.LSTM.

Converts the caller's states, or None, to the first states of each layer and direction, in the order of the
rows of `Sequences`; and back.

The caller's form is a tuple: the states of the cell in the order of its header, each [layers * directions, B,
H]; then `earlier` if a cell uses `before(...)`: a list of delayed values, by layer and direction, B second to
last; then `steps` if a cell has a clock, int64 [B].
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cellsearch.compiler.torch.sequences import Sequences
from cellsearch.errors import CellError, plural


@dataclass(frozen=True)
class Form:
    """The entries of the tuple."""

    names: tuple[str, ...]  # the states of the cell
    earlier: bool
    steps: bool

    @property
    def extras(self) -> tuple[str, ...]:
        """The entries after the states."""
        return ("earlier",) * self.earlier + ("steps",) * self.steps


def read(
    form: Form, given: Any, fresh: list[list[Tensor]], sequences: Sequences
) -> tuple[list[list[Tensor]], Tensor]:
    """The first states of each layer and direction, in the form of `fresh`, and the number of the first step,
    int64 [B].

    `fresh` replaces missing states. Raises CellError if given states do not fit.
    """
    like = sequences.rows
    start = torch.zeros(sequences.batch, dtype=torch.int64, device=like.device)
    if given is None:
        return fresh, start
    values = [given] if isinstance(given, Tensor) else list(given) if isinstance(given, (tuple, list)) else []
    count = len(form.names)
    if len(values) not in (count, count + len(form.extras)):
        names = ", ".join([*form.names, *form.extras])
        what = f"{len(values)}" if isinstance(given, (Tensor, tuple, list)) else f"a {type(given).__name__}"
        raise CellError(f"it has {count + len(form.extras)} states ({names}), not {what}")
    hidden = fresh[0][0].shape[-1]
    shape = (len(fresh), hidden) if sequences.single else (len(fresh), sequences.batch, hidden)
    own = []
    for name, value in zip(form.names, values, strict=False):
        _check(f"state {name}", value, shape, like, "[layers * directions, B, H]")
        own.append(sequences.to_rows(value.unsqueeze(1) if sequences.single else value, 1))
    extra = dict(zip(form.extras, values[count:], strict=False))
    if "steps" in extra:
        steps = extra["steps"]
        _check("state steps", steps, () if sequences.single else (sequences.batch,), start, "[B]")
        start = sequences.to_rows(steps.reshape(-1), 0)
    earlier = [layer[count:] for layer in fresh]
    if "earlier" in extra:
        earlier = _earlier(extra["earlier"], earlier, sequences)
    return [[*(v[k] for v in own), *looked] for k, looked in enumerate(earlier)], start


def give(form: Form, last: Sequence[Sequence[Tensor]], start: Tensor, sequences: Sequences) -> Any:
    """The last states in the caller's form: a tensor if there is one, else a tuple."""
    count = len(form.names)

    def out(value: Tensor, axis: int) -> Tensor:
        value = sequences.to_caller(value, axis)
        return value.squeeze(axis) if sequences.single else value

    packed: list[Any] = [out(torch.stack([layer[k] for layer in last]), 1) for k in range(count)]
    if form.earlier:
        packed.append([out(v, -2) for layer in last for v in layer[count:]])
    if form.steps:
        packed.append(out(start + sequences.lengths().to(start.device), 0))
    return packed[0] if len(packed) == 1 else tuple(packed)


def _earlier(given: Any, fresh: list[list[Tensor]], sequences: Sequences) -> list[list[Tensor]]:
    count = sum(map(len, fresh))
    if not isinstance(given, (tuple, list)) or len(given) not in (0, count):
        count_given = len(given) if isinstance(given, (tuple, list)) else f"a {type(given).__name__}"
        raise CellError(
            f"state earlier must be what a call gave, a list of {plural(count, 'tensor')}, not {count_given}"
        )
    if not given:
        return fresh
    left, single = iter(given), sequences.single
    found = []
    for layer in fresh:
        values = []
        for like in layer:
            value, shape = next(left), (*like.shape[:-2], *like.shape[-1 if single else -2 :])
            _check("a tensor of state earlier", value, shape, sequences.rows, "[..., B, width]")
            values.append(sequences.to_rows(value.unsqueeze(-2) if single else value, -2))
        found.append(values)
    return found


def _check(what: str, value: Any, shape: tuple[int, ...], like: Tensor, axes: str) -> None:
    if not isinstance(value, Tensor):
        raise CellError(f"{what} must be a tensor {list(shape)}, not a {type(value).__name__}")
    if tuple(value.shape) != shape:
        raise CellError(f"{what} must be {list(shape)}, which is {axes}, not {list(value.shape)}")
    check_like(what, value, like, "the input")


def check_like(what: str, value: Tensor, like: Tensor, other: str) -> None:
    """Raises CellError unless two tensors have the same dtype and device."""
    for name, found, wanted in (("dtype", value.dtype, like.dtype), ("device", value.device, like.device)):
        if found != wanted:
            argument = wanted if name == "dtype" else repr(str(wanted))
            raise CellError(f"the {name} of {what} is {found}, that of {other} {wanted}: use .to({argument})")


def cast(given: Any, dtype: torch.dtype) -> Any:
    """States with all floating-point numbers in `dtype`; integers stay."""
    if isinstance(given, Tensor):
        return given.to(dtype) if given.is_floating_point() else given
    return [cast(v, dtype) for v in given] if isinstance(given, (tuple, list)) else given
