"""The canonical text of a cell for display: highlighted as source, or all equations in one line."""

import re

from rich.text import Span, Text

from cellsearch.dsl.limits import KEYWORDS
from cellsearch.dsl.ops import OPS

_TOKEN = re.compile(
    r"(?P<comment>#.*)|(?P<word>[A-Za-z_][A-Za-z0-9_]*'?)|(?P<number>[0-9][0-9.]*(?:e-?[0-9]+)?)|(?P<weights>[\[\]])"
)
_STYLES = {"comment": "dim", "number": "green", "weights": "bold yellow"}


def paint(text: str, shown: int | None = None) -> Text:
    """`text` with highlighted ops, keywords, numbers, and brackets that own weights. Only the first `shown`
    characters are highlighted."""
    spans = []
    end = len(text) if shown is None else shown + 1
    for match in _TOKEN.finditer(text):
        if match.start() >= end:
            break
        kind, word = match.lastgroup or "", match.group()
        style = _STYLES.get(kind) or ("cyan" if word in OPS else "magenta" if word in KEYWORDS else "")
        if style:
            spans.append(Span(match.start(), match.end(), style))
    return Text(text, no_wrap=True, overflow="ellipsis", spans=spans)


def lines(text: str) -> list[str]:
    """The clock and the equations of a cell's text."""
    body = [line for line in text.splitlines() if line and not line.startswith("#")]
    return body[1:]  # without the header


def comment(text: str) -> str:
    """The comment above the header: description and citation."""
    return " ".join(line[1:].strip() for line in text.splitlines() if line.startswith("#"))


def in_short(text: str) -> str:
    """The equations of a cell's text in one line."""
    return "; ".join(lines(text))
