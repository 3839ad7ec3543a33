"""Names, shapes and counts of weights."""

import pytest
from cells import cells
from hypothesis import given, settings

from cellsearch.dsl.graph import Cell, build
from cellsearch.dsl.nodes import Affine, Connection, Input, State
from cellsearch.dsl.text import parse, show
from cellsearch.dsl.weights import bracket_names, collision, count, unit_periods, weights
from cellsearch.errors import CellError


def names(text: str, header: str = "cell t(x; h, c)") -> list[str]:
    return [w.name for w in weights(parse(f"{header}\n{text}"))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("i = sigmoid[x, h, .c]\nh' = i\nc' = c", ["i.x", "i.h", "i.c", "i.bias"]),
        ("h' = tanh[x, bias=none]\nc' = c", ["h_new.x"]),
        (
            "h' = [x] * [h] + [scalar=1]\nc' = c",
            ["h_new_1.x", "h_new_1.bias", "h_new_2.h", "h_new_2.bias", "h_new_3.bias"],
        ),
        (
            "c' = h * x\nh' = [c', .c', c, .c]",
            ["h_new.c_new", "h_new.c_new_peephole", "h_new.c", "h_new.c_peephole", "h_new.bias"],
        ),
        ("n = [x, h * c]\nh' = n\nc' = c", ["n.x", "n.2", "n.bias"]),
        ("n = [.below(c), below(c)]\nh' = n\nc' = c", ["n.below_c_peephole", "n.below_c", "n.bias"]),
        ("n = [tick]\nh' = n", ["n.tick", "n.bias"]),
        # numbered by where a bracket opens, listed by node: the inner one is complete first
        ("n = tanh[x, .([h])]\nh' = n\nc' = c", ["n_2.h", "n_2.bias", "n_1.x", "n_1.2", "n_1.bias"]),
    ],
)
def test_names(text: str, expected: list[str]) -> None:
    header = "cell t(x; h)\nclock 1, 2" if "tick" in text else "cell t(x; h, c)"
    assert names(text, header) == expected


@given(cells())
@settings(max_examples=80, deadline=None)
def test_names_are_unique_legal_and_survive_the_text(cell: Cell) -> None:
    found = [w.name for w in weights(cell)]
    assert len(found) == len(set(found))
    assert all(name.replace(".", "_").replace("_", "a").isalnum() for name in found)
    assert all(name.count(".") == 1 for name in found)
    assert weights(parse(show(cell))) == weights(cell)
    brackets = [i for i, node in enumerate(cell.nodes) if isinstance(node, Affine)]
    assert list(bracket_names(cell)) == brackets


def test_shapes() -> None:
    cell = parse("cell t(x; h)\nh' = [x, .x, h, .h, bias=1] * [scalar=2]")
    assert {w.name: w.shape(3, 5) for w in weights(cell)} == {
        "h_new_1.x": (3, 5),
        "h_new_1.x_peephole": (5,),
        "h_new_1.h": (5, 5),
        "h_new_1.h_peephole": (5,),
        "h_new_1.bias": (5,),
        "h_new_2.bias": (1,),
    }
    assert count(cell, 3, 5) == 15 + 5 + 25 + 5 + 5 + 1


def test_names_that_would_collide_are_refused() -> None:
    nodes = [
        Input("x", "x"),
        Input("state", "h"),
        Affine((Connection(0),), None),
        Affine((Connection(1),), None),
        Affine((Connection(2), Connection(3)), None),
    ]
    cell = build("t", [State("h")], nodes, ["", "", "h_new_2", "", "h'"], [4])
    assert collision(cell) is None
    nodes[3] = Affine((Connection(0),), None)
    cell = build("t", [State("h")], nodes, ["", "", "h_new_2", "", "h'"], [4])
    clash = collision(cell)
    assert clash is not None
    assert clash.name == "h_new_2.x"
    with pytest.raises(CellError, match=r"two weights would have the name h_new_2\.x"):
        weights(cell)


def test_what_the_clock_does_not_divide_goes_to_the_shortest_periods() -> None:
    assert unit_periods((1, 2, 4, 8), 8) == (1, 1, 2, 2, 4, 4, 8, 8)
    assert unit_periods((1, 2, 4, 8), 10) == (1, 1, 1, 2, 2, 2, 4, 4, 8, 8)
    assert unit_periods((8, 1), 3) == (8, 1, 1)
    assert unit_periods((2, 2, 1), 5) == (2, 2, 2, 1, 1)
    assert unit_periods((1, 2, 4), 2) == (1, 2)
    assert unit_periods((), 4) == ()


def test_entries_that_are_always_zero_are_no_parameters() -> None:
    text = "cell t(x; h)\nclock 1, 2\nh' = [x, h{}]"
    full, slower = parse(text.format("")), parse(text.format("@slower"))
    assert count(full, 3, 4) - count(slower, 3, 4) == 4
    assert count(full, 3, 5) - count(slower, 3, 5) == 2 * 3
