"""Work on a study: slots are taken, decided and finished; settings are claimed; stages are committed.

A slot is one proposal, one refinement or one piece of the baseline, and keeps its number, its decision, its
claims and its recorded stages whatever happens to the worker that has it. Each function here is one
transaction. A worker that lost its slot (it was silent for too long and another one has taken over) gets
`Lost`, and its late result is not recorded.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from cellsearch.search.records import facts_in
from cellsearch.search.schema import (
    Store,
    cells,
    claims,
    functions,
    reading,
    slots,
    stages,
    studies,
    twins,
    writing,
)
from cellsearch.train.outcome import Outcome

RETRIES = 2  # a slot whose worker crashed is tried again this often, then it has failed


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
    else a new one while the target is not met."""
    with writing(store) as connection:
        known = facts_in(connection, store)
        if known.stopped or known.halted:
            return Idle.DONE
        mine = slots.c.study == store.study
        own = (slots.c.worker == worker) & (slots.c.state == "running")  # taken, but the answer was lost
        found = connection.execute(
            select(slots)
            .where(mine, own | (slots.c.state == "free"))
            .order_by(slots.c.state.desc(), slots.c.number)
            .limit(1)
        ).first()
        if found is not None:
            _set(connection, store, found.number, state="running", worker=worker)
            return _slot(found)
        if known.baseline is None:
            baseline = select(func.count()).where(
                mine, slots.c.kind == "baseline", slots.c.state == "running"
            )
            return Idle.WAIT if connection.execute(baseline).scalar_one() else Idle.FREEZE
        number: int = connection.execute(select(func.max(slots.c.number)).where(mine)).scalar_one() + 1
        if number - known.baseline_slots >= known.trials:
            return Idle.DONE
        row = {"study": store.study, "number": number, "state": "running", "worker": worker}
        connection.execute(insert(slots).values(row))
        return Slot(number, "", "", "", "")


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
    with writing(store) as connection:
        row = _own(connection, store, worker, slot)
        if row.kind:  # settled already: the answer was lost
            return _slot(row)
        about = known_in(connection, store, fingerprint)
        if about is None:
            cell = {"study": store.study, "fingerprint": fingerprint, "name": name, "text": text}
            cell |= {"parent": parent, "edits": json.dumps(list(edits)), "slot": slot.number}
            about = trained_in(connection, store, function)
            if about is not None:
                connection.execute(insert(twins).values(cell | {"cell": about}))
            else:
                about = fingerprint
                connection.execute(insert(cells).values(cell | {"seed": False}))
                key = {"study": store.study, "function": function, "fingerprint": fingerprint}
                connection.execute(insert(functions).values(key))
        _set(connection, store, slot.number, kind=kind, fingerprint=about, parent=parent)
    return Slot(slot.number, kind, about, parent, slot.task)


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
    with writing(store) as connection:
        _own(connection, store, worker, slot)
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
    with writing(store) as connection:
        _own(connection, store, worker, slot)
        key = (stages.c.study == store.study, stages.c.slot == slot.number, stages.c.task == task)
        if (
            connection.execute(select(stages.c.task).where(*key)).first() is None
        ):  # else: recorded, the answer was lost
            connection.execute(insert(stages).values(row))
            _set(connection, store, slot.number, seconds=slots.c.seconds + seconds)
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
    with writing(store) as connection:
        _own(connection, store, worker, slot)
        _end(connection, store, slot.number, slot.kind, outcome, task or slot.task, cause, score, failures)


def _end(
    connection: Connection,
    store: Store,
    number: int,
    kind: str,
    outcome: str,
    task: str,
    cause: str,
    score: float | None,
    failures: int,
) -> None:
    failed = outcome == "failed"
    values: dict[str, Any] = {"state": "failed" if failed else "done", "worker": "", "outcome": outcome}
    values |= {"task": task, "cause": cause, "score": score, "mirror": "" if kind == "baseline" else "due"}
    connection.execute(
        update(slots).where(slots.c.study == store.study, slots.c.number == number).values(values)
    )
    known = connection.execute(select(studies).where(studies.c.id == store.study)).one()
    streak = known.streak + 1 if failed else 0
    first = (known.cause or cause) if failed else ""
    change: dict[str, Any] = {"streak": streak, "cause": first}
    if streak >= failures:
        change["stopped"] = (
            f"{streak} evaluations in a row have failed; the first of them: {first or 'unknown'}"
        )
    connection.execute(update(studies).where(studies.c.id == store.study).values(change))


def release(store: Store, workers: Sequence[str], *, crash: str = "", failures: int) -> list[int]:
    """Takes the running slots away from these workers, to be taken again, and tells which.

    `crash` is the cause where a worker ended by itself: such a slot is tried `RETRIES` times more and then
    has failed.
    """
    with writing(store) as connection:
        rows = connection.execute(
            select(slots.c.number, slots.c.kind, slots.c.task, slots.c.attempts).where(
                slots.c.study == store.study, slots.c.state == "running", slots.c.worker.in_(list(workers))
            )
        ).all()
        for row in rows:
            attempts = row.attempts + bool(crash)
            _set(connection, store, row.number, state="free", worker="", attempts=attempts)
            if attempts > RETRIES:
                cause = f"the worker crashed {attempts} times: {crash}"
                _end(connection, store, row.number, row.kind, "failed", row.task, cause, None, failures)
    return [int(row.number) for row in rows]


def _own(connection: Connection, store: Store, worker: str, slot: Slot) -> Row[Any]:
    """The row of a slot that `worker` must have."""
    row = connection.execute(
        select(slots).where(
            slots.c.study == store.study,
            slots.c.number == slot.number,
            slots.c.worker == worker,
            slots.c.state == "running",
        )
    ).first()
    if row is None:
        raise Lost(f"slot {slot.number}")
    return row


def _set(connection: Connection, store: Store, number: int, **values: Any) -> None:
    here = (slots.c.study == store.study, slots.c.number == number)
    connection.execute(update(slots).where(*here).values(**values))


def _slot(row: Row[Any]) -> Slot:
    return Slot(row.number, row.kind, row.fingerprint, row.parent, row.task)
