"""A list of searches and the contents of an archive, as lines or values for JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.text import Text

from cellsearch.errors import printable
from cellsearch.report.columns import Column, table, text
from cellsearch.report.formatting import size
from cellsearch.study.manage.archive import Archived
from cellsearch.study.manage.listing import Entry

_STYLES = {"running": "green", "stopped": "yellow", "unreadable": "red"}


def as_json(entries: Sequence[Entry]) -> dict[str, Any]:
    """The list as plain values."""
    return {"searches": [asdict(e) | {"written": e.written and e.written.isoformat()} for e in entries]}


def lines(entries: Sequence[Entry], width: int) -> list[Text]:
    """A line for each search."""
    columns = [
        Column("search", [text(printable(e.name, 100), "bold") for e in entries]),
        Column("state", [text(e.state, _STYLES.get(e.state, "")) for e in entries]),
        Column("trials", [text(_trials(e)) for e in entries], right=True),
        Column("best", [text(_best(e)) for e in entries]),
        Column("space", [text(printable(e.space, 100)) for e in entries]),
        Column("size", [text("" if e.bytes is None else size(e.bytes)) for e in entries], right=True),
        Column("written", [text(_written(e), "dim") for e in entries]),
    ]
    return table(columns, width)


def _trials(entry: Entry) -> str:
    if entry.trials is None or entry.proposals is None or entry.target is None:
        return ""
    word, done, of = entry.target.nearest(entry.trials, entry.proposals)
    return f"{done:,}/{of:,}" if word == "trials" else f"{done:,}/{of:,} {word}"


def _best(entry: Entry) -> str:
    if entry.state == "unreadable":
        return ""
    return "not yet" if entry.best is None else f"{entry.best:.3f} {printable(entry.cell, 40)}"


def _written(entry: Entry) -> str:
    return entry.written.astimezone().strftime("%Y-%m-%d %H:%M") if entry.written else ""


def archive_json(archived: Archived) -> dict[str, Any]:
    """An archive as plain values."""
    files = {path: asdict(member) for path, member in archived.contents.files.items()}
    return {
        "name": archived.contents.name, "file": str(archived.file), "bytes": archived.bytes, "files": files,
        "left_out": list(archived.left_out),
    }  # fmt: skip


def archive_lines(archived: Archived, width: int) -> list[Text]:
    """The contents of an archive, and its size."""
    files = archived.contents.files
    columns = [
        Column("file", [text(printable(path, 300)) for path in files]),
        Column("size", [text(size(member.bytes)) for member in files.values()], right=True),
    ]
    return [*table(columns, width), text(f"{printable(str(archived.file), 4_000)}  {size(archived.bytes)}")]
