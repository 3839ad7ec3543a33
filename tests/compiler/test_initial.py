"""Initial values that are drawn: distributions and ops of them, compiled and exported."""

import math
from itertools import pairwise

import pytest
import torch

from cellsearch.compiler.run import stack as stacks
from cellsearch.compiler.run.layout import named
from cellsearch.compiler.run.structures import initialise
from cellsearch.compiler.torch.recurrent import Recurrent
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.identity.functional import functional_fingerprint
from cellsearch.dsl.initial import APPLIED, DISTRIBUTIONS, Drawn, moved, negative, parts, wrong
from cellsearch.dsl.ops import OPS
from cellsearch.dsl.printer import initial
from cellsearch.dsl.text import parse, show
from cellsearch.exporters.latex import latex
from cellsearch.exporters.torch.check import check
from cellsearch.exporters.torch.source import torch_source
from cellsearch.study.mutation.templates import bias

TEXT = "cell a(x; h)\nh' = tanh[x, h, bias={}]\n"

#: What is written, and the cumulative distribution of what is drawn.
CASES = {
    "uniform(-1, 3)": lambda v: (v + 1) / 4,
    "normal(2, 0.5)": lambda v: 0.5 * (1 + math.erf((v - 2) / 0.5 / math.sqrt(2))),
    "log(uniform(1, 100))": lambda v: (math.exp(v) - 1) / 99,
    "-log(uniform(1, 100))": lambda v: 1 - (math.exp(-v) - 1) / 99,
    "-log(1 / uniform(0.01, 0.99) - 1)": lambda v: (1 / (1 + math.exp(-v)) - 0.01) / 0.98,
    "2 * (uniform(0, 1) - 1)": lambda v: v / 2 + 1,
    "softplus(normal(0, 1))": lambda v: 0.5 * (1 + math.erf(math.log(math.expm1(v)) / math.sqrt(2))),
    "max(uniform(0, 1), uniform(0, 1))": lambda v: v * v,
}


def distance(values: list[float], text: str) -> float:
    """Of Kolmogorov and Smirnov: the largest difference of two cumulative distributions."""
    values = sorted(values)
    return max(abs(CASES[text](v) - (k + 0.5) / len(values)) for k, v in enumerate(values))


@pytest.mark.parametrize("text", CASES)
def test_values_have_the_distribution_that_is_written(text: str) -> None:
    cell = parse(TEXT.format(text))
    assert f"bias={text}]" in show(cell) and parse(show(cell)) == cell
    (lay,) = stacks.stack([cell], 2, 100).layers
    rows = torch.empty(20, lay.size)
    initialise(lay, rows, 0.1, torch.Generator().manual_seed(0))
    values = named(lay, rows)["h_new.bias"]
    assert len(values.unique()) > 1_900
    assert distance(values.flatten().tolist(), text) < 0.04  # 0.036 is exceeded once in 100 times
    again = torch.empty_like(rows)
    initialise(lay, again, 0.1, torch.Generator().manual_seed(0))
    assert torch.equal(rows, again)


@pytest.mark.parametrize("text", CASES)
def test_exported_modules_draw_alike(text: str) -> None:
    cell = parse(TEXT.format(text))
    source = torch_source(cell)
    check(cell, source)
    found: dict[str, object] = {}
    exec(source, found)
    torch.manual_seed(0)
    module = found["A"](2, 2_000)  # type: ignore[operator]
    values = module.layers[0].h_new.bias
    assert values.shape == (2_000,) and distance(values.tolist(), text) < 0.04
    assert f"starts at {text}" in latex(cell)
    Recurrent(cell, 2, 3).load_state_dict(found["A"](2, 3).state_dict())  # type: ignore[operator]


@pytest.mark.parametrize("op", APPLIED)
def test_every_op_can_be_applied(op: str) -> None:
    value = Drawn(op, (Drawn("uniform", (1.0, 2.0)),) * OPS[op].arity)
    assert not wrong(value)
    cell = parse(TEXT.format(initial(value)))
    assert value in [n.bias for n in cell.nodes if hasattr(n, "bias")]
    check(cell, torch_source(cell))


def test_numbers_come_before_those_of_the_next_weight() -> None:
    """The draws of one bias follow one another in the order of the text."""
    cell = parse("cell a(x; h)\nh' = [x, bias=uniform(0, 1) - normal(0, 1)] * [h, bias=none]\n")
    (lay,) = stacks.stack([cell], 2, 3).layers
    rows = torch.empty(1, lay.size, dtype=torch.float64)
    initialise(lay, rows, 1.0, torch.Generator().manual_seed(5))
    drawn, generator = named(lay, rows), torch.Generator().manual_seed(5)

    def next_draw(draw: object, *shape: int) -> torch.Tensor:
        return draw(shape, generator=generator, dtype=torch.float64)  # type: ignore[operator,no-any-return]

    assert torch.equal(drawn["h_new_1.x"], 2 * next_draw(torch.rand, 1, 2, 3) - 1)
    assert torch.equal(drawn["h_new_1.bias"], next_draw(torch.rand, 1, 3) - next_draw(torch.randn, 1, 3))
    assert torch.equal(drawn["h_new_2.h"], 2 * next_draw(torch.rand, 1, 3, 3) - 1)


def test_identity_is_by_what_is_drawn() -> None:
    texts = ["1", "uniform(0, 1)", "normal(0, 1)", "normal(0, 2)", "log(uniform(1, 2))", "log(uniform(1, 3))",
             "exp(uniform(1, 2))", "1 + exp(uniform(1, 2))", "1 - exp(uniform(1, 2))"]  # fmt: skip
    cells = [parse(TEXT.format(text)) for text in texts]
    assert (
        len({fingerprint(c) for c in cells}) == len({functional_fingerprint(c) for c in cells}) == len(texts)
    )
    one, other = (parse(TEXT.format(t)) for t in ("1 + exp(normal(0, 1))", "exp(normal(0, 1)) + 1"))
    assert fingerprint(one) == fingerprint(other)
    for text, value in zip(texts[1:], map(bias, texts[1:]), strict=True):
        assert isinstance(value, Drawn) and initial(value) == text


def test_sums_of_brackets_move_what_is_drawn() -> None:
    value = bias("log(uniform(1, 9))")
    assert value is not None
    assert initial(moved(value, 2)) == "log(uniform(1, 9)) + 2"
    assert moved(moved(value, 2), -2) == value and negative(negative(value)) == value
    assert initial(negative(moved(value, 2))) == "-log(uniform(1, 9)) + -2"
    assert moved(Drawn("normal", (1.0, 2.0)), 3) == Drawn("normal", (4.0, 2.0))
    assert negative(Drawn("normal", (1.0, 2.0))) == Drawn("normal", (-1.0, 2.0))
    assert [p for p in parts(value) if not isinstance(p, Drawn)] == [1.0, 9.0]
    many = value
    for a, b in pairwise(range(40)):
        many = moved(many, a - b)
    assert len(list(parts(many))) == 6


def test_the_rows_of_distributions_have_no_op_of_their_name() -> None:
    assert not DISTRIBUTIONS.keys() & OPS.keys()
