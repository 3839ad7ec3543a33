# ruff: noqa: RUF001  (look-alikes are what is tested)
"""Any text gives a cell or a located error, in bounded time: noise, damaged cells, deep and long texts."""

import gc
import sys
import time

import pytest
from covering import ZOO
from hypothesis import given, settings
from hypothesis import strategies as st

from cellsearch.dsl import zoo
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.limits import KEYWORDS, MAX_NESTING
from cellsearch.dsl.ops import OPS
from cellsearch.dsl.text import parse, show
from cellsearch.errors import TextError

TEXTS = [zoo.text(name) for name in zoo.names()]
PIECES = [
    *OPS, *KEYWORDS, *"+-*/=,;()[].@'#_", "->", "\n", " ", "\r\n", "\ufeff", "х", "\u202e", "\0", "é", "\ud800",
    *"0 1 1e9 -1 x h c h' eye slower @eye(1) @slower @rank(2) @blocks( @skew before( uniform( bias=1 bias=none".split(),
    *"scalar=2 tanh[ sigmoid( below(c)".split(), "before(c, 2)", "bias=uniform(-1, 1)", "i = ", "[x, h]", "h' = ", "c' = ",
    "clock 1, 2\n", "cell t(x; h, c)\n",
]  # fmt: skip


def read(text: str) -> Cell | TextError:
    """What parse makes of a text; anything else than these two escapes and fails the test."""
    try:
        cell = parse(text)
    except TextError as error:
        assert error.place is not None
        assert error.place.line >= 1
        assert error.place.column >= 1
        assert error.message
        assert error.remedy
        assert str(error).isprintable() or all(line.isprintable() for line in str(error).split("\n"))
        return error
    assert parse(show(cell)) == cell
    return cell


@given(st.binary(max_size=400))
@settings(max_examples=200, deadline=None)
def test_noise(data: bytes) -> None:
    read(data.decode("utf-8", "replace"))
    read("cell t(x; h)\n" + data.decode("latin-1"))


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_characters(text: str) -> None:
    read(text)
    read(f"cell t(x; h)\nh' = {text}")
    read(f"# {text}\ncell t(x; h)\nh' = x")


@given(st.lists(st.sampled_from(PIECES), max_size=40))
@settings(max_examples=300, deadline=None)
def test_words_of_the_language_in_any_order(pieces: list[str]) -> None:
    read(" ".join(pieces))
    read("cell t(x; h, c)\nh' = " + " ".join(pieces) + "\nc' = c")


@pytest.mark.long
@given(
    st.sampled_from(TEXTS),
    st.lists(
        st.tuples(st.integers(0, 2_000), st.integers(0, 12), st.sampled_from(["", *PIECES])), max_size=5
    ),
)
@settings(max_examples=300, deadline=None)
def test_damaged_zoo_files(text: str, damage: list[tuple[int, int, str]]) -> None:
    body = text[text.index("cell ") :]
    for at, length, piece in damage:
        at %= len(body) + 1
        body = body[:at] + piece + body[at + length :]
    read(body)


@pytest.mark.parametrize("name", ZOO)
def test_every_prefix_of_a_zoo_file(name: str) -> None:
    text = zoo.text(name)
    for end in range(text.index("cell "), len(text), 3):
        read(text[:end])


