"""Expanding and factoring: the same functions, one normal form, names kept."""

import math

import numpy as np
import pytest
from cells import random_cell
from covering import CELLS, load
from hypothesis import given, settings
from hypothesis import strategies as st

from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.nodes import Affine, Apply, Connection, Constant, Input, State, ancestors
from cellsearch.dsl.rewriting.expand import ExpandedGraph, expand, factor
from cellsearch.dsl.text import parse, show
from cellsearch.errors import CellError


def factored(equations: str, states: str = "h") -> str:
    """The equations of the factored form of a cell."""
    return show(factor(expand(parse(f"cell a(x; {states})\n{equations}\n")))).split("\n", 1)[1].strip()


@pytest.mark.parametrize("name", CELLS)
def test_the_zoo_comes_back_as_it_was(name):
    cell = load(name)
    assert factor(expand(cell)) == cell


@pytest.mark.parametrize("name", CELLS)
def test_expanded_every_connection_is_a_node(name):
    cell = load(name)
    graph = expand(cell)
    before = [c for n in cell.nodes if isinstance(n, Affine) for c in n.connections]
    after = [n for n in graph.nodes if isinstance(n, Affine) and n.connections]
    assert all(len(n.connections) == 1 for n in after) and len(after) == len(before)
    assert set(filter(None, graph.labels)) == set(filter(None, cell.labels))
    biases = [n.bias for n in cell.nodes if isinstance(n, Affine) and n.bias is not None]
    assert [n.bias for n in graph.nodes if isinstance(n, Affine) and n.bias is not None] == biases


def test_expanded_bracket_is_a_chain_of_sums_and_the_first_term_has_the_bias():
    graph = expand(parse("cell a(x; h)\nh' = [x, h@eye(0.5), .h, bias=2]\n"))
    assert graph.nodes == (
        Input("x", "x"),
        Input("state", "h"),
        Affine((Connection(0),), 2.0),
        Affine((Connection(1, eye=0.5),), None),
        Apply("add", (2, 3)),
        Affine((Connection(1, peephole=True),), None),
        Apply("add", (4, 5)),
    )
    assert (graph.labels, graph.new, graph.output) == (("",) * 6 + ("h'",), (6,), 6)


FOLDS = {
    "a sum of brackets": ("h' = [x, bias=1] + [h, bias=2]", "h' = [x, h, bias=3]"),
    "no bias where none has one": ("h' = [x, bias=none] + [h, bias=none]", "h' = [x, h, bias=none]"),
    "one bias is enough": ("h' = [x, bias=none] + [h, bias=2]", "h' = [x, h, bias=2]"),
    "a difference turns what has a sign": (
        "h' = [x, bias=1] - [h@eye(0.9), bias=2]",
        "h' = [x, h@eye(-0.9), bias=-1]",
    ),
    "a difference of differences": (
        "h' = [x] - ([h@eye(1)] - [tanh(h)@eye(2)])",
        "h' = [x, h@eye(-1), tanh(h)@eye(2)]",
    ),
    "signs count from the first of a bracket": (
        "h' = h - [x] - [h@eye(1)]",
        "h' = h - [x, h@eye(1)]",
    ),
    "the affine part of a mixed sum": ("h' = tanh([x] + h * h + [h])", "h' = tanh([x, h] + h * h)"),
    "what the first term leaves behind turns around": (
        "h' = [x] + ([h] - tanh(x))",
        "h' = [x, h] - tanh(x)",
    ),
    "and so does what follows it": ("h' = [x] + ([h] - tanh(x) - h)", "h' = [x, h] - (tanh(x) + h)"),
    "also within a difference": ("h' = [x] - ([h] - tanh(x))", "h' = [x, h] + tanh(x)"),
    "a learned vector joins": ("h' = [x, bias=none] + [bias=0.5] + [.h]", "h' = [x, .h, bias=0.5]"),
    "a matrix and a peephole from one source": ("h' = [h, x] + [.h]", "h' = [h, x, .h]"),
    "a drawn bias is moved by a fixed one": (
        "h' = [x, bias=uniform(-1, 2)] + [h, bias=0.5]",
        "h' = [x, h, bias=uniform(-0.5, 2.5)]",
    ),
    "and turned": ("h' = [x, bias=1] - [h, bias=uniform(-1, 2)]", "h' = [x, h, bias=uniform(-1, 2)]"),
    "kinds of matrices stay with their connections": (
        "h' = [x@rank(2)] + [h@blocks(4)@eye(1), bias=none] - [tanh(h)@skew]",
        "h' = [x@rank(2), h@blocks(4)@eye(1), tanh(h)@skew]",
    ),
    "what was some steps ago is a source": (
        "h' = [x] + [before(h)] + [.before(h, 2)] + [before(x)@rank(1)]",
        "h' = [x, before(h), .before(h, 2), before(x)@rank(1)]",
    ),
    "one source twice needs two brackets": ("h' = [x] + [h] + [x] + [h]", "h' = [x, h] + [x, h]"),
}

