"""Work on a study: slots are taken, decided and finished; settings are claimed; stages are committed.

A slot is one proposal, one refinement or one piece of the baseline, and keeps its number, its decision, its
claims and its recorded stages whatever happens to the worker that has it. Each function here is one
transaction or a few; on the way from `take` to `finish` a worker locks its slot and its cell alone, and no
other worker waits for it. A worker that lost its slot (it was silent for too long and another one has taken
over) gets `Lost`, and its late result is not recorded.
"""

import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from sqlalchemy import Connection, Insert, Row, Select, Update, func, insert, literal, select, update
from sqlalchemy.exc import IntegrityError

from cellsearch.errors import RunError
from cellsearch.search.schema import (
    Store,
    alone,
    apart,
    cells,
    claims,
    functions,
    reading,
    slots,
    stages,
    studies,
    turn,
    twins,
    unless_there,
    writing,
)
from cellsearch.train.outcome import Outcome

RETRIES = 2  # crashes in a row, with no stage recorded in between, after which a slot is tried again


class Lost(Exception):
    """The slot belongs to another worker by now."""


class Idle(Enum):
    """Why there is no slot to work on."""

    WAIT = "others are still at the baseline"
    FREEZE = "the baseline is done and its units have to be settled"
    DONE = "everything is done, or was stopped"


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot in the hands of a worker."""

    number: int
    kind: str  # "" until it is decided
    fingerprint: str
    parent: str
    task: str  # baseline slots alone


@dataclass(frozen=True, slots=True)
class Stage:
    """The record of one cell on one task in one slot, without the single outcomes."""

    slot: int
    task: str
    fingerprint: str
    settings: int
    trained: int
    accuracy: float | None
    loss: float | None
    setting: int | None
    parameters: int | None
    hidden: int | None


def take(store: Store, worker: str) -> Slot | Idle:
    """The slot that `worker` has, else the next: one that was released, else the next piece of the baseline,
    else a new one while the target is not met.

    Nobody queues in the database, which a thousand workers would bring to a halt: who finds that another one
    is at it comes back a little later.
    """
    pause = 0.02
    while True:
        known, found = _next(store, worker)
        if known.stopped or known.halted:
            return Idle.DONE
        if found is not None and found.state == "running":
            return _slot(found)
        if found is not None:
            change: Update | Insert = _first_free(store, worker)
        elif known.waits:
            return Idle.WAIT if known.running else Idle.FREEZE
        elif known.last + 1 - known.planned >= known.trials:
            return Idle.DONE
        else:
            change = _another(store, worker, known.planned)
        with alone(store) as connection:
            mine = connection.execute(change.returning(*slots.c)).first()
        if mine is not None:
            return _slot(mine)
        time.sleep(random.uniform(0, pause))
        pause = min(2 * pause, 2.0)


def _next(store: Store, worker: str) -> tuple[Row[Any], Row[Any] | None]:
    """What `take` decides by, of one moment: facts of the study, and the slot that `worker` has (it was just
    taken, or the answer was lost) or else the first that is free."""
    mine = slots.c.study == store.study
    planned = select(func.count()).where(mine, slots.c.kind == "baseline").scalar_subquery()
    last = select(func.max(slots.c.number)).where(mine).scalar_subquery()
    facts = select(
        studies.c.stopped, studies.c.halted, studies.c.trials, studies.c.baseline.is_(None).label("waits"),
        planned.label("planned"), last.label("last"), _at_baseline(store).scalar_subquery().label("running"),
    ).where(studies.c.id == store.study)  # fmt: skip
    own = slots.c.worker == worker
    candidates = select(slots).where(
        mine, slots.c.state.in_(("running", "free")), own | (slots.c.state == "free")
    )
    first = candidates.order_by(slots.c.state.desc(), slots.c.number).limit(1)
    with reading(store.engine, store.url) as connection:
        return connection.execute(facts).one(), connection.execute(first).first()


def _first_free(store: Store, worker: str) -> Update:
    """The statement that takes the first free slot that no other worker is taking."""
    free = (slots.c.study == store.study, slots.c.state == "free")
    first = select(slots.c.number).where(*free).order_by(slots.c.number).limit(1)
    chosen = first.with_for_update(skip_locked=True).scalar_subquery()
    return update(slots).where(*free, slots.c.number == chosen).values(state="running", worker=worker)


def _another(store: Store, worker: str, planned: int) -> Insert:
    """The statement that makes the slot after the last one, while the target is not met and no other worker
    makes one."""
    next = 1 + select(func.max(slots.c.number)).where(slots.c.study == store.study).scalar_subquery()
    target = select(studies.c.trials).where(studies.c.id == store.study).scalar_subquery()
    row = select(literal(store.study), next, literal("running"), literal(worker))
    columns = ["study", "number", "state", "worker"]
    found = unless_there(store, slots).from_select(columns, row.where(next - planned < target, *turn(store)))
    assert isinstance(found, Insert)
    return found


def _at_baseline(store: Store) -> Select[Any]:
    """How many slots of the baseline are in work."""
    running = (slots.c.kind == "baseline", slots.c.state == "running")
    return select(func.count()).where(slots.c.study == store.study, *running)


def waiting(store: Store) -> bool:
    """Whether `take` would say WAIT, roughly: a look that keeps nobody from his work."""
    with reading(store.engine, store.url) as connection:
        free = select(func.count()).where(slots.c.study == store.study, slots.c.state == "free")
        if connection.execute(free).scalar_one() or not connection.execute(_at_baseline(store)).scalar_one():
            return False
        study = select(studies.c.baseline.is_(None) & (studies.c.stopped == "") & ~studies.c.halted)
        return bool(connection.execute(study.where(studies.c.id == store.study)).scalar_one())


def decide(
    store: Store,
    worker: str,
    slot: Slot,
    kind: str,
    fingerprint: str,
    *,
    function: str,
    name: str,
    text: str,
    parent: str,
    edits: Sequence[Any] = (),
) -> Slot:
    """Settles what a slot is about before anything runs: a retry finds it. A cell not met before is
    recorded.

    A cell that is not known by its `fingerprint` and is by its `function` is recorded as a twin; the slot
    is then about the cell that it is a twin of.
    """
    cell = {"study": store.study, "fingerprint": fingerprint, "name": name, "text": text}
    cell |= {"parent": parent, "edits": json.dumps(list(edits)), "slot": slot.number}
    while True:
        try:
            with apart(store) as connection:
                row = _own(connection, store, worker, slot)
                if row.kind:  # settled already: the answer was lost
                    return _slot(row)
                about = _met(connection, store, cell, function)
                _set(connection, store, slot.number, kind=kind, fingerprint=about, parent=parent)
            return Slot(slot.number, kind, about, parent, slot.task)
        except RunError as error:
            if not isinstance(error.__cause__, IntegrityError):
                raise  # else another worker has recorded this cell, or a twin, at this moment


def _met(connection: Connection, store: Store, cell: Mapping[str, Any], function: str) -> str:
    """The fingerprint that a cell counts as; a cell not met before is recorded."""
    fingerprint = str(cell["fingerprint"])
    if (known := known_in(connection, store, fingerprint)) is not None:
        return known
    if (twin := trained_in(connection, store, function)) is not None:
        connection.execute(insert(twins).values({**cell, "cell": twin}))
        return twin
    connection.execute(insert(cells).values({**cell, "seed": False}))
    key = {"study": store.study, "function": function, "fingerprint": fingerprint}
    connection.execute(insert(functions).values(key))
    return fingerprint


def known_in(connection: Connection, store: Store, fingerprint: str) -> str | None:
    """The fingerprint of the recorded cell that a cell met before counts as: its own, or that of which it is
    a twin."""
    cell = select(cells.c.fingerprint).where(cells.c.study == store.study, cells.c.fingerprint == fingerprint)
    twin = select(twins.c.cell).where(twins.c.study == store.study, twins.c.fingerprint == fingerprint)
    return connection.execute(cell).scalar() or connection.execute(twin).scalar()


def trained_in(connection: Connection, store: Store, function: str) -> str | None:
    """The fingerprint of the cell that is trained for all cells of a functional fingerprint."""
    here = (functions.c.study == store.study, functions.c.function == function)
    return connection.execute(select(functions.c.fingerprint).where(*here)).scalar()


def claim(
    store: Store, worker: str, slot: Slot, task: str, choose: Callable[[frozenset[int]], Sequence[int]]
) -> tuple[int, ...]:
    """The settings of a stage. A stage that has claims keeps them; else `choose` draws from what is not
    taken yet.

    `choose` gets the settings that this cell has run or is running on the task, in any slot.
    """
    with apart(store) as connection:
        _own(connection, store, worker, slot)
        # those of one cell follow one another: no setting is chosen by two
        cell = (cells.c.study == store.study, cells.c.fingerprint == slot.fingerprint)
        connection.execute(select(cells.c.slot).where(*cell).with_for_update())
        rows = connection.execute(
            select(claims.c.setting, claims.c.slot)
            .where(
                claims.c.study == store.study, claims.c.fingerprint == slot.fingerprint, claims.c.task == task
            )
            .order_by(claims.c.place)
        ).all()
        own = tuple(int(row.setting) for row in rows if row.slot == slot.number)
        if own:
            return own
        chosen = tuple(choose(frozenset(int(row.setting) for row in rows)))
        if chosen:
            key = {"study": store.study, "fingerprint": slot.fingerprint, "task": task, "slot": slot.number}
            new = [key | {"setting": setting, "place": place} for place, setting in enumerate(chosen)]
            connection.execute(insert(claims), new)
        return chosen


def commit(
    store: Store, worker: str, slot: Slot, task: str, outcomes: Sequence[Outcome], seconds: float
) -> Stage:
    """Records a stage for good. Only after this may anybody be told."""
    stage = summary(slot.number, slot.fingerprint, task, outcomes)
    row: dict[str, Any] = asdict(stage) | {"study": store.study, "seconds": seconds}
    row["outcomes"] = json.dumps([asdict(outcome) for outcome in outcomes], allow_nan=False)
    with apart(store) as connection:
        _own(connection, store, worker, slot)
        key = (stages.c.study == store.study, stages.c.slot == slot.number, stages.c.task == task)
        if (
            connection.execute(select(stages.c.task).where(*key)).first() is None
        ):  # else: recorded, the answer was lost
            connection.execute(insert(stages).values(row))
            _set(connection, store, slot.number, seconds=slots.c.seconds + seconds, attempts=0)
    return stage


def summary(slot: int, fingerprint: str, task: str, outcomes: Sequence[Outcome]) -> Stage:
    """The stage that `outcomes` make: the best setting is the most accurate, the first in the grid among
    equals."""
    trained = [o for o in outcomes if o.accuracy is not None]
    best = min(trained, key=lambda o: (-(o.accuracy or 0.0), o.setting), default=None)
    if best is None:
        return Stage(slot, task, fingerprint, len(outcomes), 0, None, None, None, None, None)
    return Stage(
        slot, task, fingerprint, len(outcomes), len(trained),
        best.accuracy, best.loss, best.setting, best.parameters, best.hidden,
    )  # fmt: skip


def recorded(store: Store, slot: Slot) -> dict[str, tuple[Outcome, ...]]:
    """The stages that a slot has already: they are not run again."""
    with reading(store.engine, store.url) as connection:
        rows = connection.execute(
            select(stages.c.task, stages.c.outcomes).where(
                stages.c.study == store.study, stages.c.slot == slot.number
            )
        )
        return {str(row.task): outcomes_of(row.outcomes) for row in rows}


def outcomes_of(text: str) -> tuple[Outcome, ...]:
    """The single outcomes of a recorded stage."""
    return tuple(Outcome(**item) for item in json.loads(text))


def finish(
    store: Store,
    worker: str,
    slot: Slot,
    outcome: str,
    *,
    task: str = "",
    cause: str = "",
    score: float | None = None,
    failures: int,
) -> None:
    """Ends a slot: baseline, ranked, filtered (at `task`) or failed (with its cause).

    After `failures` failed slots in a row the study stops, with the cause of the first of them.
    """
    if outcome == "failed":
        with writing(store) as connection:
            _own(connection, store, worker, slot)
            values = _ended(slot.kind, outcome, task or slot.task, cause, score)
            _set(connection, store, slot.number, **values)
            _count_failure(connection, store, cause, failures)
        return
    with apart(store) as connection:
        _own(connection, store, worker, slot)
        _set(connection, store, slot.number, **_ended(slot.kind, outcome, task or slot.task, cause, score))
    with alone(store) as connection:  # by itself: this row is everybody's, and nearly always as it should be
        streak = (studies.c.id == store.study, studies.c.streak > 0)
        connection.execute(update(studies).where(*streak).values(streak=0, cause=""))


def _ended(kind: str, outcome: str, task: str, cause: str, score: float | None) -> dict[str, Any]:
    """The row of a slot that has ended."""
    values: dict[str, Any] = {"state": "failed" if outcome == "failed" else "done", "worker": ""}
    values |= {"outcome": outcome, "task": task, "cause": cause, "score": score}
    return values | {"mirror": "" if kind == "baseline" else "due"}


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
    """The workers that have a slot."""
    query = select(slots.c.worker).where(slots.c.study == store.study, slots.c.state == "running")
    with reading(store.engine, store.url) as connection:
        return list(connection.execute(query.distinct()).scalars())


def release(store: Store, workers: Sequence[str], *, crash: str = "", failures: int) -> list[int]:
    """Takes the running slots away from these workers, to be taken again, and tells which.

    `crash` is the cause where a worker ended by itself: such a slot is tried `RETRIES` times more and then
    has failed.
    """
    query = select(slots.c.number, slots.c.kind, slots.c.task, slots.c.attempts).where(
        slots.c.study == store.study, slots.c.state == "running", slots.c.worker.in_(list(workers))
    )
    with reading(store.engine, store.url) as connection:
        if connection.execute(query).first() is None:
            return []  # who has nothing leaves without locking the study
    with writing(store) as connection:
        rows = connection.execute(query.order_by(slots.c.number).with_for_update()).all()
        for row in rows:
            attempts = row.attempts + bool(crash)
            _set(connection, store, row.number, state="free", worker="", attempts=attempts)
            if attempts > RETRIES:
                cause = f"the worker crashed {attempts} times: {crash}"
                _set(connection, store, row.number, **_ended(row.kind, "failed", row.task, cause, None))
                _count_failure(connection, store, cause, failures)
    return [int(row.number) for row in rows]


def _own(connection: Connection, store: Store, worker: str, slot: Slot) -> Row[Any]:
    """The row of a slot that `worker` must have, locked."""
    row = connection.execute(
        select(slots)
        .where(
            slots.c.study == store.study,
            slots.c.number == slot.number,
            slots.c.worker == worker,
            slots.c.state == "running",
        )
        .with_for_update()
    ).first()
    if row is None:
        raise Lost(f"slot {slot.number}")
    return row


def _set(connection: Connection, store: Store, number: int, **values: Any) -> None:
    here = (slots.c.study == store.study, slots.c.number == number)
    connection.execute(update(slots).where(*here).values(**values))


def _slot(row: Row[Any]) -> Slot:
    return Slot(row.number, row.kind, row.fingerprint, row.parent, row.task)
