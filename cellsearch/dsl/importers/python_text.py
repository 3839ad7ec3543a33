"""The surface of a Python text: statements as tokens with their places, enough to find literals in it.

Nothing is compiled, and nothing recurs: Python's own parser can be brought down by deep nesting.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from cellsearch.dsl.importers.source import Source
from cellsearch.errors import ForeignError

_TOKEN = re.compile(
    r"""(?P<space>  [ \t\f]++ | \\\n | \#[^\n]*+)
      | (?P<newline> \n)
      | (?P<string> [A-Za-z]{0,2}(?:
            \"{3}(?:[^\\"]++|\\.|"(?!""))*+\"{3}
          | '{3}(?:[^\\']++|\\.|'(?!''))*+'{3}
          | "(?!"")(?:[^\\"\n]++|\\.)*+"
          | '(?!'')(?:[^\\'\n]++|\\.)*+'))
      | (?P<name>   [^\W\d]\w*+)
      | (?P<number> [0-9][\w.]*+)
      | (?P<mark>   .)""",
    re.VERBOSE | re.DOTALL,
)
IN_PYTHON = "is this a Python file?"
_CLOSES = {")": "(", "]": "[", "}": "{"}


class Token(NamedTuple):
    """A word of the text: a "string", "name", "number" or "mark", and in how many brackets it stands."""

    kind: str
    text: str
    start: int
    end: int
    depth: int


def statements(source: Source) -> Iterator[list[Token]]:
    """The statements that begin in the first column, or behind one that does, each as its tokens."""
    found: list[Token] = []
    open_: list[Token] = []
    position, line, begins, outside = 0, 0, True, True
    while match := _TOKEN.match(source.text, position):
        kind, start, position = match.lastgroup, match.start(), match.end()
        assert kind is not None
        if kind == "space":
            continue
        text = match[0]
        if not open_ and (kind == "newline" or text == ";"):
            if found and outside:
                yield found
            found = []
            if kind == "newline":
                line, begins = position, True
            continue
        if kind == "newline":
            continue
        if text in ('"', "'"):
            raise source.error("a string does not end", start, position, IN_PYTHON)
        if begins and not open_:
            begins, outside = False, start == line
        found.append(_nested(source, Token(kind, text, start, position, 0), open_))
    if open_:
        raise _unclosed(source, open_)
    if found and outside:
        yield found


def call(source: Source, start: int, end: int) -> list[Token]:
    """The tokens of the call that begins at `start`, to the bracket that closes it, which must stand before
    `end`."""
    found: list[Token] = []
    open_: list[Token] = []
    position = start
    while match := _TOKEN.match(source.text, position, end):
        kind, position = match.lastgroup, match.end()
        assert kind is not None
        if kind in ("space", "newline"):
            continue
        if match[0] in ('"', "'"):
            raise source.error("a string does not end", match.start(), position, "is the line whole?")
        found.append(_nested(source, Token(kind, match[0], match.start(), position, 0), open_))
        if len(found) > 1 and not open_:
            return found
    raise _unclosed(source, open_)


def _nested(source: Source, token: Token, open_: list[Token]) -> Token:
    """The token with its depth, after `open_` has been brought up to date."""
    mark = token.kind == "mark"
    if mark and token.text in _CLOSES:
        if not open_ or open_[-1].text != _CLOSES[token.text]:
            raise source.error(f"{token.text!r} closes nothing", token.start, token.end, IN_PYTHON)
        open_.pop()
    token = token._replace(depth=len(open_))
    if mark and token.text in _CLOSES.values():
        open_.append(token)
    return token


def _unclosed(source: Source, open_: list[Token]) -> ForeignError:
    first = open_[-1]
    return source.error(f"{first.text!r} is not closed", first.start, first.end, "is the file whole?")
