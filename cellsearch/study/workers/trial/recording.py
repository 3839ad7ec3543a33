"""The record of a trained stage: committed with retries, kept in the outbox until the database takes it."""

import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from cellsearch.errors import RunError, safe
from cellsearch.study.storage import trials
from cellsearch.study.storage.driver import Driver
from cellsearch.study.storage.heartbeat import Heart
from cellsearch.study.tables.database import Unavailable
from cellsearch.study.tables.outbox import Outbox
from cellsearch.study.tables.work_items import Item
from cellsearch.study.workers.retry import patiently
from cellsearch.train.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Stage:
    """A trained stage of the trial of `item`."""

    item: Item
    name: str  # of the stage: the task, or a repeat on it
    outcomes: tuple[Outcome, ...]  # one for each setting
    seconds: float
    label: str  # activity for the live display


def record(
    driver: Driver,
    heart: Heart,
    outbox: Outbox | None,
    stage: Stage,
    report: Callable[[float | None], None],
) -> float | None:
    """Commits a stage, with retries; meanwhile it is in the outbox. It stays there if the database refuses it
    (full disk, changed password): the next worker finds it. Returns the best accuracy of the cell on the task
    so far, which `report` gets in the same transaction."""

    def commit() -> float | None:
        return trials.commit(driver, stage.item, stage.name, stage.outcomes, stage.seconds, report)

    try:
        best = commit()
    except RunError as error:
        heart.doing = f"{stage.label}: trained; the database is unavailable"
        if outbox is not None:
            _keep(outbox, stage, error)
        if not isinstance(error, Unavailable):
            raise
        best = patiently(commit, driver.store.timing)
    if outbox is not None:
        outbox.forget(stage.item, stage.name)
    return best


def _keep(outbox: Outbox, stage: Stage, error: RunError) -> None:
    """Keeps what `error` did not let record."""
    try:
        outbox.keep(stage.item, stage.name, stage.outcomes, stage.seconds)
    except RunError as failure:  # it is still in memory
        with suppress(OSError):  # stderr may be on the same full disk
            print(safe(f"{error}\n{failure}"), file=sys.stderr, flush=True)
