"""The table of `cellsearch bench`: a block for each cell and size, this program first.

In: the report as plain values. Out: lines for a width.
"""

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from rich.text import Text

_WHAT = 45  # the widest name of a contestant
_SIZES = ("cell", "K", "T", "B", "H", "layers", "device", "threads")


def lines(report: Mapping[str, Any], width: int) -> Iterator[Text]:
    """A heading for each cell and size, a line for each row, and the conditions below."""
    what = min(_WHAT, max(20, width - 43))
    for key, group in groupby(report["rows"], lambda row: tuple(row[name] for name in _SIZES)):
        size = dict(zip(_SIZES, key, strict=True))
        layers = "layer" if size["layers"] == 1 else "layers"
        yield Text.assemble(
            (str(size["cell"]), "bold"),
            f"  {size['K']} members, {size['B']} sequences of {size['T']} steps, {size['H']} units,"
            f" {size['layers']} {layers}",
        )
        yield Text(f"  {'':{what}} {'step':>9} {'spread':>8} {'members/s':>10} {'ratio':>7}", "dim")
        for k, row in enumerate(group):
            style = "bold" if k == 0 else "dim" if row["what"].startswith("limit") else ""
            name = row["what"] if len(row["what"]) <= what else row["what"][: what - 1] + "…"
            yield Text(
                f"  {name:{what}} {_time(row['median_s']):>9} {_time(row['spread_s']):>8}"
                f" {row['members_per_s']:>10,.0f} {row['ratio']:>7.2f}",
                style,
            )
        yield Text()
    c = report["conditions"]
    yield Text(
        "step: median of a whole training step, spread between the quartiles; ratio: how many times the"
    )
    yield Text("members a second of that row this program trains")
    yield Text(
        f"{c['device']}, {c['threads']} of {c['cores']} cores, torch {c['torch']}, {c['dtype']},"
        f" {c['vocabulary']} symbols, {c['rounds']} rounds, {c['date']}",
        "dim",
    )


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms" if seconds < 10 else f"{seconds:.1f} s"
