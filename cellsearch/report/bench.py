"""The tables of `cellsearch bench`: a block per cell and size with this program first, the profile of a step,
and the totals of a mix.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.text import Text

_WHAT = 45  # width of the longest contestant name
_SIZES = ("cell", "K", "T", "B", "H", "layers", "device", "threads")


def lines(report: Mapping[str, Any], width: int) -> Iterator[Text]:
    """A heading per cell and size, a line per row, and the conditions at the end."""
    what = min(_WHAT, max(20, width - 49))
    parts = {key: list(group) for key, group in _groups(report.get("parts", ()))}
    for key, group in _groups(report["rows"]):
        yield _heading(key)
        yield from _table(list(group), what)
        if key in parts:
            yield from _parts(parts[key], what)
        yield Text()
    for (cell, space), group in groupby(
        report.get("totals", ()), lambda total: (total["cell"], total["space"])
    ):
        rows = list(group)
        yield Text.assemble(
            (str(cell), "bold"),
            f"  a window of all {rows[0]['groups']} groups of {rows[0]['settings']} settings of {space},"
            f" {rows[0]['B']} sequences of {rows[0]['T']} steps",
        )
        yield from _table(rows, what)
        yield Text()
    c = report["conditions"]
    yield Text(
        "step: median of a whole training step, spread between the quartiles; ratio: how many times the"
    )
    yield Text("members a second of that row this program trains; peak: multiply-adds of the row's matrix")
    yield Text("products, over the whole step, as a share of this core's peak")
    yield Text(
        f"{c['device']}, {c['threads']} of {c['cores']} cores, {c['clock']}, torch {c['torch']},"
        f" {c['dtype']}, {c['vocabulary']} symbols, {c['rounds']} rounds, {c['date']}",
        "dim",
    )
    if "blas" in c:
        yield Text(", ".join(_machine(c)), "dim")


def _machine(c: Mapping[str, Any]) -> Iterator[str]:
    """The measured speed of the CPU."""
    if "peak_gflop_per_s" in c:
        yield f"peak {c['peak_gflop_per_s']:,.0f} GFLOP/s ({c['instructions']}, {c['compiler']})"
    yield f"products of 1024 x 1024 {c['blas_gflop_per_s']:,.0f} GFLOP/s ({c['blas']})"
    if "jax" in c:
        yield f"jax {c['jax']}"


def _groups(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[tuple[Any, ...], Iterator[Any]]]:
    return groupby(rows, lambda row: tuple(row[name] for name in _SIZES))


def _heading(key: Sequence[Any]) -> Text:
    size = dict(zip(_SIZES, key, strict=True))
    layers = "layer" if size["layers"] == 1 else "layers"
    members = "member" if size["K"] == 1 else "members"
    return Text.assemble(
        (str(size["cell"]), "bold"),
        f"  {size['K']} {members}, {size['B']} sequences of {size['T']} steps, {size['H']} units,"
        f" {size['layers']} {layers}",
    )


def _table(rows: Sequence[Mapping[str, Any]], what: int) -> Iterator[Text]:
    """A line per contestant; the first is this program."""
    yield Text(f"  {'':{what}} {'step':>9} {'spread':>8} {'members/s':>10} {'ratio':>7} {'peak':>5}", "dim")
    for k, row in enumerate(rows):
        style = "bold" if k == 0 else "" if row.get("trains", True) else "dim"
        share = "" if row.get("peak_share") is None else f"{row['peak_share']:.0%}"
        name = row["what"] if len(row["what"]) <= what else row["what"][: what - 1] + "…"
        yield Text(
            f"  {name:{what}} {_time(row['median_s']):>9} {_time(row['spread_s']):>8}"
            f" {row['members_per_s']:>10,.0f} {row['ratio']:>7.2f} {share:>5}",
            style,
        )


def _parts(parts: Sequence[Mapping[str, Any]], what: int) -> Iterator[Text]:
    """The profile of a step."""
    yield Text(f"  {'profile (' + parts[0]['engine'] + ')':{what}} {'time':>9} {'share':>8}", "dim")
    for part in parts:
        yield Text(f"  {part['part']:{what}} {_time(part['seconds']):>9} {part['share']:>8.1%}")


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms" if seconds < 10 else f"{seconds:.1f} s"
