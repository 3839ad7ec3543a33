"""Work on a study: trials are taken, decided, claimed, recorded stage by stage, and told.

A trial is one proposal or one refinement, or a seed. Its work items say who may write to it: a seed has one
for each piece of its grids (`baseline`) and one that tells it when all pieces are done (`seed`), any other
trial has one. An item keeps its decision, its claims and its recorded stages whatever happens to the worker
that has it; another worker adopts the trial under its own number. A worker that lost its trial (it was silent
for too long) gets `Superseded`, and its late result is not recorded.

Each function here is one transaction or a few, in which Optuna's rows and ours are written together. From
`take` to `finish` a worker locks its item and its cell alone.
"""

import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from cellsearch.errors import RunError
from cellsearch.search.storage.tables import (
    Full,
    Store,
    Superseded,
    alone,
    bound,
    cells,
    claims,
    equivalents,
    functions,
    gone,
    items,
    reading,
    stages,
    studies,
    writing,
)
from cellsearch.train.outcome import Outcome

if TYPE_CHECKING:  # reading verbs use this module and load no Optuna
    from optuna.trial import Trial

    from cellsearch.search.storage.driver import Driver

RETRIES = 2  # crashes in a row, with no stage recorded in between, after which a trial is tried again


class Idle(Enum):
    """Why there is no trial to work on."""

    WAIT = "others are at work on what has to be done first"
    DONE = "everything is done, or was stopped"


@dataclass(frozen=True, slots=True)
class Item:
    """A work item in the hands of a worker."""

    trial: int  # Optuna's number
    piece: int
    trial_id: int
    kind: str  # baseline, seed, propose, refine; "" until it is decided
    fingerprint: str
    parent: str
    task: str  # of a piece of the baseline


@dataclass(frozen=True, slots=True)
class Stage:
    """The record of one cell on one task in one trial, without the single outcomes."""

    trial: int
    piece: int
    task: str
    fingerprint: str
    settings: int
    trained: int
    accuracy: float | None
    loss: float | None
    setting: str | None
    parameters: int | None
    hidden: int | None


@dataclass(frozen=True, slots=True)
class Proposed:
    """A decision about a trial, in the form in which it is recorded."""

    kind: str  # propose, refine
    fingerprint: str
    function: str  # functional fingerprint
    name: str
    text: str
    parent: str
    edits: Sequence[Any] = ()


def take(driver: "Driver", count: int = 1) -> list[Item] | Idle:
    """Up to `count` trials for the worker of `driver`, in this order: those it has, those without an owner,
    new ones while the target is not met.

    The items that tell the seeds are taken when all pieces of the baseline are done, and a new trial is
    created when every seed is told. A worker that meets another one at an item tries again a little later.
    """
    store, pause = driver.store, 0.02
    while True:
        known, found = _next(store, driver.owner, count)
        if known.stopped or known.halted:  # a seed is told also where the baseline has learned nothing
            found = [row for row in found if row.kind == "seed" and known.stopped]
            if not found:
                return Idle.DONE
        if found:
            mine = [row for row in found if row.owner or _adopt(store, row, driver.owner)]
            if mine:
                return [_item(row) for row in mine]
        elif _waits(known):
            return Idle.WAIT
        elif not _room(known):
            return Idle.DONE
        elif created := _create(driver, count):
            return created
        time.sleep(random.uniform(0, pause))
        pause = min(2 * pause, 2.0)


def _next(store: Store, worker: str, count: int) -> tuple[Any, Sequence[Any]]:
    """The facts that `take` decides by, at one moment, and the items that `worker` has (it was just taken, or
    the answer was lost) or else the first that are free."""
    open_ = (items.c.study == store.study, items.c.outcome == "")
    made = items.c.kind.in_(("propose", "refine", ""))

    def number(*which: Any) -> Any:
        return select(func.count()).select_from(items).where(*which).scalar_subquery()

    facts = select(
        studies.c.stopped, studies.c.halted, studies.c.trials, studies.c.proposals,
        bound(store.study).label("bound"),
        number(*open_, items.c.kind == "baseline").label("pieces"),
        number(*open_, items.c.kind.in_(("baseline", "seed"))).label("seeding"),
        number(*open_, items.c.kind == "").label("undecided"),
        number(items.c.study == store.study, made).label("made"),
        number(items.c.study == store.study, items.c.kind == "propose").label("proposed"),
    ).where(studies.c.id == store.study)  # fmt: skip
    order = (items.c.trial, items.c.piece)
    with reading(store.engine, store.url) as connection:
        known = connection.execute(facts).one()
        if known.bound is None:
            raise gone(store)
        own = select(items).where(*open_, items.c.owner == worker).order_by(*order)
        if rows := connection.execute(own).all():
            return known, rows
        free = select(items).where(*open_, items.c.owner == "").order_by(*order).limit(count)
        if known.pieces:
            free = free.where(items.c.kind != "seed")
        return known, connection.execute(free).all()


