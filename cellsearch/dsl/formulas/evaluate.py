"""Formulas over numpy: evaluation and constant folding.

Constants are folded once, in float64, for every engine: the generated code has plain numbers, not
zero-dimensional tensors, which would have to be copied to a GPU.
"""

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from cellsearch.dsl.formulas.form import REDUCTIONS, Call, Formula, Number, Variable

Array = Any  # of float64 or bool

#: Each operator, function and reduction in numpy; reductions run along the last axis, the units.
NUMPY: dict[str, Callable[..., Array]] = {
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "ne": operator.ne,
    "or": np.logical_or,
    "and": np.logical_and,
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": np.true_divide,
    "neg": operator.neg,
    "sigmoid": lambda a: 0.5 * (1 + np.tanh(0.5 * a)),
    "tanh": np.tanh,
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "expm1": np.expm1,
    "sqrt": np.sqrt,
    "sin": np.sin,
    "cos": np.cos,
    "erf": np.vectorize(math.erf, otypes=[np.float64]),
    "abs": np.abs,
    "where": np.where,
    "mean": lambda a: a.mean(-1, keepdims=True),
    "total": lambda a: a.sum(-1, keepdims=True),
    "highest": lambda a: a.max(-1, keepdims=True),
    "sums_before": lambda a: np.cumsum(a, -1),
    "sums_behind": lambda a: np.flip(np.cumsum(np.flip(a, -1), -1), -1),
}


def evaluate(of: Formula, values: Mapping[str, Array]) -> Array:
    """The value of a formula in float64. Overflow gives inf and undefined values NaN, with numpy's
    warnings."""
    match of:
        case Number(value):
            return np.float64(value)
        case Variable(name):
            return values[name]
        case Call(function, args):
            return NUMPY[function](*(evaluate(arg, values) for arg in args))


def fold(of: Formula) -> Formula:
    """The formula with constants folded: a call of numbers becomes a number (except reductions, which depend
    on the number of units), and a `where` with a constant condition becomes one of its branches."""
    if not isinstance(of, Call):
        return of
    args = tuple(map(fold, of.args))
    match of.function, args:
        case "where", (Number(test), yes, no):
            return yes if test else no
        case "neg", (Number(value),):
            return Number(-value)
        case ("or" | "and") as function, (Number(test), other) | (other, Number(test)):
            return Number(test) if bool(test) == (function == "or") else other
    if of.function not in REDUCTIONS and all(isinstance(arg, Number) for arg in args):
        with np.errstate(all="ignore"):
            return Number(float(evaluate(Call(of.function, args), {})))
    return Call(of.function, args)
