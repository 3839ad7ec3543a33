"""The queue of a study: the next trial of a worker. Each poll is one reading transaction; taking an item or
creating a trial is one writing transaction. Workers never wait for each other in the database.
"""

import random
import time
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, false, func, select, update

from cellsearch.study.states import OF_TRIALS, Ending, Kind
from cellsearch.study.storage.rdb import complete, room, totals
from cellsearch.study.tables.queries import stale
from cellsearch.study.tables.schema import bound, items, studies
from cellsearch.study.tables.transactions import Full, Store, alone, gone, reading
from cellsearch.study.tables.work_items import Item, item_of

if TYPE_CHECKING:  # reading verbs use `trials` and load no Optuna
    from cellsearch.study.storage.driver import Driver


class Idle(Enum):
    """The reason that no trial is available."""

    WAIT = "others work on prerequisites"
    DONE = "the search is done or stopped"


def take(driver: "Driver", count: int = 1, patience: int | None = None) -> list[Item] | Idle:
    """Up to `count` trials for the worker of `driver`, in the order of their numbers: its own ones, then the
    first without an owner; else new ones, while the target is not reached and the last `patience` proposals,
    including running ones, have improved the score or still may. Items that complete a seed are taken when
    all pieces of the baseline are done, and new trials are created when every seed is complete. A worker that
    collides with another one at an item retries a little later.
    """
    store, pause = driver.store, 0.02
    while True:
        known, found = _next(store, driver.owner, count, patience)
        if known.stopped or known.halted:  # complete the seed even if the baseline has learned nothing
            found = [row for row in found if row.kind == Kind.SEED and known.stopped]
            if not found:
                return Idle.DONE
        if found:
            mine = [row for row in found if row.owner or _adopt(store, row, driver.owner)]
            if mine:
                return sorted(map(item_of, mine), key=lambda item: (item.trial, item.piece))
        elif _waits(known):
            return Idle.WAIT
        elif known.plateau or not room(known):
            return Idle.DONE
        elif created := _create(driver, count, patience):
            return created
        time.sleep(random.uniform(0, pause))
        pause = min(2 * pause, 2.0)


def _next(store: Store, worker: str, count: int, patience: int | None = None) -> tuple[Any, Sequence[Any]]:
    """The facts for the decision of `take`, from one transaction, and the items of `worker` (just taken, the
    reply was lost, or others were put back), filled up to `count` with the first free ones."""
    open_ = (items.c.study == store.study, items.c.outcome == Ending.OPEN)

    def number(*which: Any) -> Any:
        return select(func.count()).select_from(items).where(*which).scalar_subquery()

    facts = select(
        *totals(store.study),
        studies.c.stopped, studies.c.halted, bound(store.study).label("bound"),
        number(*open_, items.c.kind == Kind.BASELINE).label("pieces"),
        number(*open_, items.c.kind.in_((Kind.BASELINE, Kind.SEED))).label("seeding"),
        number(*open_, items.c.kind.in_(OF_TRIALS)).label("trying"),
        _plateau(store, patience).label("plateau"),
        complete(store.study, patience).label("complete"),
    ).where(studies.c.id == store.study)  # fmt: skip
    order = (items.c.trial, items.c.piece)
    with reading(store.engine, store.url) as connection:
        known = connection.execute(facts).one()
        if known.bound is None:
            raise gone(store)
        own = select(items).where(*open_, items.c.owner == worker).order_by(*order)
        rows = connection.execute(own).all()
        if len(rows) >= count:
            return known, rows
        free = select(items).where(*open_, items.c.owner == "").order_by(*order).limit(count - len(rows))
        if known.pieces:
            free = free.where(items.c.kind != Kind.SEED)
        return known, [*rows, *connection.execute(free).all()]


def _plateau(store: Store, patience: int | None) -> Any:
    """Whether `patience` proposals in a row brought no better score; no query without a limit."""
    return false() if patience is None else stale(store.study) >= patience


def _adopt(store: Store, row: Row[Any], worker: str) -> bool:
    """Makes `worker` the owner of a free item, unless another worker took it first."""
    here = (items.c.study == store.study, items.c.trial == row.trial, items.c.piece == row.piece)
    change = (
        update(items).where(*here, items.c.owner == "", items.c.outcome == Ending.OPEN).values(owner=worker)
    )
    with alone(store) as connection:
        return connection.execute(change).rowcount == 1


def _create(driver: "Driver", count: int, patience: int | None) -> list[Item]:
    """Up to `count` new trials in one transaction; none if the target or `patience` is reached."""
    driver.storage.patience = patience
    if count == 1:  # the study is locked only while the trial is created
        asked = _ask(driver, 1)
    else:
        with driver.apart():
            asked = _ask(driver, count)
    here = (items.c.study == driver.store.study, items.c.trial_id.in_(asked))
    with reading(driver.store.engine, driver.store.url) as connection:
        rows = connection.execute(select(items).where(*here)).all()  # sorted there, SQLite would read all
    return [item_of(row) for row in sorted(rows, key=lambda row: row.trial)]


def _ask(driver: "Driver", count: int) -> list[int]:
    asked: list[int] = []
    with suppress(Full):
        while len(asked) < count:
            asked.append(driver.ask())
    return asked


def _waits(known: Any) -> bool:
    """Whether to wait: for the seeds, for an undecided trial that may not be a proposal, or, near the end of
    a plateau, for a running trial that may improve the score. So the length of a plateau does not depend on
    the number of workers."""
    if (known.plateau or known.complete) and known.trying and room(known):
        return True
    trials = known.trials is None or known.made < known.trials
    proposals = known.proposals is None or known.proposed < known.proposals
    return bool(known.seeding or (trials and proposals and known.undecided and not room(known)))


def waiting(store: Store, worker: str, patience: int | None = None) -> bool:
    """Whether `take` would return WAIT; takes no locks."""
    known, found = _next(store, worker, 1, patience)
    return not found and not known.stopped and not known.halted and _waits(known)
