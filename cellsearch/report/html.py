"""Tables of `columns` for a notebook: the same cells as on a terminal, their styles as CSS."""

from collections.abc import Sequence
from itertools import pairwise

from rich.text import Text

from cellsearch import notebook
from cellsearch.report.columns import Column


def table(columns: Sequence[Column]) -> str:
    """The table as HTML; all text in it is escaped."""
    cells = [[_cell(cell, column.code) for cell in column.cells] for column in columns]
    right = [k for k, column in enumerate(columns) if column.right]
    return notebook.table([column.title for column in columns], zip(*cells, strict=True), right)


def _cell(cell: Text, code: bool) -> str:
    """A cell, piece by piece of one style."""
    edges = sorted({0, len(cell), *(edge for span in cell.spans for edge in (span.start, span.end))})
    parts = []
    for start, end in pairwise(edges):
        over = [str(span.style) for span in cell.spans if span.start <= start and end <= span.end]
        parts.append(notebook.styled(cell.plain[start:end], " ".join(over)))
    said = "".join(parts)
    return f"<code>{said}</code>" if code else said
