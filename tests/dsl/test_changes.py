"""The difference of two cells as lines: what a board shows of a mutant."""

import pytest

from cellsearch.dsl import zoo
from cellsearch.dsl.text import parse, show
from cellsearch.dsl.text.changes import changes

LSTM = show(zoo.load("lstm"))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("o = sigmoid[x, h]", "o = tanh[x, h]", ("o: sigmoid -> tanh",)),
        ("c' = f * c + i * g", "c' = f * c - i * g", ("c' = f * c - i * g",)),  # which of the signs?
        ("c' = f * c + i * g", "c' = f * c + tanh(i * g)", ("c' = f * c + tanh(i * g)",)),
        ("i = sigmoid[x, h]", "i = sigmoid[x, h, bias=2]", ("i = sigmoid[x, h, bias=2]",)),
        ("g = tanh[x, h]", "g = tanh[x@rank(8), h]", ("g = tanh[x@rank(8), h]",)),
    ],
)
def test_the_equations_that_differ_are_named(old: str, new: str, expected: tuple[str, ...]) -> None:
    child = show(parse(LSTM.replace(old, new)))
    assert child != LSTM
    assert changes(LSTM, child) == expected


def test_equal_cells_differ_in_nothing_whatever_their_names_and_comments() -> None:
    other = show(parse(LSTM.replace("cell lstm(", "# Another comment.\ncell other(")))
    assert changes(LSTM, other) == () and changes(other, LSTM) == ()


def test_states_clocks_and_outputs_differ_too() -> None:
    plain = show(parse("cell a(x; h)\nn = tanh[x, h]\nh' = n\n"))
    more = show(
        parse("cell a(x; h, m=-1e30) -> n\nclock 1, 2\nn = tanh[x, h]\nh' = tick * n\nm' = n + m + h\n")
    )
    assert changes(plain, more) == (
        "state m=-1e30",
        "output n",
        "clock 1, 2",
        "h' = tick * n",
        "m' = n + m + h",
    )
    assert changes(more, plain) == ("output h'", "h' = n", "without clock, m'")


def test_what_is_gone_comes_last() -> None:
    small = show(parse("cell a(x; h)\no = sigmoid[x, h]\nh' = o * tanh[x]\n"))
    assert changes(LSTM, small) == ("h' = o * tanh[x]", "without i, f, g, c'")