LIMIT = 65_000
HEAD = "cell t(x; h)\n"
LONG = {
    "one_name": "a" * LIMIT,
    "one_number": HEAD + "h' = " + "9" * LIMIT,
    "one_small_number": HEAD + "h' = 0." + "0" * LIMIT + "1",
    "one_exponent": HEAD + "h' = 1e" + "9" * LIMIT,
    "brackets": HEAD + "h' = " + "[" * LIMIT,
    "parentheses": HEAD + "h' = " + "(" * LIMIT,
    "closing": HEAD + "h' = " + ")" * LIMIT,
    "matched": HEAD + "h' = " + "(" * (LIMIT // 2) + ")" * (LIMIT // 2),
    "minus": HEAD + "h' = " + "-" * LIMIT,
    "dots": HEAD + "h' = [" + "." * LIMIT,
    "sum": HEAD + "h' = h" + "+h" * (LIMIT // 2),
    "numbers": HEAD + "h' = 1" + "+1" * (LIMIT // 2),
    "primes": HEAD + "h" + "'" * LIMIT,
    "options": HEAD + "h' = [" + "bias=1," * (LIMIT // 7),
    "matrices": HEAD + "h' = [h" + "@eye(1)" * (LIMIT // 7),
    "connections": HEAD + "h' = [" + "h," * (LIMIT // 2),
    "arguments": HEAD + "h' = max(" + "h," * (LIMIT // 2),
    "equations": HEAD + "".join(f"a{k} = h * h\n" for k in range(LIMIT // 13)),
    "constants": HEAD + "".join(f"a{k} = 1\n" for k in range(LIMIT // 10)),
    "used": HEAD
    + "".join(f"a{k}=h*h\n" for k in range(900))
    + "h'=["
    + ",".join(f"a{k}" for k in range(900))
    + "]",
    "ladder": HEAD + "a0=h*h\n" + "".join(f"a{k + 1}=a{k}*a{k}\n" for k in range(99)) + "h' = a99",
    "all_to_all": HEAD
    + "a0=[h]\n"
    + "".join(f"a{k}=[{','.join(f'a{j}' for j in range(k))}]\n" for k in range(1, 99))
    + "h' = a98",
    "same_names": HEAD + "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab = h\n" * (LIMIT // 44),
    "near_names": HEAD
    + "".join(f"{'ab' * 28}{k:03} = h * h\n" for k in range(700))
    + f"h' = {'ba' * 28}xyz + "
    + " + ".join(f"{'ab' * 28}{k:03}" for k in range(200)),
    "states": "cell t(x; " + ", ".join(f"s{k}" for k in range(LIMIT // 8)),
    "clocks": HEAD + "clock " + "1," * (LIMIT // 2),
    "comments": "#\n" * (LIMIT // 2) + HEAD + "h' = x",
    "long_comment": "#" * LIMIT + "\n" + HEAD + "h' = x",
    "lines": HEAD + "\n" * LIMIT + "h' = x",
    "spaces": HEAD + " " * LIMIT + "h' = x",
    "lines_in_brackets": HEAD + "h' = [" + "\n" * LIMIT + "x]",
    "unclosed_lines": HEAD + "h' = [\n" + "a = h,\n" * (LIMIT // 7),
    "heads": HEAD + "a = " * (LIMIT // 4),
    "megabyte": "[" * 1_000_000,
    "ten_megabytes": HEAD + "h' = h\n" * 1_500_000,
    "invisible": HEAD + "\u200b" * (LIMIT // 3),
    "surrogates": HEAD + "\ud800" * (LIMIT // 3),
}


@pytest.mark.parametrize("name", LONG)
def test_long_texts_take_well_under_a_second(name: str) -> None:
    gc.disable()  # what other tests have left would be looked through, which took a second once
    try:
        start = time.process_time()
        read(LONG[name])
        spent = time.process_time() - start
    finally:
        gc.enable()
    assert spent < 1.0, "a bound on work, not a benchmark: usual is a tenth of it"


def nested(levels: int, opening: str) -> str:
    """A text with `levels` of `opening` in one another, around h."""
    closing = "".join({"(": ")", "[": "]"}.get(sign, "") for sign in reversed(opening))
    return f"{HEAD}h' = {opening * levels}h{closing * levels}"


@pytest.mark.parametrize(
    "opening", ["(", "tanh(", "tanh[", "[.(", "[h*(", "before(", "max(h, ", "-(", "h+(", "[before("]
)
def test_nesting_has_a_limit(opening: str) -> None:
    fits = MAX_NESTING // sum(sign in "([" for sign in opening)
    error = read(nested(fits + 1, opening))
    assert isinstance(error, TextError) and "nested more than" in error.message
    assert error.place and error.place.text[error.place.column - 1] in "(["
    frame, depth = sys._getframe(), 0
    while frame.f_back is not None:
        frame, depth = frame.f_back, depth + 1
    limit = sys.getrecursionlimit()
    try:
        for room in range(40, 600, 40):  # a caller may have left little
            sys.setrecursionlimit(depth + room)
            error = read(nested(fits + 1, opening))
            assert isinstance(error, TextError) and "nested more than" in error.message
        sys.setrecursionlimit(depth + 600)  # of the 1,000 that Python has
        assert "nested more than" not in str(read(nested(fits, opening)))
    finally:
        sys.setrecursionlimit(limit)
