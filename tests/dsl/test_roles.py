"""Gates, roles, sizes and the flow of information are found in the graph."""

import pytest
from mutants import mutants

from cellsearch.dsl import weights, zoo
from cellsearch.dsl.graph import Affine, Apply
from cellsearch.dsl.roles import (
    LETTERS,
    describe,
    gates,
    hears,
    matrices,
    remembers,
    size,
    suggest_names,
)
from cellsearch.dsl.text import parse

LSTM = {"i": "input", "f": "forget", "o": "output"}
GRU = {"z": "update", "r": "reset"}

ZOO = {
    "rnn": {},
    "lstm": LSTM,
    "lstm_b": LSTM,
    "lstm_2015": {"j": "input", "f": "forget", "o": "output"},
    "peephole_lstm": LSTM,
    "peephole_input": LSTM,
    "peephole_forget": LSTM,
    "peephole_output": LSTM,
    "cifg": {"f": "coupled", "o": "output"},
    "gru": GRU,
    "gru_torch": GRU,
    "mut1": GRU,
    "mut2": GRU,
    "mut3": GRU,
    "depth_gated_lstm": {**LSTM, "d": "depth"},
    "clockwork": {},
}

WRITTEN = {
    "h + z * (n - h) is an update": (
        "cell a(x; h)\nz = sigmoid[x, h]\nn = tanh[x, h]\nh' = h + z * (n - h)\n",
        {"z": "update"},
    ),
    "the same inside is coupled": (
        "cell a(x; h, c)\nz = sigmoid[x, h]\nn = tanh[x, h]\nc' = c + z * (n - c)\nh' = tanh(c')\n",
        {"z": "coupled"},
    ),
    "one gate for two things has the role that tells more": (
        "cell mgu(x; h)\nf = sigmoid[x, h]\nn = tanh[x, f * h]\nh' = (1 - f) * h + f * n\n",
        {"f": "update"},
    ),
    "no forget gate: what is added to the old value is let in": (
        "cell a(x; h, c)\ni = sigmoid[x, h]\nc' = c + i * tanh[x, h]\nh' = tanh(c')\n",
        {"i": "input"},
    ),
    "three factors": (
        "cell a(x; h, c)\nf = sigmoid[x, h]\nk = sigmoid[x]\nc' = f * k * c + tanh[x, h]\nh' = tanh(c')\n",
        {"f": "forget", "k": "forget"},
    ),
    "two activations of one kind are both gates": (
        "cell a(x; h)\na = tanh[x, h]\nb = tanh[x, h]\nh' = a * b\n",
        {"a": "output", "b": "output"},
    ),
    "an activation that multiplies nothing is none": ("cell a(x; h)\nh' = sigmoid[x, h]\n", {}),
    "an activation of no affine is none": ("cell a(x; h)\nh' = sigmoid(h) * tanh[x, h]\n", {"": "output"}),
    "cumax lets a part through": (
        "cell a(x; h, c)\nf = cumax[x, h]\nc' = f * c + (1 - f) * tanh[x, h]\nh' = tanh(c')\n",
        {"f": "coupled"},
    ),
    "a gate of normalised affines": (
        "cell a(x; h, c)\nf = sigmoid([bias=1] * norm[x] + norm[h] * [bias=1] + [bias=0])\n"
        "c' = f * c + tanh[x, h]\nh' = tanh(c')\n",
        {"f": "forget"},
    ),
    "norm itself lets nothing through": ("cell a(x; h)\nh' = norm[x, h] * [bias=1]\n", {}),
    "what a state was two steps ago is an old value of it": (
        "cell a(x; h, c)\nf = sigmoid[x, before(c)]\nc' = f * before(c) + tanh[x, h]\nh' = tanh(c')\n",
        {"f": "forget"},
    ),
    "and of another state a thing to let in": (
        "cell a(x; h, c)\nf = sigmoid[x, h]\nc' = f * before(h, 2) + c\nh' = tanh(c')\n",
        {"f": "input"},
    ),
    "a new value that is looked back at is none of this step": (
        "cell a(x; h, c)\nc' = tanh[x, c]\nr = sigmoid[x]\nh' = tanh[x, r * before(c')]\n",
        {"r": "reset"},
    ),
    "an output beside the states": (
        "cell a(x; h) -> y\no = sigmoid[x, h]\nh' = tanh[x, h]\ny = o * h'\n",
        {"o": "output"},
    ),
}


@pytest.mark.parametrize("name", ZOO)
def test_the_gates_of_the_zoo_have_the_roles_of_the_literature(name):
    assert {g.name: g.role for g in gates(zoo.load(name))} == ZOO[name]


@pytest.mark.parametrize("case", WRITTEN)
def test_roles_follow_from_structure(case):
    text, roles = WRITTEN[case]
    assert {g.name: g.role for g in gates(parse(text))} == roles


def test_a_gate_knows_what_it_reads_and_where_it_acts():
    found = {g.name: g for g in gates(zoo.load("peephole_lstm"))}
    assert (found["i"].reads, found["i"].peepholes, found["i"].state) == (("x", "h"), ("c",), "c")
    assert (found["o"].peepholes, found["o"].activation) == (("c'",), "sigmoid")
    (gate,) = gates(parse("cell a(x; h)\nh' = sigmoid[x, tanh(h)] * tanh(h)\n"))
    assert gate.reads == ("x", "·")


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


@pytest.mark.parametrize("name", zoo.names())
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


def test_names_go_by_role_to_the_nodes_asked_for_where_the_letter_is_free():
    cell = parse(
        "cell a(x; h)\nv1 = sigmoid[x, h]\nv2 = sigmoid[x, h]\nh' = v1 * h + (1 - v1) * tanh[x, v2 * h]\n"
    )
    at = {label: i for i, label in enumerate(cell.labels)}
    assert suggest_names(cell, [at["v1"], at["v2"]]) == {at["v1"]: "z", at["v2"]: "r"}
    assert suggest_names(cell, [at["v2"]]) == {at["v2"]: "r"}
    assert suggest_names(cell, []) == {}
    taken = parse("cell a(z; h)\nv1 = sigmoid[z, h]\nh' = v1 * h + (1 - v1) * tanh[z, h]\n")
    assert suggest_names(taken, [taken.labels.index("v1")]) == {}, "x is called z here"


def test_every_role_has_a_letter_or_none():
    assert {g.role for name in zoo.names() for g in gates(zoo.load(name))} <= LETTERS.keys()


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
    assert (hears(cell), remembers(cell)) == (heard, remembered)


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
    assert (hears(cell), remembers(cell)) == (heard, remembered)


def test_every_mutant_can_be_described():
    for cell in mutants(100):
        found = describe(cell)
        assert len(found.connections) == matrices(cell) and found.depth >= 1
        assert all(isinstance(cell.nodes[gate.node], Apply) and gate.role in LETTERS for gate in found.gates)
