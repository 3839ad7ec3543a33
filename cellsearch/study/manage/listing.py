"""The searches of `results/` or of a database, one entry each. Unreadable ones are listed with the reason."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import column, func, select, table

from cellsearch.errors import CellsearchError
from cellsearch.study import studies
from cellsearch.study.leaderboard import board
from cellsearch.study.leaderboard.trust import Trust
from cellsearch.study.storage import heartbeat
from cellsearch.study.studies import RESULTS, Study
from cellsearch.study.system import processes
from cellsearch.study.tables import database
from cellsearch.study.tables.schema import bound
from cellsearch.study.tables.study_facts import Target
from cellsearch.study.tables.transactions import Store, reading

_TRIALS = table("trials", column("study_id"), column("datetime_start"), column("datetime_complete"))


@dataclass(frozen=True, slots=True)
class Entry:
    """A search in a list."""

    name: str
    state: str  # running, stopped, done; copy, of another folder; unreadable
    trials: int | None = None  # proposals, refinements and repeats that have ended
    proposals: int | None = None  # of these
    target: Target | None = None
    best: float | None = None  # the best score of a found cell
    cell: str = ""  # its name
    space: str = ""
    bytes: int | None = None  # size of its folder; None if it is not here
    written: datetime | None = None  # time of the last write, UTC
    error: str = ""  # reason if it is unreadable


def searches(storage: str | None = None, results: Path = RESULTS) -> list[Entry]:
    """The searches of `results` or of the database `storage`, most recently written first."""
    if storage is not None:
        found = [
            _entry(store.name, lambda store=store: studies.read(store))  # type: ignore[misc]
            for store in studies.in_storage(storage)
        ]
    else:
        found = [
            _entry(name, lambda name=name: studies.opened(name, None, results, copies=str), results / name)  # type: ignore[misc]
            for name in studies.folders(results)
        ]
    return sorted(found, key=lambda entry: -entry.written.timestamp() if entry.written else 0.0)


def _entry(name: str, opened: Callable[[], Study], folder: Path | None = None) -> Entry:
    size, written = None, None
    if folder is not None:
        size = sum(file.st_size for file in _files(folder))
        time = studies.written(folder)
        written = None if time is None else datetime.fromtimestamp(time, UTC)
    try:
        study = opened()
    except CellsearchError as error:
        return Entry(name, "unreadable", bytes=size, written=written, error=str(error))
    try:
        if written is None:
            written = _written(study.store)
        return _read(name, study, size, written)
    except CellsearchError as error:
        reason = str(error)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        reason = f"its records cannot be read ({error}); see `cellsearch check`"
    finally:
        study.store.engine.dispose()
    return Entry(name, "unreadable", bytes=size, written=written, error=reason)


def _read(name: str, study: Study, size: int | None, written: datetime | None) -> Entry:
    status = board.status(study.store, study.space, 1)
    first = next((row for row in status.best if row.rank is not None and not row.seed), None)
    if first is None:  # a seed is first, followed by the best mutant
        rows = board.top(study.store, study.space, 1 + len(study.space.seeds), Trust())[0]
        first = next((row for row in rows if row.rank is not None and not row.seed), None)
    if name != study.store.name:
        state = "copy"
    elif status.finished:
        state = "done"
    else:
        state = "running" if running(study.store) else "stopped"
    counts = status.counts
    return Entry(
        name, state, counts.trials, counts.proposals, status.target, first.score if first else None,
        first.name if first else "", study.space.name, size, written,
    )  # fmt: skip


def running(store: Store) -> bool:
    """Whether a search or a worker runs on a study. Workers of other machines count as running while
    listed."""
    here = processes.machine()
    return any(worker.host != here or heartbeat.alive(worker) for worker in heartbeat.listed(store))


def _written(store: Store) -> datetime | None:
    """Time of the last start or end of a trial, by the clock of the writing machine."""
    query = select(func.max(_TRIALS.c.datetime_start), func.max(_TRIALS.c.datetime_complete))
    with reading(store.engine, store.url) as connection:
        row = connection.execute(query.where(_TRIALS.c.study_id == bound(store.study))).one()
    found = [datetime.fromisoformat(time) if isinstance(time, str) else time for time in row if time]
    return max(found).astimezone(UTC) if found else None


def _files(folder: Path) -> Iterator[os.stat_result]:
    """The files below a folder, without following links."""
    with suppress(OSError):
        for entry in os.scandir(folder):
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    yield from _files(Path(entry.path))
                elif entry.is_file(follow_symlinks=False):
                    yield entry.stat(follow_symlinks=False)


def size_of(store: Store, results: Path = RESULTS) -> int:
    """Size in bytes of the folder of a search, or of its database if that is elsewhere."""
    file = database.file_of(store.url)
    folder = file.parent if file is not None else results / store.name
    return sum(found.st_size for found in _files(folder))
