"""Both engines against `reference`, in float64: the zoo, 300 mutants, and any graph at all."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from agreement import differences
from cells import random_cell
from covering import CELLS, having, load, name_of
from mutants import mutants

from cellsearch.compiler.engines.native import toolchain
from cellsearch.compiler.plan.input_table import separable
from cellsearch.compiler.plan.schedule import plan
from cellsearch.dsl import zoo
from cellsearch.dsl.nodes import Apply
from cellsearch.dsl.text import parse

ENGINES = [
    "eager",
    pytest.param(
        "native", marks=pytest.mark.skipif(toolchain.compiler() is None, reason="no C compiler here")
    ),
]
COUNT = 300
SINGLE = (
    "lstm",
    "mut1",
    "clockwork",
    "layernorm_lstm",
    "others",
)  # by default, of comparisons that compile more


def tenths(count: int) -> list[Any]:
    """The numbers below `count` in ranges: a thirtieth for the unit tier, the others by tenths."""
    ends = [0, count // 30, *range(count // 10, count + 1, count // 10)]
    return [
        pytest.param(range(*pair), marks=[pytest.mark.long] * (pair[0] > 0), id=f"{pair[0]}-{pair[1]}")
        for pair in pairwise(ends)
    ]


def worst(found: dict[str, float]) -> tuple[float, str]:
    return max((value, name) for name, value in found.items())


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("name", CELLS)
def test_zoo_cells_agree_with_reference(name: str, layers: int, engine: str) -> None:
    found = differences([load(name)] * layers, engine)
    assert worst(found)[0] < 1e-10, worst(found)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("some", tenths(COUNT))
def test_mutants_agree_with_reference(some: range, engine: str) -> None:
    cells = mutants(COUNT)
    for k in some:
        cell = cells[k]
        found = differences([cell], engine, seed=k)
        assert worst(found)[0] < 1e-10, f"mutant {k}: {worst(found)}\n{cell}"


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("count", [8, pytest.param(40, marks=pytest.mark.long)])
def test_mutants_by_all_rows_agree_with_reference(count: int, engine: str) -> None:
    """Stacks of two layers, for what they take from the layer below."""
    for k, cell in enumerate(mutants(40, rows="all")[:count]):
        found = differences([cell, cell], engine, seed=k)
        assert worst(found)[0] < 1e-10, f"mutant {k}: {worst(found)}\n{cell}"


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=[pytest.mark.long] * (n not in SINGLE))
        for n in map(name_of, having(lambda cell: separable(plan(cell))))
    ],
)
def test_zoo_cells_agree_with_reference_on_a_table_of_inputs(name: str, engine: str) -> None:
    for layers in (1, 2):
        found = differences([load(name)] * layers, engine, symbols=6)
        assert worst(found)[0] < 1e-10, worst(found)


def test_the_inputs_of_most_mutants_can_stand_in_a_table() -> None:
    assert sum(separable(plan(cell)) for cell in mutants(COUNT)) > 0.9 * COUNT


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("some", tenths(COUNT))
def test_mutants_agree_with_reference_on_a_table_of_inputs(some: range, engine: str) -> None:
    cells = mutants(COUNT)
    for k in some:
        cell = cells[k]
        if not separable(plan(cell)):
            continue
        found = differences([cell], engine, seed=k, symbols=6)
        assert worst(found)[0] < 1e-10, f"mutant {k}: {worst(found)}\n{cell}"


def test_what_depends_on_more_than_the_symbol_needs_every_step() -> None:
    """A look back at the input, a clock or the layer below in what depends on no state."""
    for text in (
        "cell c(x; h)\nh' = tanh[x, before(x), h]",
        "cell c(x; h)\nclock 1, 2\na = tick * tanh[x]\nh' = a + h",
        "cell c(x; h, c)\nd = sigmoid[x, below(c)]\nc' = d * c\nh' = tanh[c']",
    ):
        assert not separable(plan(parse(text))), text
    for name in ("lstm", "clockwork", "depth_gated_lstm"):  # there it is for the loop
        assert separable(plan(zoo.load(name))), name


@pytest.mark.parametrize("engine", ENGINES)
def test_what_a_loop_reads_of_a_table_of_inputs(engine: str) -> None:
    """The input itself, outer nodes, learned vectors and peepholes on either side, and outputs of the input
    alone."""
    for body in (
        "h' = x * tanh[h, x] + x",
        "a = tanh[x]\nh' = a * sigmoid[h, a] + relu(a)",
        "v = [bias=1]\na = sigmoid(v) * tanh[x]\nh' = a + v * tanh[h]",
        "a = [x, bias=0.5]\nb = tanh(a) * a\nh' = sigmoid[b, h, .a] + b",
        "a = sigmoid[x, .x]\nh' = tanh[h, .a, .x] * a",
        "a = norm[x]\nh' = tanh[h] * a + softmax[a]",
        "a = tanh[x]\nb = [a]\nh' = tanh(b + [h])",
    ):
        cell = parse(f"cell c(x; h)\n{body}")
        assert separable(plan(cell)), body
        for layers in (1, 2):
            found = differences([cell] * layers, engine, symbols=4)
            assert worst(found)[0] < 1e-10, (body, worst(found))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("some", tenths(120))
def test_any_graph_agrees_with_reference(some: range, engine: str) -> None:
    """Where a graph can divide by zero only the values are compared: what a zero gradient times an infinity
    comes to depends on the order of the derivatives."""
    for seed in some:
        cell = random_cell(np.random.default_rng(seed), nodes=14, tame=True)
        found = differences([cell], engine, seed=seed, steps=4)
        if {node.op for node in cell.nodes if isinstance(node, Apply)} & {"div", "log", "sqrt"}:
            found = {name: value for name, value in found.items() if " d " not in f" {name}"}
        assert worst(found)[0] < 1e-9, f"cell {seed}: {worst(found)}\n{cell}"


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("steps", [1, 2, 7])
@pytest.mark.parametrize(("batch", "hidden"), [(1, 1), (3, 16), (13, 33)])
def test_every_size_agrees(steps: int, batch: int, hidden: int, engine: str) -> None:
    """Sizes around the blocks and panels of the small matrix products, and either parity of the loop; tables with
    fewer rows than there are steps, and with more."""
    for name in ("peephole_lstm", "mut1"):
        for symbols in (0, 3, 3 * steps * batch):
            found = differences(
                [zoo.load(name)],
                engine,
                steps=steps,
                batch=batch,
                hidden=hidden,
                width=hidden,
                symbols=symbols,
            )
            assert worst(found)[0] < 1e-10, (name, symbols, worst(found))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_clock_goes_on_from_where_the_last_window_ended(engine: str) -> None:
    found = differences([zoo.load("clockwork")] * 2, engine, steps=6, hidden=9, width=9, start=5)
    assert worst(found)[0] < 1e-10, worst(found)


@pytest.mark.parametrize("engine", ENGINES)
def test_two_looks_back_at_the_input_add_their_gradients(engine: str) -> None:
    cell = parse(
        "cell twice(x; h)\na = tanh[x, before(x), h]\nb = sigmoid[before(x), before(x, 3)]\nh' = a * b"
    )
    for width in (5, 3):
        found = differences([cell] * 2, engine, steps=7, width=width)
        assert worst(found)[0] < 1e-10, worst(found)


@pytest.mark.skipif(toolchain.compiler() is None, reason="no C compiler here")
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.long] * (n not in SINGLE)) for n in map(name_of, CELLS)],
)
def test_float32_of_the_native_engine_is_near_the_eager_one(name: str) -> None:
    """Both round to 2^-24 at every operation; over T steps and H terms a few hundred such errors add up at
    random. `norm` divides by a spread that can be small, and with it the errors."""
    from cellsearch.train import model, windows

    cell = load(name)
    shape = model.Shape(cell, 11, 2, 24)
    rows = model.first_rows(shape, [1.0, 0.7], [1, 2], torch.float32)
    tokens = torch.randint(11, (4, 35), generator=torch.Generator().manual_seed(0))
    window = windows.cut(tokens, tokens.roll(1, 1), 35)[0]
    found = {}
    for engine in ("eager", "native"):
        gradient = torch.zeros_like(rows)
        score, _ = model.run(shape, rows, window, model.first_states(shape, 2, 4, rows), 0, gradient, engine)
        found[engine] = (score.loss, gradient)
    room = 100 if any(isinstance(node, Apply) and node.op == "norm" for node in cell.nodes) else 1
    for a, b in zip(found["eager"], found["native"], strict=True):
        assert float((a - b).abs().max()) < room * 35 * 24**0.5 * 2**-24 * float(a.abs().max())
