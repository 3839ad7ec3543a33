"""The op table, row by row: derivatives, ties, numbers that are none, and how it is written."""

import math

import numpy as np
import pytest

from cellsearch.dsl.formulas.form import INTRINSICS, REDUCTIONS, functions
from cellsearch.dsl.limits import check_name
from cellsearch.dsl.ops import INFIX, OPS, PREFIX, TABLE, Kind, Op
from cellsearch.dsl.text import parse, show

FUNCTIONS = {name: getattr(np, name) for name in INTRINSICS if name not in ("sigmoid", "erf")}
FUNCTIONS |= {
    "sigmoid": lambda a: 0.5 * (1 + np.tanh(a / 2)),
    "erf": np.vectorize(math.erf, otypes=[float]),
    "mean": lambda a: a.mean(-1, keepdims=True),
    "total": lambda a: a.sum(-1, keepdims=True),
    "highest": lambda a: a.max(-1, keepdims=True),
    "sums_before": lambda a: np.cumsum(a, -1),
    "sums_behind": lambda a: np.flip(np.cumsum(np.flip(a, -1), -1), -1),
}
UNITS = 8  # the last axis
ROWS = pytest.mark.parametrize("op", TABLE, ids=lambda op: op.name)


def evaluate(formula: str, **values: np.ndarray) -> np.ndarray:
    """A formula by Python's own reading of it."""
    with np.errstate(all="ignore"):
        return np.asarray(eval(formula, {"__builtins__": {}}, {**FUNCTIONS, **values}), dtype=np.float64)


def samples(op: Op) -> dict[str, np.ndarray]:
    """Arguments inside the op's domain, away from kinks and ties."""
    rng = np.random.default_rng(0)
    found = {}
    for name in "ab"[: op.arity]:
        found[name] = rng.uniform(*op.domain, (60, UNITS))
    keep = np.ones((60, UNITS), dtype=bool)
    for values in found.values():
        for kink in op.kinks:
            keep &= np.abs(values - kink) > 1e-3
    if op.arity == 2:
        keep &= np.abs(found["a"] - found["b"]) > 1e-3
    if op.kind is Kind.UNITS:
        assert keep.all(), "units belong together"
        return found
    return {name: values[keep] for name, values in found.items()}


@ROWS
def test_derivatives_are_those_of_the_forward_formula(op: Op) -> None:
    at, step = samples(op), 1e-6
    shape = at["a"].shape
    y, g = evaluate(op.forward, **at), np.random.default_rng(1).uniform(-2, 2, shape)
    # all at once where every unit stands for itself, else one after the other
    single = np.eye(UNITS) if op.kind is Kind.UNITS else np.ones((1, 1))
    for name, derivative in zip("ab", op.derivatives, strict=False):
        expected = np.zeros(shape)
        for which in single:
            up = evaluate(op.forward, **{**at, name: at[name] + step * which})
            down = evaluate(op.forward, **{**at, name: at[name] - step * which})
            change = g * (up - down) / (2 * step)
            if op.kind is Kind.UNITS:
                change = which * change.sum(-1, keepdims=True)
            expected += change
        found = np.broadcast_to(evaluate(derivative, **at, y=y, g=g), expected.shape)
        np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-8)


@ROWS
def test_kept_is_what_the_derivatives_read(op: Op) -> None:
    at = samples(op)
    values = {**at, "y": evaluate(op.forward, **at)}
    for derivative in op.derivatives:
        evaluate(derivative, **{name: values[name] for name in op.keeps}, g=np.ones(at["a"].shape))


@ROWS
def test_what_is_no_number_stays_none(op: Op) -> None:
    bad, good = np.array([np.nan]), np.array([0.7])
    for name in "ab"[: op.arity]:
        arguments = dict.fromkeys("ab"[: op.arity], good) | {name: bad}
        assert np.isnan(evaluate(op.forward, **arguments)).all(), name


@ROWS
def test_commutative_rows_commute(op: Op) -> None:
    if op.arity == 2:
        a, b = np.array([2.0, -1.5]), np.array([0.5, 3.0])
        same = np.array_equal(evaluate(op.forward, a=a, b=b), evaluate(op.forward, a=b, b=a))
        tied = op.name in ("max", "min")  # the value commutes, the gradient of a tie does not
        assert op.commutative == (same and not tied)


