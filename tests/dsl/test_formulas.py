"""Formulas of the op table as values: one form, and the same numbers whichever way they are written."""

from collections import Counter
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellsearch.compiler.engines import formula as torch_formula
from cellsearch.dsl.formulas.evaluate import NUMPY, evaluate, fold
from cellsearch.dsl.formulas.form import (
    CONDITIONS,
    INTRINSICS,
    REDUCTIONS,
    SIGNS,
    Call,
    Formula,
    Number,
    Variable,
    formula,
    functions,
    parts,
    substitute,
    variables,
)
from cellsearch.dsl.formulas.python import python
from cellsearch.dsl.formulas.sharing import share
from cellsearch.dsl.ops import TABLE

TEXTS = sorted({text for op in TABLE for text in (op.forward, *op.derivatives)})
UNARY = ("neg", "sigmoid", "tanh", "sin", "cos", "erf", "abs", "exp")
LEAVES = st.one_of(
    st.sampled_from([Variable("a"), Variable("b")]),
    st.sampled_from([Number(0.0), Number(-0.5), Number(1.0), Number(3.0)]),
)


def calls(values: st.SearchStrategy[Formula]) -> st.SearchStrategy[Formula]:
    """One more call on top of `values`."""
    pairs = st.tuples(values, values)
    comparisons = st.builds(Call, st.sampled_from(["lt", "le", "gt", "ge", "ne"]), pairs)
    joined = st.builds(Call, st.sampled_from(["or", "and"]), st.tuples(comparisons, comparisons))
    conditions = st.one_of(comparisons, joined)
    return st.one_of(
        st.builds(lambda name, a: Call(name, (a,)), st.sampled_from(UNARY), values),
        st.builds(Call, st.sampled_from(["add", "sub", "mul", "div"]), pairs),
        st.builds(lambda test, sides: Call("where", (test, *sides)), conditions, pairs),
    )


FORMULAS = st.recursive(LEAVES, calls, max_leaves=12)
AT = {"a": np.array([-2.0, -0.5, 0.0, 1.5]), "b": np.array([0.5, -0.5, 3.0, 0.0])}


def written(of: Formula) -> str:
    return python(of, lambda name, args: f"{name}({', '.join(args)})")


def numbers(of: Formula) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.broadcast_to(evaluate(of, AT), 4).astype(np.float64)


@pytest.mark.parametrize("text", TEXTS)
def test_a_formula_is_read_back_from_its_text(text: str) -> None:
    assert formula(written(formula(text))) == formula(text)


@given(FORMULAS)
def test_python_reads_the_text_as_it_was_meant(of: Formula) -> None:
    """Python's own rules of precedence are the judge: `a - (b - c)`, `-(a + b)`, `(a > b) | (a != a)`."""
    with np.errstate(all="ignore"), suppress(ZeroDivisionError):  # of two numbers, which Python raises
        found = eval(written(of), {"__builtins__": {}}, {**NUMPY, **AT, "inf": np.inf, "nan": np.nan})
        np.testing.assert_array_equal(np.broadcast_to(found, 4), numbers(of))


@given(FORMULAS)
def test_folding_keeps_the_value_and_leaves_no_call_of_numbers(of: Formula) -> None:
    folded = fold(of)
    np.testing.assert_array_equal(numbers(folded), numbers(of))
    for part in parts(folded):
        assert not isinstance(part, Call) or not all(isinstance(arg, Number) for arg in part.args)
        if isinstance(part, Call) and part.function in ("where", "or", "and"):
            assert not isinstance(part.args[0], Number)


def test_a_reduction_of_a_number_is_not_folded() -> None:
    """The sum over the units depends on how many there are."""
    assert fold(formula("total(2 * 3)")) == Call("total", (Number(6.0),))


@pytest.mark.long
@given(st.lists(FORMULAS, min_size=1, max_size=4), st.lists(FORMULAS, min_size=1, max_size=3))
def test_shared_kernels_compute_the_same_and_nothing_twice(
    lets: list[Formula], results: list[Formula]
) -> None:
    """Each let may read the ones before it: here every `b` of one is the let before."""
    given_lets, known = [], {}
    for k, of in enumerate(lets):
        given_lets.append((f"v{k}", substitute(of, {"b": Variable(f"v{k - 1}")}) if k else of))
    ends = [substitute(of, {"b": Variable(f"v{len(lets) - 1}")}) for of in results]
    with np.errstate(all="ignore"):
        for name, of in given_lets:
            known[name] = evaluate(of, {**AT, **known})
        wanted = [np.broadcast_to(evaluate(of, {**AT, **known}), 4) for of in ends]
        found, at = share(given_lets, ends), dict(AT)
        for name, of in found[0]:
            assert variables(of) <= at.keys(), "each let reads earlier ones"
            at[name] = evaluate(of, at)
        for of, value in zip(found[1], wanted, strict=True):
            np.testing.assert_array_equal(np.broadcast_to(evaluate(of, at), 4), value)
    every = Counter(
        p for of in (*(f for _, f in found[0]), *found[1]) for p in parts(of) if isinstance(p, Call)
    )
    assert all(count == 1 for part, count in every.items() if part.function not in CONDITIONS)


def test_a_call_that_stands_twice_gets_one_variable() -> None:
    lets, (result,) = share((), (formula("(a - mean(a)) / sqrt(mean((a - mean(a)) * (a - mean(a))))"),))
    assert [written(of) for _, of in lets] == ["a - mean(a)"]
    name = lets[0][0]
    assert written(result) == f"{name} / sqrt(mean({name} * {name}))"


def test_every_printer_and_the_numbers_know_every_function() -> None:
    every = {*INTRINSICS, *REDUCTIONS}
    assert NUMPY.keys() == every | SIGNS.keys()
    assert torch_formula.TORCH.keys() == every
    assert functions(formula("where(a > 0, exp(a), mean(a))")) == {"where", "exp", "mean"}


@pytest.mark.parametrize(
    "text", ["a ** 2", "a if b else a", "a.b", "f(a)", "'a'", "a < b < a", "not a", "[a]"]
)
def test_what_is_no_formula_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a formula"):
        formula(text)


def test_no_row_chooses_between_two_numbers() -> None:
    """Which type such a value has would depend on the engine: torch would make it float32."""
    for op in TABLE:
        for of in (op.value, *op.gradients):
            for part in parts(of):
                if isinstance(part, Call) and part.function == "where":
                    assert not all(isinstance(side, Number) for side in part.args[1:]), op.name
