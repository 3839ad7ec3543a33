"""What `build` makes of a graph, and what no cell can be."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cells import cells, random_cell
from hypothesis import given, settings

from cellsearch.dsl import zoo
from cellsearch.dsl.graph import Cell, build, uses_raw_x
from cellsearch.dsl.initial import Drawn
from cellsearch.dsl.invariants import _text_bound
from cellsearch.dsl.nodes import (
    Affine,
    Apply,
    Before,
    Connection,
    Constant,
    Input,
    Node,
    State,
    sources,
)
from cellsearch.dsl.parts import equations
from cellsearch.dsl.text import parse, show
from cellsearch.errors import CellError

X, H = Input("x", "x"), Input("state", "h")


def made(nodes: list[Node], labels: list[str] | None = None, new: int | None = None, **options: Any) -> Cell:
    """A cell with the state h from the nodes after x and h."""
    every = [X, H, *nodes]
    names = ["", "", *(labels or [""] * len(nodes))]
    return build("t", [State("h")], every, names, [len(every) - 1 if new is None else new], **options)


def body(cell: Cell) -> str:
    return show(cell).split("\n", 1)[1].strip()


def test_dead_nodes_are_dropped() -> None:
    cell = made(
        [Apply("tanh", (0,)), Apply("exp", (2,)), Affine((Connection(0),)), Apply("sin", (1,))],
        ["a", "b", "", ""],
    )
    assert body(cell) == "h' = sin(h)"
    assert len(cell.nodes) == 3


def test_shared_nodes_get_names_that_are_free() -> None:
    nodes: list[Node] = [
        Apply("tanh", (0,)),
        Apply("mul", (2, 2)),
        Apply("exp", (3,)),
        Apply("add", (3, 4)),
        Apply("sub", (4, 5)),
    ]
    assert body(made(nodes)) == "v1 = tanh(x)\nv2 = v1 * v1\nv3 = exp(v2)\nh' = v3 - (v2 + v3)"
    assert (
        body(made(nodes, ["", "", "v1", "", ""]))
        == "v2 = tanh(x)\nv3 = v2 * v2\nv1 = exp(v3)\nh' = v1 - (v3 + v1)"
    )
    assert body(made(nodes, ["v2", "", "", "v1", ""])).startswith(
        "v2 = tanh(x)\nv3 = v2 * v2\nv4 = exp(v3)\nv1 = "
    )


def test_labels_that_cannot_stand_are_dropped() -> None:
    nodes: list[Node] = [Apply("tanh", (0,)), Apply("exp", (2,)), Apply("sin", (3,))]
    for label in ("x", "h", "tanh", "bias", "h'"):
        assert body(made(nodes, [label, "", ""])) == "h' = sin(exp(tanh(x)))"
    assert body(made(nodes, ["a", "a", ""])) == "a = tanh(x)\nh' = sin(exp(a))", "the first keeps it"
    with pytest.raises(CellError, match="a name has ASCII"):
        made(nodes, ["1a", "", ""])


def test_a_new_value_under_another_name_is_an_alias() -> None:
    cell = made([Apply("tanh", (0,))], ["a"])
    assert body(cell) == "a = tanh(x)\nh' = a"
    assert list(equations(cell)) == [("a", 2), ("h'", 2)]
    assert body(made([], new=0)) == "h' = x"
    assert body(made([], new=1)) == "h' = h"


def test_the_order_of_the_text() -> None:
    nodes: list[Node] = [
        Input("below", "q"),
        Input("tick", "tick"),
        Apply("exp", (1,)),
        Apply("tanh", (0,)),
        Apply("mul", (5, 4)),
    ]
    nodes += [Apply("mul", (6, 2)), Apply("mul", (7, 3))]
    cell = made(nodes, clock=(2,))
    assert [type(n).__name__ for n in cell.nodes] == ["Input"] * 4 + ["Apply"] * 5
    assert cell.nodes[2] == Input("tick", "tick"), "tick stands before what lies below"
    assert cell.nodes[4] == Apply("tanh", (0,)), "parts come in the order of their reading"


@given(cells())
@settings(max_examples=80, deadline=None)
def test_building_again_changes_nothing(cell: Cell) -> None:
    again = build(
        cell.name, cell.states, cell.nodes, cell.labels, cell.new, cell.output, cell.clock, cell.description
    )
    assert again == cell
    assert hash(again) == hash(cell)
    for i, node in enumerate(cell.nodes):
        assert all(i in cell.users[s] for s in sources(node))


MALFORMED: dict[str, tuple[Callable[[], Cell], str]] = {
    "no state": (lambda: build("t", [], [X], [""], []), "exactly one new value"),
    "no new value": (lambda: build("t", [State("h")], [X, H], ["", ""], []), "exactly one new value"),
    "a cycle": (lambda: made([Apply("tanh", (3,)), Apply("exp", (2,))]), "does not read earlier nodes"),
    "itself": (lambda: made([Apply("tanh", (2,))]), "does not read earlier nodes"),
    "nothing there": (lambda: made([Apply("tanh", (-1,))]), "does not read earlier nodes"),
    "unknown op": (lambda: made([Apply("tanhh", (0,))]), "unknown op 'tanhh'"),
    "too few arguments": (lambda: made([Apply("mul", (0,))]), "mul takes 2 arguments"),
    "too many arguments": (lambda: made([Apply("tanh", (0, 1))]), "tanh takes 1 arguments"),
    "empty bracket": (lambda: made([Affine((), None)]), "is empty"),
    "scalar with connections": (
        lambda: made([Affine((Connection(0),), 0.0, True)]),
        "scalar has no connections",
    ),
    "connected twice": (
        lambda: made([Affine((Connection(0), Connection(0, eye=1.0)))]),
        "twice in the same way",
    ),
    "peephole with eye": (
        lambda: made([Affine((Connection(1, True, 1.0),))]),
        "peephole has no matrix structure",
    ),
    "unknown matrix": (
        lambda: made([Affine((Connection(1, structure="diagonal"),))]),
        "unknown matrix structure 'diagonal'",
    ),
    "rank without a number": (lambda: made([Affine((Connection(1, structure="rank"),))]), "@rank takes rank"),
    "rank 0": (lambda: made([Affine((Connection(1, structure="rank", part=0),))]), "from 1 to 65536"),
    "blocks without end": (
        lambda: made([Affine((Connection(1, structure="blocks", part=65_537),))]),
        "number of blocks is a whole number",
    ),
    "a number of skew": (
        lambda: made([Affine((Connection(1, structure="skew", part=2),))]),
        "@skew takes no number",
    ),
    "a number of nothing": (
        lambda: made([Affine((Connection(1, part=2),))]),
        "a number needs a matrix structure",
    ),
    "rank with eye": (
        lambda: made([Affine((Connection(1, eye=1.0, structure="rank", part=2),))]),
        "@rank cannot be combined with @eye",
    ),
    "skew x": (lambda: made([Affine((Connection(0, structure="skew"),))]), "source of width H"),
    "skew of an earlier x": (
        lambda: made([Before(0), Affine((Connection(2, structure="skew"),))]),
        "source of width H",
    ),
    "peephole of a rank": (
        lambda: made([Affine((Connection(1, True, structure="rank", part=2),))]),
        "peephole has no matrix structure",
    ),
    "before 0": (lambda: made([Before(1, 0)]), "looks back 1 to 1000 steps"),
    "before too much": (lambda: made([Before(1, 1001)]), "looks back 1 to 1000 steps"),
    "before itself": (lambda: made([Before(2)]), "does not read earlier nodes"),
    "uniform upside down": (
        lambda: made([Affine((Connection(0),), Drawn("uniform", (1.0, 0.0)))]),
        "low <= high",
    ),
    "uniform inf": (
        lambda: made([Affine((Connection(0),), Drawn("uniform", (0.0, float("inf"))))]),
        "must be finite",
    ),
    "slower without clock": (
        lambda: made([Affine((Connection(1, structure="slower"),))]),
        "@slower needs a clock",
    ),
    "slower x": (
        lambda: made([Affine((Connection(0, structure="slower"),))], clock=(1,)),
        "source of width H",
    ),
    "tick without clock": (lambda: made([Input("tick", "tick"), Apply("tanh", (2,))]), "tick needs a clock"),
    "tick by another name": (
        lambda: made([Input("tick", "tock"), Apply("tanh", (2,))], clock=(1,)),
        "no other name",
    ),
    "two ticks": (
        lambda: made([Input("tick", "tick"), Input("tick", "tick"), Apply("mul", (2, 3))], clock=(1,)),
        "an input appears twice",
    ),
    "unknown input": (lambda: made([Input("above", "c"), Apply("tanh", (2,))]), "unknown input 'above'"),
    "below an op": (
        lambda: made([Input("below", "tanh"), Apply("exp", (2,))]),
        "'tanh' is the name of an op",
    ),
    "nan": (lambda: made([Constant(float("nan"))]), "must be finite"),
    "inf": (lambda: made([Constant(float("inf"))]), "must be finite"),
    "bias inf": (lambda: made([Affine((Connection(0),), float("inf"))]), "must be finite"),
    "eye nan": (lambda: made([Affine((Connection(0, eye=float("nan")),))]), "must be finite"),
    "start inf": (
        lambda: build("t", [State("h", float("inf"))], [X, H], ["", ""], [1]),
        "must start at a finite number",
    ),
    "period 0": (lambda: made([], clock=(0,)), "a period is a whole number"),
    "periods": (lambda: made([], clock=(1,) * 65), "at most 64 periods"),
    "too deep": (lambda: made([Apply("tanh", (k,)) for k in range(1, 102)]), "more than 100 nodes"),
    "too many": (
        lambda: made(
            [
                *(Affine((Connection(0),)) for _ in range(999)),
                Affine(tuple(Connection(k) for k in range(2, 1001))),
            ]
        ),
        "at most 1000 nodes",
    ),
    "too long": (lambda: made([], description="é" * 40_000), "longer than 64 KiB"),
    "control character": (lambda: made([], description="a\x1b[31m"), "cannot be printed"),
    "carriage return": (lambda: made([], description="a\rb"), "cannot be printed"),
    "right to left": (lambda: made([], description="a\u202eb"), "cannot be printed"),
    "surrogate": (lambda: made([], description="\ud800"), "cannot be printed"),
    "name": (lambda: build("a b", [State("h")], [X, H], ["", ""], [1]), "name is not legal"),
    "name with a line": (lambda: build("a\n", [State("h")], [X, H], ["", ""], [1]), "name is not legal"),
    "long name": (lambda: build("a" * 65, [State("h")], [X, H], ["", ""], [1]), "name is not legal"),
    "state name": (
        lambda: build("t", [State("exp")], [X, Input("state", "exp")], ["", ""], [1]),
        "'exp' is the name of an op",
    ),
    "state called x": (
        lambda: build("t", [State("x")], [X, Input("state", "x")], ["", ""], [1]),
        "the same name",
    ),
    "states out of order": (lambda: build("t", [State("c")], [X, H], ["", ""], [1]), "order of the header"),
    "x elsewhere": (lambda: build("t", [State("h")], [H, X], ["", ""], [0]), "the first node must be x"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_no_cell_is_malformed(case: str) -> None:
    make, message = MALFORMED[case]
    with pytest.raises(CellError, match=message):
        make()


def test_the_constructor_checks_too() -> None:
    cell = zoo.load("gru")
    for change in (
        {"labels": ("",) * len(cell.nodes)},
        {"new": (99,)},
        {"output": -1},
        {"nodes": cell.nodes[:-1]},
        {"states": (*cell.states, State("c"))},
        {"labels": (*cell.labels[:-1], "c'")},
    ):
        with pytest.raises(CellError):
            replace(cell, **change)  # type: ignore[arg-type]


def test_where_x_must_have_the_hidden_width() -> None:
    assert uses_raw_x(parse("cell t(x; h)\nh' = x"))
    assert uses_raw_x(parse("cell t(x; h)\nh' = [.x]"))
    assert uses_raw_x(parse("cell t(x; h) -> x\nh' = [x]"))
    assert not uses_raw_x(parse("cell t(x; h)\nh' = tanh[x, h]"))


def test_the_bound_on_the_text_holds() -> None:
    rng = np.random.default_rng(7)
    for _ in range(300):
        cell = random_cell(rng, nodes=30)
        assert len(show(cell).encode()) <= _text_bound(cell)
