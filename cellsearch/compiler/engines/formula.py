"""Formulas of the op table as torch functions."""

import ast
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from cellsearch.dsl.ops import INTRINSICS, Op

#: Each function of the op table's arithmetic in torch; the reductions run along the last axis, the units.
TORCH: dict[str, Callable[..., Tensor]] = {
    **{name: getattr(torch, name) for name in INTRINSICS},
    "mean": lambda a: a.mean(-1, keepdim=True),
    "total": lambda a: a.sum(-1, keepdim=True),
    "highest": lambda a: a.amax(-1, keepdim=True),
    "sums_before": lambda a: a.cumsum(-1),
    "sums_behind": lambda a: a.flip(-1).cumsum(-1).flip(-1),
}


@lru_cache(maxsize=256)
def function(formula: str, arguments: tuple[str, ...]) -> Callable[..., Any]:
    """A formula of the op table as a function of tensors. The text comes from the table, never from a
    file."""
    # with the builtins: torch imports what it needs when it first needs it, and looks for `__import__` there
    return eval(f"lambda {', '.join(arguments)}: {formula}", dict(TORCH))


def apply(op: Op, *args: Tensor) -> Tensor:
    """The value of an op."""
    return function(op.forward, ("a", "b")[: op.arity])(*args)


def constant(formula: str, values: Mapping[str, float]) -> float:
    """The value of a formula whose arguments are numbers, in float64."""
    arguments = dict(values)

    class Lift(ast.NodeTransformer):  # numbers become arguments too: `where` takes tensors alone
        def visit_Constant(self, node: ast.Constant) -> ast.AST:
            name = f"number_{len(arguments)}"
            arguments[name] = float(node.value)  # type: ignore[arg-type]
            return ast.Name(name)

    text = ast.unparse(Lift().visit(ast.parse(formula, mode="eval")))
    tensors = (torch.tensor(value, dtype=torch.float64) for value in arguments.values())
    return float(function(text, tuple(arguments))(*tensors))
