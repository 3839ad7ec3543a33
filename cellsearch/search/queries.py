"""What is read from the records: stages, cells, counts. Each function is one look at the database, by its
indexes."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Connection,
    RowMapping,
    Select,
    case,
    func,
    or_,
    select,
)

from cellsearch.search.cellrecords import has_twins, parts
from cellsearch.search.schema import Store, claims, reading, slots, stages, twins
from cellsearch.search.sections import FILTER
from cellsearch.search.slots import Stage, outcomes_of

SUMMARY = tuple(
    stages.c[name] for name in (
        "slot", "task", "fingerprint", "settings", "trained",
        "accuracy", "loss", "setting", "parameters", "hidden",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Counts:
    """How far a study is."""

    baseline: int  # slots of the baseline that are finished
    baseline_slots: int
    trials: int  # proposals and refinements that are finished, failed ones too
    running: int
    free: int
    proposed: int
    refined: int
    ranked: int
    filtered: int  # at any stage
    failed: int  # the baseline's too
    settings: int  # evaluated in all
    diverged: int  # of those, the ones without an accuracy
    seconds: float  # spent in stages, over all workers
    twins: int = 0  # cells that were proposed and count as another one, being the same function


def recorded_stages(
    store: Store, *, finished: bool = False, among: Sequence[str] | None = None
) -> list[Stage]:
    """All stages in the order of their slots; `finished`: of slots that have ended; `among`: of these
    cells."""
    query = select(*SUMMARY).where(stages.c.study == store.study)
    if finished:
        query = _finished(query)
    with reading(store.engine, store.url) as connection:
        if among is None:
            return [Stage(*row) for row in connection.execute(query.order_by(stages.c.slot))]
        found = [
            Stage(*row)
            for part in parts(among)
            for row in connection.execute(query.where(stages.c.fingerprint.in_(part)))
        ]
    return sorted(found, key=lambda stage: stage.slot)


def scores(
    store: Store,
    units: Mapping[str, float],
    threshold: float,
    seeds: Sequence[str],
    *,
    finished: bool = False,
) -> list[tuple[str, float]]:
    """The cells that are ranked (`ranking.stand`) with their scores, best first; equal ones in any order.

    The database does it, by an index alone: of a long search few cells are looked at. With `finished` the
    cells that slots are at work on are looked at once more, without what these have recorded.
    """
    if not units:
        return []
    with reading(store.engine, store.url) as connection:
        open_ = _in_work(connection, store) if finished else ()
        found = _scores(connection, store, units, threshold, seeds)
        if not open_:
            return found
        again = _scores(connection, store, units, threshold, seeds, open_)
    return sorted([*(pair for pair in found if pair[0] not in open_), *again], key=lambda pair: -pair[1])


def _in_work(connection: Connection, store: Store) -> frozenset[str]:
    """The cells that have stages of slots which have not ended."""
    states = slots.c.state.in_(("running", "free"))
    open_ = select(slots.c.number).where(slots.c.study == store.study, states)
    query = select(stages.c.fingerprint).where(stages.c.study == store.study, stages.c.slot.in_(open_))
    return frozenset(str(row.fingerprint) for row in connection.execute(query))


def _scores(
    connection: Connection,
    store: Store,
    units: Mapping[str, float],
    threshold: float,
    seeds: Sequence[str],
    finished: Collection[str] | None = None,
) -> list[tuple[str, float]]:
    """The same within a transaction; where `finished` is given of these cells alone, and of slots that have
    ended."""
    best = (
        select(stages.c.fingerprint, stages.c.task, func.max(stages.c.accuracy).label("accuracy"))
        .where(stages.c.study == store.study, stages.c.task.in_(list(units)), stages.c.accuracy.is_not(None))
        .group_by(stages.c.task, stages.c.fingerprint)
    )
    if finished is not None:
        best = _finished(best).where(stages.c.fingerprint.in_(sorted(finished)))
    table = best.subquery()
    unit = case(dict(units), value=table.c.task)
    above = case({task: threshold * unit for task, unit in units.items()}, value=table.c.task)
    score = func.min(table.c.accuracy / unit)
    query = (
        select(table.c.fingerprint, score)
        .where(or_(table.c.fingerprint.in_(list(seeds)), table.c.accuracy > above))
        .group_by(table.c.fingerprint)
        .having(func.count() == len(units))
        .order_by(score.desc())
    )
    return [(str(row[0]), float(row[1])) for row in connection.execute(query)]


def _finished(query: Select[Any]) -> Select[Any]:
    """The same, of stages whose slot has ended."""
    same = (slots.c.study == stages.c.study) & (slots.c.number == stages.c.slot)
    return query.join(slots, same).where(slots.c.state.in_(("done", "failed")))


def results(store: Store, fingerprints: Sequence[str], task: str) -> list[tuple[int, float | None]]:
    """(setting, accuracy) of finished slots, in the order of the slots."""
    query = _finished(select(stages.c.outcomes)).where(
        stages.c.study == store.study, stages.c.task == task, stages.c.fingerprint.in_(list(fingerprints))
    )
    with reading(store.engine, store.url) as connection:
        texts = [row.outcomes for row in connection.execute(query.order_by(stages.c.slot))]
    return [(outcome.setting, outcome.accuracy) for text in texts for outcome in outcomes_of(text)]


def tried(store: Store, fingerprints: Sequence[str]) -> dict[str, dict[str, int]]:
    """Fingerprint -> stage name -> how many settings are claimed, by any slot."""
    found: dict[str, dict[str, int]] = {fingerprint: {} for fingerprint in fingerprints}
    query = (
        select(claims.c.fingerprint, claims.c.task, func.count().label("settings"))
        .where(claims.c.study == store.study)
        .group_by(claims.c.fingerprint, claims.c.task)
    )
    with reading(store.engine, store.url) as connection:
        for part in parts(fingerprints):
            for row in connection.execute(query.where(claims.c.fingerprint.in_(part))):
                found[row.fingerprint][row.task] = int(row.settings)
    return found


def entered(store: Store, count: int) -> list[str]:
    """The cells of the last `count` proposals that have ended and passed the filter, the latest last; a cell
    that was proposed again stands there again."""
    query = (
        select(slots.c.fingerprint)
        .where(
            slots.c.study == store.study,
            slots.c.state == "done",
            slots.c.kind == "propose",
            (slots.c.outcome != "filtered") | (slots.c.task != FILTER),
        )
        .order_by(slots.c.number.desc())
        .limit(count)
    )
    with reading(store.engine, store.url) as connection:
        return [str(row.fingerprint) for row in connection.execute(query)][::-1]


def taken(store: Store, fingerprint: str, task: str) -> frozenset[int]:
    """The settings that a cell has run or is running on a task, in any slot."""
    here = (claims.c.study == store.study, claims.c.fingerprint == fingerprint, claims.c.task == task)
    with reading(store.engine, store.url) as connection:
        return frozenset(
            int(row.setting) for row in connection.execute(select(claims.c.setting).where(*here))
        )


def stages_in(store: Store, numbers: Sequence[int]) -> list[Stage]:
    """The stages of these slots."""
    query = select(*SUMMARY).where(stages.c.study == store.study, stages.c.slot.in_(list(numbers)))
    with reading(store.engine, store.url) as connection:
        return [Stage(*row) for row in connection.execute(query)]


def single_outcomes(store: Store, fingerprint: str) -> list[tuple[Stage, RowMapping]]:
    """Every stage of a cell with its row (the outcomes are JSON in it), in the order of the slots."""
    query = select(stages).where(stages.c.study == store.study, stages.c.fingerprint == fingerprint)
    with reading(store.engine, store.url) as connection:
        rows = connection.execute(query.order_by(stages.c.slot)).mappings().all()
    return [(Stage(*(row[column.name] for column in SUMMARY)), row) for row in rows]


def counts(store: Store) -> Counts:
    """How far the study is."""
    grouped = (
        select(slots.c.kind, slots.c.state, slots.c.outcome, func.count().label("n"))
        .where(slots.c.study == store.study)
        .group_by(slots.c.kind, slots.c.state, slots.c.outcome)
    )
    sums = select(func.sum(stages.c.settings), func.sum(stages.c.trained), func.sum(stages.c.seconds)).where(
        stages.c.study == store.study
    )
    with reading(store.engine, store.url) as connection:
        rows = connection.execute(grouped).all()
        settings, trained, seconds = connection.execute(sums).one()
        same = select(func.count()).where(twins.c.study == store.study)
        doubles = connection.execute(same).scalar_one() if has_twins(connection) else 0

    def total(**wanted: str | tuple[str, ...]) -> int:
        return sum(
            row.n
            for row in rows
            if all(getattr(row, key) in ((v,) if isinstance(v, str) else v) for key, v in wanted.items())
        )

    ended, trial = ("done", "failed"), ("propose", "refine", "")
    return Counts(
        baseline=total(kind="baseline", state=ended),
        baseline_slots=total(kind="baseline"),
        trials=total(kind=trial, state=ended),
        running=total(state="running"),
        free=total(state="free"),
        proposed=total(kind="propose", state=ended),
        refined=total(kind="refine", state=ended),
        ranked=total(kind=trial, outcome="ranked"),
        filtered=total(outcome="filtered"),
        failed=total(state="failed"),
        settings=settings or 0,
        diverged=(settings or 0) - (trained or 0),
        seconds=float(seconds or 0.0),
        twins=doubles,
    )
