"""Tables as text that fits a terminal, as CSV, and as Markdown.

Text tables have no frames and no wrapped cells: the caller drops columns or a row is cut with an ellipsis, so
that a row is one line, in a terminal and in grep. At the width `WHOLE`, for files and pipes, nothing is cut.
"""

import csv
import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from rich.text import Span, Text

GAP = 2  # spaces between columns
WHOLE = 1_000_000  # columns of a file or a pipe
PROSE = 120  # columns of prose there

Value = str | int | float | None


@dataclass(frozen=True)
class Column:
    """A title and one cell for each row. The cells do not change."""

    title: str
    cells: Sequence[Text]
    right: bool = False
    values: Sequence[Value] | None = None  # the cells as plain values, unless they are texts
    code: bool = False  # source text, shown as code in Markdown

    @cached_property
    def widths(self) -> list[int]:
        """Terminal width of each cell."""
        return [cell.cell_len for cell in self.cells]

    @cached_property  # read for every line of a table
    def width(self) -> int:
        """Terminal width of the column: the maximum over title and cells."""
        return max(len(self.title), *self.widths, 1)


def text(content: object, style: str = "") -> Text:
    """`content` as literal text, without markup. The style applies only to these words, not to appended
    text."""
    words = Text(str(content), no_wrap=True, overflow="ellipsis")
    if style:
        words.spans.append(Span(0, len(words), style))
    return words


def column(
    title: str, values: Sequence[Value], form: str = "", style: str = "", *, code: bool = False
) -> Column:
    """A column of plain values, right-aligned numbers in the format `form`; None is an empty cell."""
    numbers = any(isinstance(value, int | float) for value in values)
    cells = ["" if v is None else v if isinstance(v, str) else format(v, form) for v in values]
    return Column(title, [text(cell, style) for cell in cells], numbers, values, code)


def as_values(columns: Sequence[Column]) -> dict[str, list[Value]]:
    """Title, with `_` for spaces -> the cells as plain values: numbers are not rounded, None is an empty
    cell."""
    return {
        c.title.replace(" ", "_"): list(
            c.values if c.values is not None else [cell.plain for cell in c.cells]
        )
        for c in columns
    }


def as_csv(columns: Sequence[Column]) -> str:
    """The table as CSV (RFC 4180, lines end with \n), titles first; numbers are not rounded."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    plain = as_values(columns)
    writer.writerow(plain)
    writer.writerows(zip(*plain.values(), strict=True))
    return out.getvalue()


def as_markdown(columns: Sequence[Column]) -> str:
    """The table in GitHub's Markdown, with formatted numbers."""
    rows = [[c.title for c in columns], ["---:" if c.right else "---" for c in columns]]
    marked = [[_marked(cell.plain, c.code) for cell in c.cells] for c in columns]
    rows += [list(row) for row in zip(*marked, strict=True)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _marked(said: str, code: bool) -> str:
    """A cell of Markdown, with escaped bars: a bar would end the cell, even inside code."""
    line = " ".join(said.split())
    if code and line:
        return f"`{line.replace('|', chr(92) + '|')}`"
    return "".join(f"\\{c}" if c in "\\|<`*[" else c for c in line)


#: Value of `--format` -> writer of a table.
FORMATS = {"csv": as_csv, "markdown": as_markdown}


def width_of(columns: Sequence[Column]) -> int:
    """The width of a table of these columns."""
    return sum(column.width for column in columns) + GAP * (len(columns) - 1)


def table(columns: Sequence[Column], width: int, titles: bool = True) -> list[Text]:
    """The lines of a table, the titles first, cut to `width`."""
    rows = [
        ([c.cells[k] for c in columns], [c.widths[k] for c in columns]) for k in range(len(columns[0].cells))
    ]
    if titles:
        rows.insert(0, ([text(c.title, "dim") for c in columns], [len(c.title) for c in columns]))
    found = [_line(cells, widths, columns) for cells, widths in rows]
    return found if width_of(columns) <= width else [cut(line, width) for line in found]


def _line(cells: Sequence[Text], widths: Sequence[int], columns: Sequence[Column]) -> Text:
    parts: list[str] = []
    spans: list[Span] = []
    at, before = 0, 0  # characters so far, and spaces before the next cell
    for cell, own, column in zip(cells, widths, columns, strict=True):
        space = column.width - own
        parts += [" " * (before + space * column.right), cell.plain]
        at += len(parts[-2])
        spans += [span.move(at) for span in cell.spans]
        at += len(parts[-1])
        before = GAP + space * (not column.right)
    line = Text("".join(parts), no_wrap=True, overflow="ellipsis", spans=spans)
    line.rstrip()
    return line


def cut(line: Text, width: int) -> Text:
    """`line` in at most `width` columns, with an ellipsis if it is cut."""
    line.rstrip()
    if line.cell_len > width:
        line.truncate(max(1, width), overflow="ellipsis")
    return line


def wrapped(
    prose: str, width: int, indent: str = "", style: str = "", hanging: str | None = None
) -> list[Text]:
    """Prose in lines of at most `width` columns; `hanging` is the indent from the second line on."""
    later = indent if hanging is None else hanging
    width = PROSE if width > WHOLE // 2 else width  # a part of WHOLE, after a margin
    filled = textwrap.wrap(
        prose,
        max(width, len(later) + 12),
        initial_indent=indent,
        subsequent_indent=later,
        break_on_hyphens=False,
    )
    return [text(line, style) for line in filled]


def facts(pairs: Sequence[tuple[str, str]], width: int) -> list[Text]:
    """Pairs of a word and its description, wrapped beside the word."""
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
