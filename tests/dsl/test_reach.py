"""What reaches the output of a cell through time, and what is left of a cell without the rest."""

from dataclasses import replace
from zlib import crc32

import numpy as np
import pytest
import torch
from cells import cells, random_cell
from hypothesis import given, settings

from cellsearch.compiler.reference import reference
from cellsearch.dsl import zoo
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.nodes import Affine
from cellsearch.dsl.rewriting.expand import expand, factor
from cellsearch.dsl.rewriting.reach import dead_states, depends_on_input, has_memory, without_dead
from cellsearch.dsl.text import parse, show
from cellsearch.dsl.weights import Weight, collision, weights


@pytest.mark.parametrize(
    ("text", "heard", "remembered"),
    [
        ("h' = tanh[x, h]", True, True),
        ("h' = tanh[x]", True, False),
        ("h' = tanh[h]", False, False),
        ("h' = tanh[h] + x", True, True),
        ("h' = [bias=1]", False, False),
        ("h' = tanh[before(x, 3)]", True, False),
        ("h' = tanh[x, before(h)]", True, True),
    ],
)
def test_one_state_hears_and_remembers(text, heard, remembered):
    cell = parse(f"cell a(x; h)\n{text}\n")
    assert (depends_on_input(cell), has_memory(cell)) == (heard, remembered)


@pytest.mark.parametrize(
    ("text", "heard", "remembered"),
    [
        ("c' = tanh[x]\nh' = tanh[c]", True, False),  # x of one step ago, and no other
        ("c' = x\nh' = c", True, False),
        ("c' = tanh[x]\nh' = tanh[c, h]", True, True),  # x of one step ago and of all before
        ("c' = tanh[c]\nh' = tanh[x, c]", True, False),  # the loop does not hear x
        ("c' = tanh[h]\nh' = tanh[x, c]", True, True),  # x of two steps ago
        ("c' = tanh[x, c]\nh' = tanh[x]", True, False),  # nothing reads c
        ("c' = tanh[x, c]\nh' = tanh[h]", False, False),
    ],
)
def test_information_passes_through_states(text, heard, remembered):
    cell = parse(f"cell a(x; h, c)\n{text}\n")
    assert (depends_on_input(cell), has_memory(cell)) == (heard, remembered)


# Dead states

DEAD = [  # the cell, its dead states, and the cell without them
    ("(x; h, c)\nc' = tanh[x, c]\nh' = tanh[x, h]", "c", "(x; h)\nh' = tanh[x, h]"),
    ("(x; h, c)\na = tanh[x]\nc' = a * c\nh' = a * h", "c", "(x; h)\na = tanh[x]\nh' = a * h"),
    ("(x; h, c)\nc' = tanh[x, h]\nh' = tanh[c']", "c", "(x; h)\nc = tanh[x, h]\nh' = tanh[c]"),
    ("(x; h, c)\nc' = tanh[x, h]\nh' = c'", "c", "(x; h)\nh' = tanh[x, h]"),
    ("(x; h, c)\nh' = tanh[x, h]\nc' = h'", "c", "(x; h)\nh' = tanh[x, h]"),
    ("(x; h, c) -> y\nh' = tanh[x, h]\nc' = tanh[x, c]\ny = 2 * c'", "h", "(x; c) -> y\nc' = tanh[x, c]\ny = 2 * c'"),
    ("(x; h, c, d)\nd' = tanh[x, c]\nc' = tanh[x, d]\nh' = tanh[x, h]", "c d", "(x; h)\nh' = tanh[x, h]"),
    ("(x; h, c)\nc' = before(h)\nh' = tanh[x, before(c')]", "c", "(x; h)\nc = before(h)\nh' = tanh[x, before(c)]"),
    # below(c) reads c where the output depends on it
    ("(x; h, c, d)\nd' = d + below(c)\nc' = tanh[x, c]\nh' = tanh[x, h]", "c d", "(x; h)\nh' = tanh[x, h]"),
    ("(x; h, c, d)\nc' = tanh[x, d]\nd' = tanh[x]\nh' = tanh[h, below(c)]", "", ""),
    # the state that is given out is none, also where nothing reads it, and a cell has one
    ("(x; h, c)\nc' = tanh[x, c]\nh' = tanh[c']", "", ""),
    ("(x; h)\nh' = tanh[x]", "", ""),
    ("(x; h) -> y\nh' = tanh[h]\ny = tanh[x]", "", ""),
    ("(x; h, c, d) -> y\nh' = tanh[c]\nc' = c\nd' = d\ny = tanh[x]", "d", "(x; h, c) -> y\nh' = tanh[c]\nc' = c\ny = tanh[x]"),
    # the clock goes with all that reads it
    ("(x; h, c)\nclock 1, 2\nc' = tick * c\nh' = tanh[x, h]", "c", "(x; h)\nh' = tanh[x, h]"),
    ("(x; h, c)\nclock 1, 2\nc' = tick * c\nh' = tanh[x, h@slower]", "c", "(x; h)\nclock 1, 2\nh' = tanh[x, h@slower]"),
    ("(x; h)\nclock 1, 2\nh' = tanh[x, h]", "", ""),
    # one of the brackets of c would be c_1, as the equation is
    ("(x; h, c)\nc_1 = [x]\nc' = tanh[x] * tanh[h]\nh' = tanh(c_1 * c')", "c", "(x; h)\nc_1 = [x]\nc_ = tanh[x] * tanh[h]\nh' = tanh(c_1 * c_)"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "dead", "left"), DEAD, ids=[row[0].replace("\n", " ") for row in DEAD])
