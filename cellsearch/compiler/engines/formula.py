"""Formulas of the op table as torch functions."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from cellsearch.dsl.formulas.form import INTRINSICS, REDUCTIONS, Call, Formula, Number
from cellsearch.dsl.formulas.python import python
from cellsearch.dsl.formulas.sharing import share
from cellsearch.dsl.ops import Op

#: Each function of the op table's arithmetic in torch; the reductions run along the last axis, the units.
TORCH: dict[str, Callable[..., Tensor]] = {
    **{name: getattr(torch, name) for name in INTRINSICS},
    "mean": lambda a: a.mean(-1, keepdim=True),
    "total": lambda a: a.sum(-1, keepdim=True),
    "highest": lambda a: a.amax(-1, keepdim=True),
    "sums_before": lambda a: a.cumsum(-1),
    "sums_behind": lambda a: a.flip(-1).cumsum(-1).flip(-1),
}
assert TORCH.keys() == {*INTRINSICS, *REDUCTIONS}


#: The function for a choice between a value and a number, see `_filled`.
_CHOICES: dict[str, Callable[..., Tensor]] = {"fill": torch.masked_fill, "opposite": torch.logical_not}


def text(of: Formula) -> str:
    """A formula as Python text over the functions of `TORCH`, and `inf` and `nan`."""
    return python(_filled(of), lambda name, args: f"{name}({', '.join(args)})")


def _filled(of: Formula) -> Formula:
    """The formula with `masked_fill` for choices between a number and a value. torch's `where` turns a number
    into a CPU tensor and copies it to the device, which synchronises and cannot be captured in a graph."""
    if not isinstance(of, Call):
        return of
    args = tuple(map(_filled, of.args))
    match of.function, args:
        case "where", (test, Number() as number, no):
            return Call("fill", (no, test, number))
        case "where", (test, yes, Number() as number):
            return Call("fill", (yes, Call("opposite", (test,)), number))
    return Call(of.function, args)


def compiled(lines: Sequence[str], scope: dict[str, Any]) -> Callable[..., Any]:
    """The function `kernel` that the lines define. They consist of rows of the op table and numbers, never of
    a file's text."""
    names = {**TORCH, **_CHOICES, "inf": float("inf"), "nan": float("nan"), **scope}
    exec(compile("\n".join(lines), "<kernel>", "exec"), names)
    function: Callable[..., Any] = names["kernel"]
    return function


@lru_cache(maxsize=256)
def function(of: Formula, arguments: tuple[str, ...]) -> Callable[..., Any]:
    """A formula as a function of tensors, for autograd too."""
    lets, (result,) = share((), (of,))
    lines = [f"    {name} = {text(value)}" for name, value in lets]
    return compiled([f"def kernel({', '.join(arguments)}):", *lines, f"    return {text(result)}"], {})


def apply(op: Op, *args: Tensor) -> Tensor:
    """The value of an op."""
    return function(op.value, ("a", "b")[: op.arity])(*args)
