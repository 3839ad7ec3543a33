"""Work on a trial between `queue` and `endings`: decision, claims of settings, recorded stages.

A trial is a proposal, a refinement, the repeats of a cell, or a seed. Its work items determine the worker
that may write to it: a seed has one for each piece of its grids (`baseline`) and one that completes it
(`seed`), any other trial has one. An item keeps its decision, claims and recorded stages if its worker dies;
another worker adopts the trial under the same number. A worker that lost its trial (it was silent for too
long) gets `Superseded`, and its late result is not recorded.

Each function is one transaction, in which Optuna's rows and ours are written together. From `queue.take` to
`endings.finish` a worker locks only its item and its cell.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from cellsearch.errors import RunError
from cellsearch.study.states import Ending
from cellsearch.study.tables.cellrecords import known_in, trained_in
from cellsearch.study.tables.schema import cells, claims, equivalents, functions, items, stages
from cellsearch.study.tables.transactions import Store, Superseded
from cellsearch.study.tables.work_items import Item, item_of, summary
from cellsearch.train.outcome import Outcome

if TYPE_CHECKING:  # reading verbs use this module and load no Optuna
    from cellsearch.study.storage.driver import Driver

RACES = 10  # retries for concurrent records of the same cell


@dataclass(frozen=True, slots=True)
class Proposed:
    """A decision about a trial, in recorded form."""

    kind: str  # propose, refine, repeat
    fingerprint: str
    function: str  # functional fingerprint
    name: str
    text: str
    parent: str
    edits: Sequence[Any] = ()


def decide(
    driver: "Driver",
    item: Item,
    decided: Proposed,
    write: Callable[[str, str], None] = lambda about, text: None,
) -> Item:
    """Records the decision of a trial before any training, for a worker that adopts it. A new cell is
    recorded. A cell with a new fingerprint and a known function is recorded as equivalent; the trial then
    evaluates the known cell. `write` gets the fingerprint of that cell and its text, and writes the rest in
    the same transaction.
    """
    store = driver.store
    cell = {"study": store.study, "fingerprint": decided.fingerprint, "name": decided.name}
    cell |= {"text": decided.text, "parent": decided.parent, "edits": json.dumps(list(decided.edits))}
    for last in (*[False] * RACES, True):
        try:
            with driver.apart() as connection:
                row = locked(connection, driver, item)
                if row.kind:  # already decided: the reply was lost
                    return item_of(row)
                about = _met(connection, store, cell | {"trial": item.trial}, decided.function)
                values = {"kind": decided.kind, "fingerprint": about, "parent": decided.parent}
                set_item(connection, store, item, **values)
                key = (cells.c.study == store.study, cells.c.fingerprint == about)
                write(about, str(connection.execute(select(cells.c.text).where(*key)).scalar_one()))
            return replace(item, kind=decided.kind, fingerprint=about, parent=decided.parent)
        except RunError as error:
            if last or not isinstance(error.__cause__, IntegrityError):
                raise  # otherwise another worker recorded this cell, or an equivalent one, concurrently
    raise AssertionError("the last try returns or raises")


def _met(connection: Connection, store: Store, cell: Mapping[str, Any], function: str) -> str:
    """The fingerprint of the evaluated cell for a cell; records a new one."""
    fingerprint = str(cell["fingerprint"])
    if (known := known_in(connection, store, fingerprint)) is not None:
        return known
    if (trained := trained_in(connection, store, function)) is not None:
        connection.execute(insert(equivalents).values({**cell, "cell": trained}))
        return trained
    connection.execute(insert(cells).values({**cell, "seed": False}))
    key = {"study": store.study, "function": function, "fingerprint": fingerprint}
    connection.execute(insert(functions).values(key))
    return fingerprint


def claim(
    driver: "Driver", item: Item, task: str, choose: Callable[[frozenset[str]], Sequence[str]]
) -> tuple[str, ...]:
    """The settings of a stage, as keys. A stage with claims keeps them; else `choose` selects new ones.
    `choose` gets the settings that this cell has run or is running on the task, in any trial.
    """
    store = driver.store
    with driver.apart() as connection:
        locked(connection, driver, item)
        # claims of one cell are serialised: no setting is chosen twice
        cell = (cells.c.study == store.study, cells.c.fingerprint == item.fingerprint)
        connection.execute(select(cells.c.trial).where(*cell).with_for_update())
        here = (claims.c.study == store.study, claims.c.fingerprint == item.fingerprint)
        rows = connection.execute(
            select(claims.c.setting, claims.c.trial, claims.c.piece)
            .where(*here, claims.c.task == task)
            .order_by(claims.c.place)
        ).all()
        own = tuple(row.setting for row in rows if (row.trial, row.piece) == (item.trial, item.piece))
        if own:
            return own
        chosen = tuple(choose(frozenset(row.setting for row in rows)))
        if chosen:
            key = {"study": store.study, "fingerprint": item.fingerprint, "task": task}
            key |= {"trial": item.trial, "piece": item.piece}
            new = [key | {"setting": setting, "place": place} for place, setting in enumerate(chosen)]
            connection.execute(insert(claims), new)
        return chosen


def commit(
    driver: "Driver",
    item: Item,
    task: str,
    outcomes: Sequence[Outcome],
    seconds: float,
    report: Callable[[float | None], None] = lambda best: None,
) -> float | None:
    """Commits a stage, which may be shown only afterwards. Returns the best accuracy of the cell on the task
    so far, which `report` gets in the same transaction.
    """
    store = driver.store
    stage = summary(item, task, outcomes)
    row: dict[str, Any] = asdict(stage) | {"study": store.study, "seconds": seconds}
    row["outcomes"] = json.dumps([asdict(outcome) for outcome in outcomes], allow_nan=False)
    mine = (stages.c.study == store.study, stages.c.task == task)
    key = (*mine, stages.c.trial == item.trial, stages.c.piece == item.piece)
    with driver.apart() as connection:
        locked(connection, driver, item)
        new = connection.execute(select(stages.c.task).where(*key)).first() is None
        if new:  # otherwise the reply was lost
            connection.execute(insert(stages).values(row))
            set_item(connection, store, item, seconds=items.c.seconds + seconds, attempts=0)
        query = select(func.max(stages.c.accuracy)).where(*mine, stages.c.fingerprint == item.fingerprint)
        best: float | None = connection.execute(query).scalar()
        if new:  # otherwise already reported, and another trial of the cell may have raised the best
            report(best)
    return best


def locked(connection: Connection, driver: "Driver", item: Item) -> Row[Any]:
    """The locked row of an open item of this worker."""
    here = (items.c.study == driver.store.study, items.c.trial == item.trial, items.c.piece == item.piece)
    mine = (items.c.owner == driver.owner, items.c.outcome == Ending.OPEN)
    row = connection.execute(select(items).where(*here, *mine).with_for_update()).first()
    if row is None:
        raise Superseded(f"trial {item.trial}")
    return row


def set_item(connection: Connection, store: Store, item: Item, **values: Any) -> None:
    here = (items.c.study == store.study, items.c.trial == item.trial, items.c.piece == item.piece)
    connection.execute(update(items).where(*here).values(**values))
