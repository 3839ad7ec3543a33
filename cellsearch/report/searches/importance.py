"""The importance of hyperparameters as a table: one row each, one column per task."""

from collections.abc import Mapping

from rich.text import Text

from cellsearch.errors import printable
from cellsearch.report.columns import Column, column, table, text, wrapped

ABOUT = (
    "share of each hyperparameter in the difference between a cell's best settings and the others "
    "(PED-ANOVA), over all trained settings"
)


def columns(found: Mapping[str, Mapping[str, float]]) -> list[Column]:
    """The table for another program: shares from 0 to 1."""
    names = list(dict.fromkeys(name for shares in found.values() for name in shares))
    shared = [column(task, [shares.get(name) for name in names], ".2f") for task, shares in found.items()]
    return [column("hyperparameter", names), *shared]


def lines(found: Mapping[str, Mapping[str, float]], width: int) -> list[Text]:
    """The table in `width` columns."""
    if not found:
        return [text("too few trained settings to estimate importance", "dim")]
    names = list(dict.fromkeys(name for shares in found.values() for name in shares))
    columns = [Column("hyperparameter", [text(name, "bold") for name in names])]
    for task, shares in found.items():
        cells = [text(f"{100 * shares[name]:.0f}%" if name in shares else "") for name in names]
        columns.append(Column(printable(task, 40), cells, right=True))
    return [*table(columns, width), text(""), *wrapped(ABOUT, width, style="dim")]