def _adopt(store: Store, row: Row[Any], worker: str) -> bool:
    """Makes `worker` the owner of a free item, unless another one was faster."""
    here = (items.c.study == store.study, items.c.trial == row.trial, items.c.piece == row.piece)
    change = update(items).where(*here, items.c.owner == "", items.c.outcome == "").values(owner=worker)
    with alone(store) as connection:
        return connection.execute(change).rowcount == 1


def _create(driver: "Driver", count: int) -> list[Item]:
    """Up to `count` new trials, in one transaction; none where the target is met."""
    asked = []
    with driver.apart() as connection:
        for _ in range(count):
            try:
                asked.append(driver.ask())
            except Full:
                break
        here = (items.c.study == driver.store.study, items.c.trial_id.in_(asked))
        rows = connection.execute(select(items).where(*here)).all()  # sorted there, SQLite would read all
    return [_item(row) for row in sorted(rows, key=lambda row: row.trial)]


def _waits(known: Any) -> bool:
    """Whether something else has to come first: the seeds, or a trial that is not decided yet and may turn
    out to be no proposal."""
    trials = known.trials is None or known.made < known.trials
    proposals = known.proposals is None or known.proposed < known.proposals
    return bool(known.seeding or (trials and proposals and known.undecided and not _room(known)))


def _room(known: Any) -> bool:
    """`rdb.room` by the facts of a moment ago."""
    trials = known.trials is None or known.made < known.trials
    return trials and (known.proposals is None or known.proposed + known.undecided < known.proposals)


def waiting(store: Store, worker: str) -> bool:
    """Whether `take` would return WAIT: a look that locks nothing."""
    known, found = _next(store, worker, 1)
    return not found and not known.stopped and not known.halted and _waits(known)


def decide(
    driver: "Driver",
    item: Item,
    decided: Proposed,
    write: Callable[[str, str], None] = lambda about, text: None,
) -> Item:
    """Records what a trial is about before anything trains: a worker that adopts it finds it. A cell not met
    before is recorded.

    A cell that is not known by its fingerprint and is by its function is recorded as equivalent; the trial is
    then about the cell that it is equivalent to. `write` gets the fingerprint of that cell and its
    text, and writes the rest in the same transaction.
    """
    store = driver.store
    cell = {"study": store.study, "fingerprint": decided.fingerprint, "name": decided.name}
    cell |= {"text": decided.text, "parent": decided.parent, "edits": json.dumps(list(decided.edits))}
    while True:
        try:
            with driver.apart() as connection:
                row = _own(connection, driver, item)
                if row.kind:  # decided already: the answer was lost
                    return _item(row)
                about = _met(connection, store, cell | {"trial": item.trial}, decided.function)
                values = {"kind": decided.kind, "fingerprint": about, "parent": decided.parent}
                _set(connection, store, item, **values)
                key = (cells.c.study == store.study, cells.c.fingerprint == about)
                write(about, str(connection.execute(select(cells.c.text).where(*key)).scalar_one()))
            return replace(item, kind=decided.kind, fingerprint=about, parent=decided.parent)
        except RunError as error:
            if not isinstance(error.__cause__, IntegrityError):
                raise  # else another worker has recorded this cell, or an equivalent one, at this moment


def _met(connection: Connection, store: Store, cell: Mapping[str, Any], function: str) -> str:
    """The fingerprint that a cell counts as; a cell not met before is recorded."""
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


def known_in(connection: Connection, store: Store, fingerprint: str) -> str | None:
    """The fingerprint of the recorded cell that a cell met before counts as: its own, or that of the cell it
    is equivalent to."""
    cell = select(cells.c.fingerprint).where(cells.c.study == store.study, cells.c.fingerprint == fingerprint)
    here = (equivalents.c.study == store.study, equivalents.c.fingerprint == fingerprint)
    return connection.execute(cell.union_all(select(equivalents.c.cell).where(*here))).scalar()


