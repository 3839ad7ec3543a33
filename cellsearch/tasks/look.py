"""An overview of a task's data: sizes and vocabulary within a few seconds."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cellsearch.tasks.files import probe
from cellsearch.tasks.table import PARTS, build, parse_options, task

MOST_SYMBOLS = (
    4_000_000  # generated in full up to this size, within 0.4 s of CPU time; above it only a sample
)
ROW = 1_000  # symbols per row of a sample, enough for whole examples
MOST_BYTES = (
    16 * 2**20
)  # read in full up to this size, as words within 2.5 s; of larger files only the start is read


@dataclass(frozen=True, slots=True)
class Look:
    """Known facts of a task's data."""

    sizes: Mapping[str, int]  # part -> symbols; empty if unknown
    vocabulary: int | None
    size: int  # bytes of its files; 0 for generated data
    note: str = ""  # reason for unknown facts


def look(name: str, options: Mapping[str, object], *, batch: int, seed: int, data: Path | None) -> Look:
    """Builds the data of task `name`, or a part that takes little time. Raises DataError like `build`. Skips
    a task that needs a data directory if `data` is None.
    """
    row, parsed = task(name), parse_options(name, options)
    if row.directory and data is None:
        return Look({}, None, 0, "skipped: its files are in a data directory (--data DIR)")
    size = sum(probe(path, f"the text of task '{name}'") for path in row.files(parsed, data))
    if size > MOST_BYTES:
        return Look({}, None, size, "only opened; a search reads it in full")
    chosen = parsed if row.files(parsed, data) else _smaller(parsed, batch)
    found = build(name, asdict(chosen), batch=batch, seed=seed, data=data)
    sizes = {part: getattr(found, part).inputs.size for part in PARTS}
    if chosen == parsed:
        return Look(sizes, found.vocabulary, size)
    return Look(sizes, found.vocabulary, 0, "a sample, since the data is large")


def _smaller(options: Any, batch: int) -> Any:
    """The options with parts of at most MOST_SYMBOLS together, or of ROW symbols a row."""
    wanted = {part: getattr(options, part) for part in PARTS}
    if not all(isinstance(value, int) for value in wanted.values()) or sum(wanted.values()) <= MOST_SYMBOLS:
        return options
    most = max(MOST_SYMBOLS // len(PARTS), ROW * batch)
    return replace(options, **{part: min(value, most) for part, value in wanted.items()})