WHOLE = {
    "a bracket used twice": "v = [x]\nh' = (v + [h]) * v",
    "one term twice": "v = [x]\nh' = v + v",
    "a named bracket": "v = [x]\nh' = tanh(v + [h])",
    "a named sum": "v = [x] + r\nh' = tanh(v + [h])".replace("r", "tanh(h)"),
    "two random biases": "h' = [x, bias=uniform(0, 1)] + [h, bias=uniform(0, 1)]",
    "two kinds of matrix from one source": "h' = [h] + [h@rank(2)]",
    "and two ranks": "h' = [x@rank(1)] + [x@rank(2)]",
    "two earlier values of one thing": "h' = [before(h)] + [before(h)@skew]",
    "numbers that are alike": "h' = [2] + [2]",
    "a sum that is looked back at": "h' = [x] + before([x] + before([h]) * h)",
    "sums on both sides of a look back": "h' = tanh([x] + before([x, h]))",
    "a learned scalar": "h' = [x] + [scalar=0.5] + h",
    "a bracket that is a new value": "h' = [x]\nc' = h' + [c]",
    "products in between": "h' = tanh([x] + h * [h])",
    "no sums at all": "h' = [x] * [h]",
}


@pytest.mark.parametrize("case", FOLDS)
def test_folds(case):
    before, after = FOLDS[case]
    assert factored(before) == after
    assert factored(after) == after, "factoring is idempotent"


@pytest.mark.parametrize("case", WHOLE)
def test_does_not_fold(case):
    text = WHOLE[case]
    assert factored(text, "h, c" if "c'" in text else "h") == text


def graph_of(nodes, new, labels=None, output=None):
    """An expanded graph over x and one state for each of `new`."""
    states = tuple(State(f"s{k}") for k in range(len(new)))
    inputs = [Input("x", "x"), *(Input("state", s.name) for s in states)]
    names = labels or [""] * len(nodes)
    return ExpandedGraph(
        "a",
        states,
        (*inputs, *nodes),
        ("",) * len(inputs) + tuple(names),
        tuple(new),
        new[0] if output is None else output,
    )


def test_shared_constants_are_copied_not_named():
    one = Constant(1.0)
    cell = factor(graph_of([one, Apply("mul", (1, 2)), Apply("sub", (2, 3))], [4]))
    assert show(cell).splitlines()[1:] == ["s0' = 1 - s0 * 1"]
    named = factor(graph_of([one, Apply("mul", (1, 2)), Apply("sub", (2, 3))], [4], ["one", "", ""]))
    assert show(named).splitlines()[1:] == ["one = 1", "s0' = one - s0 * one"]


def test_shared_nodes_are_named_by_role_else_by_number():
    bracket = [Affine((Connection(0),), 0.0), Affine((Connection(1),), None), Apply("add", (2, 3))]
    gate = [*bracket, Apply("sigmoid", (4,)), Constant(1.0), Apply("sub", (6, 5))]
    rest = [
        Apply("tanh", (0,)),
        Apply("mul", (5, 1)),
        Apply("mul", (7, 8)),
        Apply("add", (9, 10)),
    ]
    cell = factor(graph_of([*gate, *rest], [11]))
    assert show(cell).splitlines()[1:] == ["z = sigmoid[x, s0]", "s0' = z * s0 + (1 - z) * tanh(x)"]
    taken = factor(graph_of([*gate, *rest], [11], [""] * 6 + ["z", "", "", ""]))
    assert taken.labels.count("v1") == 1 and cell.nodes != taken.nodes, "z is the name of tanh(x) here"


def test_dead_nodes_are_no_readers():
    nodes = [
        Affine((Connection(0),), 0.0),
        Affine((Connection(1),), 1.0),
        Apply("add", (2, 3)),
        Apply("tanh", (2,)),
    ]
    assert show(factor(graph_of(nodes, [4]))).splitlines()[1:] == ["s0' = [x, s0, bias=1]"]


def test_a_sum_of_a_thousand_terms_needs_no_recursion():
    nodes = [Affine((Connection(0),), None)]
    for _ in range(1000):
        nodes += [Affine((), 1.0), Apply("add", (len(nodes) + 1, len(nodes) + 2))]
    assert show(factor(graph_of(nodes, [len(nodes) + 1]))).splitlines()[1:] == ["s0' = [x, bias=1000]"]