def trained_in(connection: Connection, store: Store, function: str) -> str | None:
    """The fingerprint of the cell that is trained for all cells of a functional fingerprint."""
    here = (functions.c.study == store.study, functions.c.function == function)
    return connection.execute(select(functions.c.fingerprint).where(*here)).scalar()


def claim(
    driver: "Driver", item: Item, task: str, choose: Callable[[frozenset[str]], Sequence[str]]
) -> tuple[str, ...]:
    """The settings of a stage, as keys. A stage that has claims keeps them; else `choose` draws from those
    that are not taken.

    `choose` gets the settings that this cell has run or is running on the task, in any trial.
    """
    store = driver.store
    with driver.apart() as connection:
        _own(connection, driver, item)
        # those of one cell follow one another: no setting is chosen by two
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
    """Records a stage for good; nothing of it may be shown before. Returns the best accuracy of the cell on
    the task so far.

    In the same transaction `report` gets that too.
    """
    store = driver.store
    stage = summary(item, task, outcomes)
    row: dict[str, Any] = asdict(stage) | {"study": store.study, "seconds": seconds}
    row["outcomes"] = json.dumps([asdict(outcome) for outcome in outcomes], allow_nan=False)
    mine = (stages.c.study == store.study, stages.c.task == task)
    key = (*mine, stages.c.trial == item.trial, stages.c.piece == item.piece)
    with driver.apart() as connection:
        _own(connection, driver, item)
        new = connection.execute(select(stages.c.task).where(*key)).first() is None
        if new:  # else the answer was lost
            connection.execute(insert(stages).values(row))
            _set(connection, store, item, seconds=items.c.seconds + seconds, attempts=0)
        query = select(func.max(stages.c.accuracy)).where(*mine, stages.c.fingerprint == item.fingerprint)
        best: float | None = connection.execute(query).scalar()
        if new:  # else it is reported already, and the best may have grown by another trial of the cell
            report(best)
    return best


def summary(item: Item, task: str, outcomes: Sequence[Outcome]) -> Stage:
    """The stage that `outcomes` make: the best setting is the most accurate, the first among equals."""
    key = (item.trial, item.piece, task, item.fingerprint, len(outcomes))
    trained = [o for o in outcomes if o.accuracy is not None]
    best = max(trained, key=lambda o: o.accuracy or 0.0, default=None)
    if best is None:
        return Stage(*key, 0, None, None, None, None, None)
    return Stage(
        *key, len(trained), best.accuracy, best.loss, best.setting, best.parameters, best.hidden
    )  # fmt: skip


def recorded(store: Store, item: Item) -> dict[str, tuple[Outcome, ...]]:
    """The stages that an item has already: they are not run again."""
    here = (stages.c.study == store.study, stages.c.trial == item.trial, stages.c.piece == item.piece)
    with reading(store.engine, store.url) as connection:
        rows = connection.execute(select(stages.c.task, stages.c.outcomes).where(*here))
        return {str(row.task): outcomes_of(row.outcomes) for row in rows}


def outcomes_of(text: str) -> tuple[Outcome, ...]:
    """The single outcomes of a recorded stage."""
    return tuple(Outcome(**item) for item in json.loads(text))


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
    if outcome == "failed" and failures is not None:
        with driver.writing() as connection:
            _end(connection, driver, item, values, trial)
            _count_failure(connection, store, cause, failures)
        return
    with driver.apart() as connection:
        _end(connection, driver, item, values, trial)
        # last: every worker shares this row, which is locked where there is a streak to end
        streak = (studies.c.id == store.study, studies.c.streak > 0)
        connection.execute(update(studies).where(*streak).values(streak=0, cause=""))


def _ended(item: Item, outcome: str, task: str, cause: str, score: float | None) -> dict[str, Any]:
    """The changed columns of an item that has ended."""
    task = task or item.task
    return {"owner": "", "outcome": outcome, "task": task, "cause": cause, "score": score}


