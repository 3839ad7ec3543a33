"""Tables of text that fit a terminal. In: columns of cells and a width. Out: lines.

No frames and no wrapping: what does not fit is left out by the caller or cut with an ellipsis, so that a row
stays a row, in a terminal, in a file and in grep.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

GAP = 2  # spaces between columns


@dataclass(frozen=True, slots=True)
class Column:
    """A title and one cell for each row."""

    title: str
    cells: Sequence[Text]
    right: bool = False

    @property
    def width(self) -> int:
        return max(len(self.title), *(cell.cell_len for cell in self.cells), 1)


def text(content: object, style: str = "") -> Text:
    """`content` as it is: no markup is read from it. The style is that of these words alone, not of what is
    appended."""
    return Text(no_wrap=True, overflow="ellipsis").append(str(content), style)


def width_of(columns: Sequence[Column]) -> int:
    """The width of a table of these columns."""
    return sum(column.width for column in columns) + GAP * (len(columns) - 1)


def table(columns: Sequence[Column], width: int, titles: bool = True) -> list[Text]:
    """The lines of a table, the titles first; what does not fit in `width` is cut."""
    lines = [_line([text(c.title, "dim") for c in columns], columns, width)] if titles else []
    rows = len(columns[0].cells)
    return lines + [_line([c.cells[k] for c in columns], columns, width) for k in range(rows)]


def _line(cells: Sequence[Text], columns: Sequence[Column], width: int) -> Text:
    line = text("")
    for k, (cell, column) in enumerate(zip(cells, columns, strict=True)):
        space = " " * (column.width - cell.cell_len)
        line.append(" " * (GAP if k else 0) + (space if column.right else ""))
        line.append_text(cell)
        if not column.right and k + 1 < len(columns):
            line.append(space)
    return cut(line, width)


def cut(line: Text, width: int) -> Text:
    """`line` in at most `width` columns, with an ellipsis where something is missing."""
    line.rstrip()
    if line.cell_len > width:
        line.truncate(max(1, width), overflow="ellipsis")
    return line


def wrapped(
    prose: str, width: int, indent: str = "", style: str = "", hanging: str | None = None
) -> list[Text]:
    """Prose in lines of at most `width` columns; `hanging` is the indent from the second line on."""
    later = indent if hanging is None else hanging
    filled = textwrap.wrap(
        prose,
        max(width, len(later) + 12),
        initial_indent=indent,
        subsequent_indent=later,
        break_on_hyphens=False,
    )
    return [text(line, style) for line in filled]


def facts(pairs: Sequence[tuple[str, str]], width: int) -> list[Text]:
    """Pairs of a word and what is said about it, the latter wrapped beside the word."""
    margin = max(len(word) for word, _ in pairs) + GAP
    lines: list[Text] = []
    for word, said in pairs:
        if width < margin + 16:
            lines += [text(word, "bold"), *wrapped(said, width, "  ")]
            continue
        beside = wrapped(said, width - margin) or [text("")]
        for k, part in enumerate(beside):
            line = text(f"{word if k == 0 else '':{margin}}", "bold")
            line.append_text(part)
            lines.append(cut(line, width))
    return lines