@pytest.mark.parametrize("name", ["max", "min"])
def test_a_tie_belongs_to_the_first_argument(name: str) -> None:
    tie, g = np.zeros(3), np.ones(3)
    first, second = (evaluate(d, a=tie, b=tie, y=tie, g=g) for d in OPS[name].derivatives)
    assert first.tolist() == [1, 1, 1]
    assert second.tolist() == [0, 0, 0]


def test_the_derivative_of_relu_at_zero_is_zero() -> None:
    zero = np.zeros(1)
    assert evaluate(OPS["relu"].derivatives[0], a=zero, y=zero, g=np.ones(1)).tolist() == [0]


def test_large_arguments_overflow_nowhere_but_where_they_must() -> None:
    far = np.array([-800.0, 800.0])
    for op in TABLE:
        if op.arity == 1 and op.name not in ("exp", "log", "sqrt"):
            assert np.isfinite(evaluate(op.forward, a=far)).all(), op.name


@ROWS
def test_latex_has_a_slot_for_each_argument(op: Op) -> None:
    letters = ("ALPHA", "BETA")[: op.arity]
    filled = op.latex.format(*letters)
    assert all(letter in filled for letter in letters)
    for pair in ("()", "{}", "[]"):
        assert filled.count(pair[0]) == filled.count(pair[1])


@ROWS
def test_every_row_can_be_written(op: Op) -> None:
    arguments = ["x", "h"][: op.arity]
    signed = f"{op.symbol}x" if op.arity == 1 else f"x {op.symbol} h"
    called = f"{op.name}({', '.join(arguments)})"
    text = f"cell t(x; h)\nh' = {signed if op.symbol else called}\n"
    assert show(parse(text)) == text
    assert check_name(op.name) == f"{op.name!r} is the name of an op"


def test_signs_are_unique() -> None:
    assert set(INFIX) == {"+", "-", "*", "/"}
    assert set(PREFIX) == {"-"}
    assert len(OPS) == len(TABLE)


@ROWS
def test_values_fill_their_span(op: Op) -> None:
    low, high = op.span
    if op.arity == 2:
        assert (low, high) == (-np.inf, np.inf)
        return
    start = 1e-9 if op.domain[0] > 0 else -1e4
    a = np.concatenate([np.linspace(start, 1e4, 20_001), np.linspace(max(start, -10), 10, 2001)])
    rounding = 0.0
    if op.kind is Kind.UNITS:
        a, rounding = 10 * np.random.default_rng(2).standard_normal((2000, UNITS)), 1e-15
    y = evaluate(op.forward, a=a)
    assert low - rounding <= y.min() and y.max() <= high + rounding
    assert y.min() < low + 0.01 if np.isfinite(low) else y.min() < -1
    assert y.max() > high - 0.01 if np.isfinite(high) else y.max() > 1


def test_ops_over_the_units_are_what_their_names_say() -> None:
    a = np.random.default_rng(3).normal(2, 5, (50, UNITS))
    norm, shares, sums = (evaluate(OPS[name].forward, a=a) for name in ("norm", "softmax", "cumax"))
    np.testing.assert_allclose(norm.mean(-1), 0, atol=1e-14)
    np.testing.assert_allclose(
        norm, (a - a.mean(-1, keepdims=True)) / np.sqrt(a.var(-1, keepdims=True) + 1e-5)
    )
    np.testing.assert_allclose(shares.sum(-1), 1)
    np.testing.assert_allclose(shares[:, 0] / shares[:, 1], np.exp(a[:, 0] - a[:, 1]))
    np.testing.assert_allclose(sums, np.cumsum(shares, -1))
    np.testing.assert_allclose(evaluate(OPS["norm"].forward, a=np.full((1, UNITS), 3.0)), 0)
    np.testing.assert_allclose(evaluate(OPS["softmax"].forward, a=a - 1000), shares, rtol=1e-10)


def test_only_ops_over_the_units_reduce() -> None:
    for op in TABLE:
        called = set().union(*(functions(f) for f in (op.value, *op.gradients)))
        assert (op.kind is Kind.UNITS) == bool(called & set(REDUCTIONS)), op.name
        assert op.arity == (2 if op.kind is Kind.COMBINE else 1)


@pytest.mark.parametrize("name", [op.name for op in TABLE if op.kind is Kind.UNITS])
def test_ops_over_the_units_take_a_bracket_as_any_op_does(name: str) -> None:
    text = f"cell t(x; h)\nh' = {name}[x, h] * {name}(h)\n"
    assert show(parse(text)) == text
