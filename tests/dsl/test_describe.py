"""What stands in a cell, counted, and what a layer of it costs."""

import pytest
from covering import ZOO
from mutants import mutants

from cellsearch.dsl import weights, zoo
from cellsearch.dsl.describe import describe, matrices, size
from cellsearch.dsl.nodes import Affine, Apply
from cellsearch.dsl.roles import LETTERS, gates
from cellsearch.dsl.text import parse


def test_description_of_the_peephole_lstm():
    found = describe(zoo.load("peephole_lstm"))
    assert found.states == ("h", "c") and found.output == "h'"
    assert found.connections == ("i.x", "i.h", "f.x", "f.h", "g.x", "g.h", "o.x", "o.h")
    assert found.peepholes == ("i.c", "f.c", "o.c_new")
    assert found.biases == ("i.bias", "f.bias", "g.bias", "o.bias")
    assert (found.matrices, found.nodes) == (8, 16)
    # bracket, sigmoid, product, c', bracket of o, sigmoid, product
    assert found.depth == 7 and found.products == 2


def test_products_in_a_row():
    assert describe(zoo.load("lstm")).products == 1
    assert describe(zoo.load("gru")).products == 2
    assert describe(zoo.load("gru_torch")).products == 1


@pytest.mark.parametrize("name", ZOO)
def test_size_counts_weights_once_per_step(name):
    cell, width, hidden = zoo.load(name), 5, 7
    found = size(cell, width, hidden)
    added = sum(
        hidden if w.kind == "bias" else 1 for w in weights.weights(cell) if w.kind in ("bias", "scalar")
    )
    skews = sum(c.structure == "skew" for n in cell.nodes if isinstance(n, Affine) for c in n.connections)
    assert found.parameters == weights.count(cell, width, hidden)
    twice = skews * hidden * (hidden - 1) // 2  # each weight of a skew matrix stands in it twice
    assert found.multiply_adds == found.parameters - added + twice
    assert found.elementwise == hidden * sum(isinstance(n, Apply) for n in cell.nodes)
    assert describe(cell).matrices == matrices(cell)


def test_size_of_an_lstm_by_hand():
    found = size(zoo.load("lstm"), 3, 4)
    assert (found.parameters, found.multiply_adds) == (4 * (3 * 4 + 4 * 4 + 4), 4 * (3 * 4 + 4 * 4))
    assert found.elementwise == 4 * (4 + 3 + 2)  # gates and candidate; f * c + i * g; o * tanh(c')


def test_an_earlier_value_is_read_by_its_name_and_waits_for_nothing():
    cell = parse(
        "cell a(x; h, c)\ni = sigmoid[before(x)@rank(2), h@blocks(2), .before(tanh(c), 3)]\n"
        "c' = i * before(before(c), 2)\nh' = tanh[c'] * before([h])\n"
    )
    (gate, _) = gates(cell)
    assert (gate.reads, gate.peepholes) == (("before(x)", "h"), ("before(·, 3)",))
    found = describe(cell)
    assert found.connections == ("i.before_x", "i.h", "h_new_1.c_new", "h_new_2.h")
    assert found.matrices == matrices(cell) == 4
    assert (found.lookback, found.products) == (3, 2)
    assert found.depth == 6, "bracket, sigmoid, product, bracket, tanh, product"
    assert describe(zoo.load("lstm")).lookback == 0


@pytest.mark.parametrize(
    ("connection", "parameters", "products"),
    [
        ("h", 64, 64),
        ("x", 40, 40),
        ("h@rank(2)", 32, 32),
        ("x@rank(2)", 26, 26),
        ("h@blocks(3)", 9 + 9 + 4, 9 + 9 + 4),
        ("x@blocks(3)", 2 * 3 + 2 * 3 + 1 * 2, 2 * 3 + 2 * 3 + 1 * 2),
        ("h@skew", 28, 56),
        ("h@slower", 8 * 8 - 4 * 4, 8 * 8 - 4 * 4),
        (".h", 8, 8),
        ("before(x)", 40, 40),
    ],
)
def test_size_of_each_kind_of_matrix(connection, parameters, products):
    cell = parse(f"cell a(x; h)\nclock 1, 2\nh' = [{connection}, bias=none]\n")
    found = size(cell, 5, 8)
    assert (found.parameters, found.multiply_adds) == (parameters, products)


def test_every_mutant_can_be_described():
    for cell in mutants(100):
        found = describe(cell)
        assert len(found.connections) == matrices(cell) and found.depth >= 1
        assert all(isinstance(cell.nodes[gate.node], Apply) and gate.role in LETTERS for gate in found.gates)