def _end(
    connection: Connection, driver: "Driver", item: Item, values: Mapping[str, Any], trial: "Trial | None"
) -> None:
    """Tells first: once its item has no owner, a trial takes no more writes."""
    # here: reading verbs load no Optuna
    from cellsearch.search.storage.driver import tell

    row, store = _own(connection, driver, item), driver.store
    if trial is not None:
        result = {key: values[key] for key in ("outcome", "task", "cause")}
        tell(trial, values["outcome"], values["score"], result | {"seconds": round(row.seconds, 3)})
    _set(connection, store, item, **values)
    if values["score"] is not None and values["outcome"] == "ranked":
        cell = (cells.c.study == store.study, cells.c.fingerprint == item.fingerprint)
        connection.execute(update(cells).where(*cell).values(score=values["score"]))


def _count_failure(connection: Connection, store: Store, cause: str, failures: int) -> None:
    """One more in a row; the study stops where they are too many."""
    query = select(studies.c.streak, studies.c.cause).where(studies.c.id == store.study)
    known = connection.execute(query).one()
    change: dict[str, Any] = {"streak": known.streak + 1, "cause": known.cause or cause}
    if known.streak + 1 >= failures:
        first = known.cause or cause or "unknown"
        change["stopped"] = f"{known.streak + 1} evaluations in a row have failed; the first of them: {first}"
    connection.execute(update(studies).where(studies.c.id == store.study).values(change))


def holders(store: Store) -> list[str]:
    """The workers that have an item."""
    query = select(items.c.owner).where(
        items.c.study == store.study, items.c.outcome == "", items.c.owner != ""
    )
    with reading(store.engine, store.url) as connection:
        return list(connection.execute(query.distinct()).scalars())


def release(store: Store, workers: Sequence[str], by: str, *, crash: str = "", failures: int) -> list[int]:
    """Takes the open items away from these workers, so that others can adopt them; returns the numbers of
    their trials. `by` is the id of this process.

    `crash` is the cause where a worker ended by itself: such an item is tried `RETRIES` times more and then
    has failed.
    """
    query = select(items).where(
        items.c.study == store.study, items.c.outcome == "", items.c.owner.in_(list(workers))
    )
    with reading(store.engine, store.url) as connection:
        rows = connection.execute(query).all()
    if not rows:
        return []  # fast path: nothing to release, nothing to lock
    lost = [row for row in rows if row.attempts + bool(crash) > RETRIES]
    for row in lost:
        _give_up(store, by, row, f"the worker crashed {row.attempts + 1} times: {crash}", failures)
    with writing(store) as connection:
        for row in connection.execute(query.with_for_update()).all():
            _set(connection, store, _item(row), owner="", attempts=row.attempts + bool(crash))
    return sorted({int(row.trial) for row in rows})


def _give_up(store: Store, by: str, row: Row[Any], cause: str, failures: int) -> None:
    """Ends an item as failed in the place of its owner, in one transaction."""
    # here: reading verbs load no Optuna
    from cellsearch.search.storage.driver import open_driver

    item, driver = _item(row), open_driver(store, by)
    trial = driver.trial(item.trial_id) if item.kind != "baseline" else None
    with driver.writing() as connection:
        here = (items.c.study == store.study, items.c.trial == item.trial, items.c.piece == item.piece)
        change = update(items).where(*here, items.c.owner == row.owner, items.c.outcome == "")
        if connection.execute(change.values(owner=by)).rowcount == 1:
            values = _ended(item, "failed", "", cause, None) | {"attempts": row.attempts + 1}
            _end(connection, driver, item, values, trial)
            _count_failure(connection, store, cause, failures)


def _own(connection: Connection, driver: "Driver", item: Item) -> Row[Any]:
    """The row of an open item that this worker has, locked."""
    here = (items.c.study == driver.store.study, items.c.trial == item.trial, items.c.piece == item.piece)
    mine = (items.c.owner == driver.owner, items.c.outcome == "")
    row = connection.execute(select(items).where(*here, *mine).with_for_update()).first()
    if row is None:
        raise Superseded(f"trial {item.trial}")
    return row


def _set(connection: Connection, store: Store, item: Item, **values: Any) -> None:
    here = (items.c.study == store.study, items.c.trial == item.trial, items.c.piece == item.piece)
    connection.execute(update(items).where(*here).values(**values))


def _item(row: Row[Any]) -> Item:
    return Item(row.trial, row.piece, row.trial_id, row.kind, row.fingerprint, row.parent, row.task)
