"""The data of a task at a glance: sizes and vocabulary in, at most, a few seconds."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cellsearch.tasks.files import probe
from cellsearch.tasks.table import PARTS, build, parse_options, task

MOST_SYMBOLS = 4_000_000  # generated in full, within 0.4 s of CPU time; of larger tasks a sample is generated
ROW = 1_000  # symbols of a row of a sample, so that it has whole examples
MOST_BYTES = (
    16 * 2**20
)  # read in full, as words within 2.5 s; larger files are opened and their start is read


@dataclass(frozen=True, slots=True)
class Look:
    """What is known of a task's data."""

    sizes: Mapping[str, int]  # part -> symbols; empty where they are not known
    vocabulary: int | None
    size: int  # bytes of its files, 0 where the task generates its data
    note: str = ""  # why something is not known


def look(name: str, options: Mapping[str, object], *, batch: int, seed: int, data: Path | None) -> Look:
    """Builds the data of task `name`, or as much of it as takes little time. DataError where `build` has one.

    A task that needs a data directory is not looked at where `data` is None.
    """
    row, parsed = task(name), parse_options(name, options)
    if row.directory and data is None:
        return Look({}, None, 0, "not looked at: its files are in a data directory (--data DIR)")
    size = sum(probe(path, f"the text of task '{name}'") for path in row.files(parsed, data))
    if size > MOST_BYTES:
        return Look({}, None, size, "opened, and read in full by a search alone")
    chosen = parsed if row.files(parsed, data) else _smaller(parsed, batch)
    found = build(name, asdict(chosen), batch=batch, seed=seed, data=data)
    sizes = {part: getattr(found, part).inputs.size for part in PARTS}
    if chosen == parsed:
        return Look(sizes, found.vocabulary, size)
    return Look(sizes, found.vocabulary, 0, "a sample, since the whole is large")


def _smaller(options: Any, batch: int) -> Any:
    """The options with parts of at most MOST_SYMBOLS together, or of ROW symbols a row."""
    wanted = {part: getattr(options, part) for part in PARTS}
    if not all(isinstance(value, int) for value in wanted.values()) or sum(wanted.values()) <= MOST_SYMBOLS:
        return options
    most = max(MOST_SYMBOLS // len(PARTS), ROW * batch)
    return replace(options, **{part: min(value, most) for part, value in wanted.items()})
