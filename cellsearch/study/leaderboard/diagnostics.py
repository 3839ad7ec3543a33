"""Diagnostics of a search: stages that nothing passes, trials without a worker, a nearly full disk.

Reads the records and the state of this machine; writes nothing.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select

from cellsearch.study.space import Space
from cellsearch.study.space.model import FILTER
from cellsearch.study.states import Ending
from cellsearch.study.storage import heartbeat
from cellsearch.study.storage.heartbeat import Worker
from cellsearch.study.system import processes
from cellsearch.study.tables import database
from cellsearch.study.tables.schema import items, stages
from cellsearch.study.tables.transactions import Store, reading

SCARCE = 200_000_000  # free bytes below which a disk is reported


@dataclass(frozen=True, slots=True)
class Sieve:
    """A stage and the proposals that it filtered."""

    stage: str
    filtered: int
    best: float | None  # their best accuracy; None if all settings diverged
    wanted: float  # required accuracy: at least this in the filter, more than this on a task


def sieves(store: Store, space: Space, units: Mapping[str, float]) -> list[Sieve]:
    """The stages that filtered proposals, in their order."""
    same = (items.c.study == stages.c.study) & (items.c.trial == stages.c.trial)
    query = (
        select(items.c.task, func.count(items.c.trial.distinct()), func.max(stages.c.accuracy))
        .join(stages, same & (items.c.task == stages.c.task), isouter=True)
        .where(items.c.study == store.study, items.c.outcome == Ending.FILTERED)
        .group_by(items.c.task)
    )
    with reading(store.engine, store.url) as connection:
        found = {str(row[0]): (int(row[1]), row[2]) for row in connection.execute(query)}
    wanted = {FILTER: space.filter.accuracy} if space.filter else {}
    wanted |= {task: space.strategy.threshold * unit for task, unit in units.items()}
    return [Sieve(stage, *found[stage], accuracy) for stage, accuracy in wanted.items() if stage in found]


def last_failure(store: Store) -> str:
    """The cause of the last failed trial, else ""."""
    query = select(items.c.cause).where(items.c.study == store.study, items.c.outcome == Ending.FAILED)
    with reading(store.engine, store.url) as connection:
        return str(connection.execute(query.order_by(items.c.trial.desc()).limit(1)).scalar() or "")


def dead(everyone: Sequence[Worker]) -> list[Worker]:
    """Workers of this machine with a dead process; other machines are not checked."""
    here = processes.machine()
    return [w for w in everyone if w.kind == "worker" and w.host == here and not heartbeat.alive(w)]


def abandoned(store: Store, everyone: Sequence[Worker]) -> int:
    """The number of work items of dead or unlisted workers."""
    gone = {worker.id for worker in dead(everyone)}
    living = [worker.id for worker in everyone if worker.id not in gone]
    open_ = (items.c.study == store.study, items.c.outcome == Ending.OPEN, items.c.owner != "")
    query = select(items.c.owner).where(*open_)
    with reading(store.engine, store.url) as connection:
        return sum(worker not in living for worker in connection.execute(query).scalars())


def waiting_stages(results: Path, name: str) -> int:
    """The number of trained stages in the outbox of this machine."""
    try:
        return sum(file.suffix == ".json" for file in (results / name / "outbox").iterdir())
    except OSError:
        return 0


def scarce(store: Store, results: Path) -> list[tuple[str, int]]:
    """The folders on nearly full disks, with their free bytes."""
    file = database.file_of(store.url)
    folders = [file.parent] if file is not None else [results / store.name]
    found = []
    for folder in folders:
        try:
            free = shutil.disk_usage(folder).free
        except OSError:  # missing: this machine writes nothing for this search
            continue
        if free < SCARCE:
            found.append((str(folder), free))
    return found
