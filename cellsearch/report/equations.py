"""The text of a cell as people see it: coloured as source, and all its equations in one line.

In: the canonical text that `show` gives (rows of a leaderboard keep it too). Out: `Text` of rich, or a line.
"""

import re

from rich.text import Text

from cellsearch.dsl.invariants import KEYWORDS
from cellsearch.dsl.ops import OPS

_TOKEN = re.compile(
    r"(?P<comment>#.*)|(?P<word>[A-Za-z_][A-Za-z0-9_]*'?)|(?P<number>[0-9][0-9.]*(?:e-?[0-9]+)?)|(?P<weights>[\[\]])"
)
_STYLES = {"comment": "dim", "number": "green", "weights": "bold yellow"}


def paint(text: str) -> Text:
    """`text` in colours: ops, words of the language, numbers, and the brackets that own weights."""
    painted = Text(text, no_wrap=True, overflow="ellipsis")
    for match in _TOKEN.finditer(text):
        kind, word = match.lastgroup or "", match.group()
        if kind != "word":
            painted.stylize(_STYLES[kind], match.start(), match.end())
        elif word in OPS:
            painted.stylize("cyan", match.start(), match.end())
        elif word in KEYWORDS:
            painted.stylize("magenta", match.start(), match.end())
    return painted


def lines(text: str) -> list[str]:
    """The lines of a cell's text that compute something: clock and equations."""
    body = [line for line in text.splitlines() if line and not line.startswith("#")]
    return body[1:]  # without the header


def in_short(text: str) -> str:
    """The equations of a cell's text in one line."""
    return "; ".join(lines(text))
