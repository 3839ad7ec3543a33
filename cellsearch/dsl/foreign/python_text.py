"""The surface of a Python text: statements as tokens with their places, enough to find literals in it.

Nothing is compiled, and nothing recurs: Python's own parser can be brought down by deep nesting.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from cellsearch.dsl.foreign.source import Source

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
            raise source.error("a string does not end", start, position, "is this a Python file?")
        if begins and not open_:
            begins, outside = False, start == line
        if kind == "mark" and text in _CLOSES:
            if not open_ or open_[-1].text != _CLOSES[text]:
                raise source.error(f"{text!r} closes nothing", start, position, "is this a Python file?")
            open_.pop()
        found.append(Token(kind, text, start, position, len(open_)))
        if kind == "mark" and text in _CLOSES.values():
            open_.append(found[-1])
    if open_:
        first = open_[-1]
        raise source.error(f"{first.text!r} is not closed", first.start, first.end, "is the file whole?")
    if found and outside:
        yield found