def test_dead_states(text: str, dead: str, left: str) -> None:
    cell = parse(f"cell a{text}\n")
    assert dead_states(cell) == dead_states(expand(cell)) == tuple(dead.split())
    if dead:
        assert without_dead(cell) == parse(f"cell a{left}\n")
    else:
        assert without_dead(cell) is cell


def test_the_description_stays() -> None:
    cell = parse("# as in the paper\ncell a(x; h, c=2)\nc' = c\nh' = tanh[x, h]\n")
    assert show(without_dead(cell)) == "# as in the paper\ncell a(x; h)\nh' = tanh[x, h]\n"


def test_no_cell_of_the_zoo_has_a_dead_state() -> None:
    for name in zoo.names():
        cell = zoo.load(name)
        assert dead_states(cell) == () and without_dead(cell) is cell


@pytest.mark.long
@settings(max_examples=200)
@given(cell=cells())
def test_any_cell(cell: Cell) -> None:
    left = without_dead(cell)
    assert dead_states(left) == () and without_dead(left) is left
    assert parse(show(left)) == left
    assert set(left.states) == {s for s in cell.states if s.name not in dead_states(cell)}
    assert (depends_on_input(left), has_memory(left)) == (depends_on_input(cell), has_memory(cell))
    if not dead_states(cell):
        assert left is cell
    factored = factor(without_dead(expand(cell)))
    assert without_dead(factored) is factored
    assert fingerprint(factored) == fingerprint(factor(expand(left)))


def test_the_output_is_the_same_function() -> None:
    """In float64, a stack of two layers over a few steps, with the same weights in the brackets that are left."""
    rng, tried = np.random.default_rng(0), 0
    while tried < 150:
        cell = marked(random_cell(rng, 14, tame=tried % 2 == 0))
        if not dead_states(cell) or collision(cell):
            continue
        tried += 1
        was, now = output(cell), output(without_dead(cell))
        assert torch.equal(was.nan_to_num(), now.nan_to_num()), show(cell)


def marked(cell: Cell) -> Cell:
    """The cell with another initial bias in each bracket, by which to find the bracket again."""
    nodes = [replace(n, bias=float(i)) if isinstance(n, Affine) else n for i, n in enumerate(cell.nodes)]
    return replace(cell, nodes=tuple(nodes))


def output(cell: Cell) -> torch.Tensor:
    def weight(w: Weight, layer: int) -> torch.Tensor:
        bracket = cell.nodes[w.node]
        assert isinstance(bracket, Affine) and isinstance(bracket.bias, float)
        generator = torch.Generator().manual_seed(crc32(f"{bracket.bias} {w.term} {w.kind} {layer}".encode()))
        return torch.randn(w.shape(width, hidden), generator=generator, dtype=torch.float64)

    hidden = 3
    width = hidden  # also where x is read outside of brackets in what goes
    x = torch.randn(6, 2, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    layers = [{w.name: weight(w, layer) for w in weights(cell)} for layer in range(2)]
    states = [torch.full((2, hidden), s.initial, dtype=torch.float64) for s in cell.states]
    return reference([cell] * 2, layers, x, [states] * 2)[0]
