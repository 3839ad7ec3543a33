"""What reaches the output of a cell through time."""

import pytest

from cellsearch.dsl.reach import hears, remembers
from cellsearch.dsl.text import parse


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
