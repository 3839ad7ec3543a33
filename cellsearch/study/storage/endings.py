"""Ends of work items: completed by their worker, or released from it.

A trial is told to Optuna in the transaction that ends its item. The item of a dead worker is released:
another worker adopts the trial; after several crashes it fails.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, and_, false, or_, select, update

from cellsearch.study.states import Ending, Kind
from cellsearch.study.storage.trials import locked, set_item
from cellsearch.study.tables.schema import cells, items, studies
from cellsearch.study.tables.transactions import Store, reading, writing
from cellsearch.study.tables.work_items import Item, item_of

if TYPE_CHECKING:  # reading verbs use this module without loading Optuna
    from optuna.trial import Trial

    from cellsearch.study.storage.driver import Driver

RETRIES = 2  # crashes in a row, without a stage recorded in between, after which a trial is retried


def finish(
    driver: "Driver",
    item: Item,
    outcome: str,
    *,
    trial: "Trial | None" = None,
    task: str = "",
    cause: str = "",
    score: float | None = None,
    failures: int | None,
) -> None:
    """Ends an item: baseline, ranked, filtered (at `task`) or failed (with its cause), and tells `trial`,
    which a piece of the baseline does not have.

    After `failures` failed items in a row the study stops, with the cause of the first of them; where None,
    this failure does not count.
    """
    store, values = driver.store, _ended(item, outcome, task, cause, score)
    if outcome == Ending.FAILED and failures is not None:
        with driver.writing() as connection:
            _end(connection, driver, item, values, trial)
            _count_failure(connection, store, cause, failures)
        return
    with driver.apart() as connection:
        _end(connection, driver, item, values, trial)
        # last: all workers share this row, which is locked if there is a streak to end
        streak = (studies.c.id == store.study, studies.c.streak > 0)
        connection.execute(update(studies).where(*streak).values(streak=0, cause=""))


def _ended(item: Item, outcome: str, task: str, cause: str, score: float | None) -> dict[str, Any]:
    """The changed columns of a finished item."""
    task = task or item.task
    return {"owner": "", "outcome": outcome, "task": task, "cause": cause, "score": score}


def _end(
    connection: Connection, driver: "Driver", item: Item, values: Mapping[str, Any], trial: "Trial | None"
) -> None:
    """Tells first: a trial without an owner refuses writes."""
    # imported here: reading verbs do not load Optuna
    from cellsearch.study.storage.driver import tell

    row, store = locked(connection, driver, item), driver.store
    if trial is not None:
        result = {key: values[key] for key in ("outcome", "task", "cause")}
        tell(trial, values["outcome"], values["score"], result | {"seconds": round(row.seconds, 3)})
    set_item(connection, store, item, **values)
    if values["score"] is not None and values["outcome"] == Ending.RANKED:
        cell = (cells.c.study == store.study, cells.c.fingerprint == item.fingerprint)
        connection.execute(update(cells).where(*cell).values(score=values["score"]))


def _count_failure(connection: Connection, store: Store, cause: str, failures: int) -> None:
    """Counts a failure in a row; stops the study at the limit."""
    query = select(studies.c.streak, studies.c.cause).where(studies.c.id == store.study)
    known = connection.execute(query).one()
    change: dict[str, Any] = {"streak": known.streak + 1, "cause": known.cause or cause}
    if known.streak + 1 >= failures:
        first = known.cause or cause or "unknown"
        change["stopped"] = f"{known.streak + 1} evaluations in a row failed; the first one: {first}"
    connection.execute(update(studies).where(studies.c.id == store.study).values(change))


def holders(store: Store) -> list[str]:
    """The workers that own an item."""
    query = select(items.c.owner).where(
        items.c.study == store.study, items.c.outcome == Ending.OPEN, items.c.owner != ""
    )
    with reading(store.engine, store.url) as connection:
        return list(connection.execute(query.distinct()).scalars())


def release(
    store: Store,
    workers: Sequence[str],
    by: str,
    *,
    crash: str = "",
    failures: int,
    among: Sequence[Item] | None = None,
) -> list[int]:
    """Releases the open items of these workers, all or those in `among`, so that others can adopt them;
    returns the numbers of their trials. `by` is the id of this process. `crash` is the cause if a worker
    crashed: such an item is retried `RETRIES` times and then fails. The crash of a worker with several items
    fails none of them: they train one by one afterwards, so that the next crash identifies its trial
    (`workers.cohorts.rounds`).
    """
    query = select(items).where(
        items.c.study == store.study, items.c.outcome == Ending.OPEN, items.c.owner.in_(list(workers))
    )
    if among is not None:
        keys = [and_(items.c.trial == item.trial, items.c.piece == item.piece) for item in among]
        query = query.where(or_(false(), *keys))
    with reading(store.engine, store.url) as connection:
        rows = connection.execute(query).all()
    if not rows:
        return []  # fast path: nothing to release, nothing to lock
    held = Counter(row.owner for row in rows)
    lost = [row for row in rows if row.attempts + bool(crash) > RETRIES and held[row.owner] == 1]
    for row in lost:
        _give_up(store, by, row, f"the worker crashed {row.attempts + 1} times: {crash}", failures)
    with writing(store) as connection:
        for row in connection.execute(query.with_for_update()).all():
            attempts = max(row.attempts, min(row.attempts + bool(crash), RETRIES))
            set_item(connection, store, item_of(row), owner="", attempts=attempts)
    return sorted({int(row.trial) for row in rows})


def _give_up(store: Store, by: str, row: Row[Any], cause: str, failures: int) -> None:
    """Ends an item as failed on behalf of its owner, in one transaction."""
    # imported here: reading verbs do not load Optuna
    from cellsearch.study.storage.driver import open_driver

    item, driver = item_of(row), open_driver(store, by)
    trial = driver.trial(item.trial_id) if item.kind != Kind.BASELINE else None
    with driver.writing() as connection:
        here = (items.c.study == store.study, items.c.trial == item.trial, items.c.piece == item.piece)
        change = update(items).where(*here, items.c.owner == row.owner, items.c.outcome == Ending.OPEN)
        if connection.execute(change.values(owner=by)).rowcount == 1:
            values = _ended(item, Ending.FAILED, "", cause, None) | {"attempts": row.attempts + 1}
            _end(connection, driver, item, values, trial)
            _count_failure(connection, store, cause, failures)
