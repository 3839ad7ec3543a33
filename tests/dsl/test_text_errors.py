# ruff: noqa: RUF001  (look-alikes are what is tested)
"""Every way in which a text can be wrong gives its message, at its place, with a remedy."""

import re

import pytest

from cellsearch.dsl.limits import MAX_DEPTH, MAX_NODES
from cellsearch.dsl.ops import OPS
from cellsearch.dsl.structures import STRUCTURES
from cellsearch.dsl.text import parse
from cellsearch.dsl.text.messages import TABLE, Message
from cellsearch.errors import TextError

FRAME = "cell t(x; h, c)\n"
WHOLE = (
    "cel",
    "(c",
    "(x; h) c",
    "[c",
    "#",
    "\n",
    "\ufeff",
)  # how an example begins that has no need of the frame


def pattern(template: str) -> str:
    return ".*".join(re.escape(part) for part in re.split(r"\{.*?\}", template))


def refuse(text: str) -> TextError:
    with pytest.raises(TextError) as caught:
        parse(text, file="t.cell")
    return caught.value


@pytest.mark.parametrize(
    ("row", "text"), [pytest.param(r, b, id=f"{r.key}-{k}") for r in TABLE for k, b in enumerate(r.bad)]
)
def test_the_examples_of_the_table(row: Message, text: str) -> None:
    whole = text if text.startswith(WHOLE) else FRAME + text
    error = refuse(whole)
    assert re.fullmatch(pattern(row.message), error.message), f"expected row {row.key}: {error}"
    assert error.place is not None
    assert 1 <= error.place.line <= whole.count("\n") + 1
    assert error.place.column <= len(error.place.text) + 1
    assert str(error).startswith(f"t.cell:{error.place.line}:{error.place.column}: ")
    assert error.remedy


def test_every_message_has_an_example() -> None:
    assert [row.key for row in TABLE if not row.bad] == ["malformed"]
    assert sum(len(row.bad) for row in TABLE) > 200


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        (
            "cell gru(x; h)\n\nz = sigmod[x, h]\nh' = z",
            "t.cell:3:5: unknown function 'sigmod'\n    z = sigmod[x, h]\n        ^^^^^^\n"
            f"did you mean 'sigmoid'? ({', '.join(op.name for op in OPS.values() if not op.symbol)})",
        ),
        (
            "cell t(x; hidden)\nhidden' = hiden * x",
            "t.cell:2:11: unknown name 'hiden'\n    hidden' = hiden * x\n              ^^^^^\n"
            "did you mean 'hidden'? (values here: x, hidden)",
        ),
        (
            "cell t(x; h)\nh' = tanh[x,\n  h\n\nb = 1",
            "t.cell:5:1: expected ',' or ']', found 'b'\n    b = 1\n    ^\nthe '[' of line 2 is not closed",
        ),
        (
            "cell t(x; h)\na = h'\nh' = x",
            "t.cell:2:5: h' is used above its equation in line 3\n    a = h'\n        ^^\n"
            "an equation uses only values above it; move one of them",
        ),
        (
            "cell t(x; h)\nh' = [h@block(8)]",
            "t.cell:2:9: unknown matrix structure 'block'\n    h' = [h@block(8)]\n"
            f"            ^^^^^\ndid you mean 'blocks'? (eye, {', '.join(STRUCTURES)})",
        ),
        (
            "cell t(x; h)\nh' = [h@rank(2.5), x]",
            "t.cell:2:14: the rank of @rank is a whole number from 1 to 65,536, not '2.5'\n"
            "    h' = [h@rank(2.5), x]\n                 ^^^\nas in h@rank(8)",
        ),
        (
            "cell t(x; h)\nh' = before(h, 0) + x",
            "t.cell:2:16: before(v, d) looks back a whole number of steps from 1 to 1,000, not '0'\n"
            "    h' = before(h, 0) + x\n                   ^\nas in before(c, 2); before(c) is one step",
        ),
        (
            "cell t(x; h)\nh' = h − x",
            "t.cell:2:8: U+2212 (MINUS SIGN) has no meaning here\n    h' = h − x\n           ^\n"
            "did you mean '-'? names and operators are ASCII; other characters are allowed in comments",
        ),
        (
            "cell t(x; h)\r\ni = [x] * [h]\r\ni_1 = [.x]\r\nh' = i * i_1",
            "t.cell:3:7: two weights would have the name i_1.x\n    i_1 = [.x]\n          ^\n"
            "rename an equation, or name the connected value",
        ),
    ],
)
def test_whole_messages(text: str, whole: str) -> None:
    assert str(refuse(text)) == whole


def test_the_limits_themselves_are_legal() -> None:
    assert len(parse(f"cell {'t' * 64}(x; {'h' * 64})\n{'h' * 64}' = x").states[0].name) == 64
    depth = parse("cell t(x; h)\nh' = " + "tanh(" * MAX_DEPTH + "h" + ")" * MAX_DEPTH)
    assert len(depth.nodes) == MAX_DEPTH + 2
    lines = "".join(f"a{k} = h * x\n" for k in range(MAX_NODES - 5))
    uses = "h' = [" + ", ".join(f"a{k}" for k in range(MAX_NODES - 5)) + "]\n"
    assert len(parse(f"cell t(x; h)\n{lines}{uses}").nodes) == MAX_NODES - 2
    exact = "cell t(x; h)\nh' = x\n"
    assert parse(exact + "#" * (65_536 - len(exact))).name == "t"
    assert parse(f"cell t(x; h)\nclock {', '.join(['1000000'] * 64)}\nh' = x").clock[63] == 1_000_000


def test_a_cell_whose_text_would_be_too_long_is_refused_where_it_begins() -> None:
    # as short as it can be written, this fits; spelled with spaces it would not
    names = [f"{'a' * 60}{k}" for k in range(480)]
    lines = "".join(f"{name}=x*h\n" for name in names)
    error = refuse(f"cell t(x;h)\n{lines}h'=[{','.join(names)}]")
    assert "64 KiB" in error.message
    assert error.place is not None
    assert error.place.line == 1
