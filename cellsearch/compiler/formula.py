"""Formulas of the op table as torch functions."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from cellsearch.dsl.ops import INTRINSICS, Op

#: Each intrinsic of the op table's arithmetic in torch.
TORCH: dict[str, Callable[..., Tensor]] = {name: getattr(torch, name) for name in INTRINSICS}


@lru_cache(maxsize=256)
def function(formula: str, arguments: tuple[str, ...]) -> Callable[..., Any]:
    """A formula of the op table as a function of tensors. The text comes from the table, never from a
    file."""
    return eval(f"lambda {', '.join(arguments)}: {formula}", {"__builtins__": {}, **TORCH})


def apply(op: Op, *args: Tensor) -> Tensor:
    """The value of an op."""
    return function(op.forward, ("a", "b")[: op.arity])(*args)