def test_what_passes_a_limit_of_the_language_is_an_error():
    nodes = [Apply("tanh", (0,))]
    nodes += [Apply("tanh", (k + 2,)) for k in range(100)]
    with pytest.raises(CellError, match="100 nodes"):
        factor(graph_of(nodes, [len(nodes) + 1]))


# Every connection gets a weight of its own by `eye`, so that a graph can be evaluated in plain numbers: the
# value of an affine is the sum of eye * source plus the initial bias. Folding must not change the results.
NUMBERS = st.integers(-3, 3).map(float)


KINDS = ("linear",) * 4 + ("add", "sub") * 3 + ("vector", "mul", "tanh", "constant")


@st.composite
def graphs(draw):
    """Graphs rich in sums: three arguments of four are nodes that nothing reads yet."""
    states = draw(st.integers(1, 2))
    nodes, fresh = [], []

    def argument():
        if fresh and draw(st.integers(0, 3)):
            return fresh.pop(draw(st.integers(0, len(fresh) - 1)))
        return draw(st.integers(0, states + len(nodes)))

    for _ in range(draw(st.integers(1, 24))):
        kind = draw(st.sampled_from(KINDS))
        if kind == "linear":
            source = draw(st.integers(0, states + len(nodes)))
            nodes.append(Affine((Connection(source, eye=draw(NUMBERS) + 0.5),), draw(st.none() | NUMBERS)))
        elif kind == "vector":
            nodes.append(Affine((), draw(NUMBERS)))
        elif kind == "constant":
            nodes.append(Constant(draw(NUMBERS)))
        elif kind == "tanh":
            nodes.append(Apply("tanh", (argument(),)))
        else:
            nodes.append(Apply(kind, (argument(), argument())))
        fresh.append(states + len(nodes))
    labels = [f"n{k}" if draw(st.integers(0, 15)) == 0 else "" for k in range(len(nodes))]
    last = states + len(nodes)
    new = [last, *(draw(st.integers(states + 1, last)) for _ in range(states - 1))]
    return graph_of(nodes, new, labels, draw(st.sampled_from([*new, states + 1])))


def values(graph, inputs):
    found = []
    for i, node in enumerate(graph.nodes):
        if isinstance(node, Input):
            found.append(inputs[i])
        elif isinstance(node, Constant):
            found.append(node.value)
        elif isinstance(node, Affine):
            found.append(sum(c.eye * found[c.source] for c in node.connections) + (node.bias or 0.0))
        elif node.op == "tanh":
            found.append(math.tanh(found[node.args[0]]))
        else:
            a, b = (found[s] for s in node.args)
            found.append({"add": a + b, "sub": a - b, "mul": a * b}[node.op])
    return [found[i] for i in (*graph.new, graph.output)]


@pytest.mark.long
@settings(max_examples=400, deadline=None)
@given(graphs(), st.lists(st.floats(-1, 1), min_size=3, max_size=3))
def test_folding_keeps_the_function(graph, inputs):
    cell = factor(graph)
    for before, after in zip(values(graph, inputs), values(cell, inputs), strict=True):
        assert math.isclose(before, after, rel_tol=1e-9, abs_tol=1e-9) or abs(before) > 1e12
    for before, after in zip(values(cell, inputs), values(expand(cell), inputs), strict=True):
        assert math.isclose(before, after, rel_tol=1e-9, abs_tol=1e-9) or abs(before) > 1e12


@pytest.mark.long
@settings(max_examples=400, deadline=None)
@given(graphs())
def test_folding_is_idempotent_and_keeps_names(graph):
    cell = factor(graph)
    assert factor(expand(cell)) == cell
    assert fingerprint(factor(expand(cell))) == fingerprint(cell)
    ends = {*graph.new, graph.output}
    living = ends.union(*(ancestors(graph.nodes, i) for i in ends))
    assert {graph.labels[i] for i in living} - {""} <= set(cell.labels)
    assert parse(show(cell)) == cell


@pytest.mark.parametrize("seed", range(60))
def test_any_cell_has_one_folded_form(seed):
    """Cells of all that the language has: clocks, layers below, learned scalars, structures."""
    cell = random_cell(np.random.default_rng(seed), nodes=30, tame=True)
    once = factor(expand(cell))
    assert factor(expand(once)) == once and parse(show(once)) == once
    assert (once.states, once.clock, once.description) == (cell.states, cell.clock, cell.description)
    assert {label for label in cell.labels if label} <= set(once.labels)
