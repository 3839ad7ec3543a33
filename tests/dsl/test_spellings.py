"""What people write instead of the language, and what they are told."""

import re

import pytest

from cellsearch.dsl.ops import OPS
from cellsearch.dsl.text import parse
from cellsearch.dsl.text.spellings import CHARACTERS, FUNCTIONS, TABLE, Spelling
from cellsearch.errors import TextError

FRAME = "cell t(x; h, c)\n"


def told(equations: str) -> str:
    """What an error in the equations asks whether it was meant."""
    with pytest.raises(TextError) as caught:
        parse(FRAME + equations)
    found = re.match(r"did you mean (['\"])(.*?)\1\? ", f"{caught.value.remedy} ")
    return found[2] if found else ""


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.wrong)
def test_every_row(row: Spelling) -> None:
    assert told(row.wrong) == row.meant


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_other_libraries(name: str) -> None:
    assert told(f"h' = {name}(c)") == told(f"h' = {name.upper()}[x, h]") == FUNCTIONS[name]
    given = {"max": "(a, h)", "min": "(a, h)"}.get(FUNCTIONS[name], "(a)")
    parse(f"cell t(x; a, h)\na' = h\nh' = {FUNCTIONS[name]}{given * (FUNCTIONS[name] in OPS)}")


@pytest.mark.parametrize("character", CHARACTERS)
def test_characters(character: str) -> None:
    assert told(f"h' = h {character} c") == CHARACTERS[character]


def test_what_is_right_elsewhere_is_not_asked() -> None:
    """Only what stands where the error is: the name of a value that is missing is no spelling."""
    assert told("h' = sigmoid(c) + r * h") == ""
    assert told("h' = W + tanh[x, h]") == ""
    assert told("h' = foo_prev + h") == ""
    assert told("h' = tanh[x, h] + c c") == ""
