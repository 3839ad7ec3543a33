"""Queries on the records: stages, cells, counts. Each function is one indexed query."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    case,
    func,
    or_,
    select,
)

from cellsearch.study.scoring.ranking import Stage
from cellsearch.study.space.model import FILTER
from cellsearch.study.states import ENDED, OF_TRIALS, Ending, Kind
from cellsearch.study.tables.cellrecords import parts
from cellsearch.study.tables.schema import cells, claims, equivalents, items, stages
from cellsearch.study.tables.transactions import Store, reading
from cellsearch.study.tables.work_items import outcomes_of

SUMMARY = tuple(
    stages.c[name] for name in (
        "trial", "piece", "task", "fingerprint", "settings", "trained",
        "accuracy", "loss", "setting", "parameters", "hidden",
    )
)  # fmt: skip


LATEST = 500  # number of latest stages of a task used for mean epochs

_ORDER = (stages.c.trial, stages.c.piece)
_SAME = (
    (items.c.study == stages.c.study) & (items.c.trial == stages.c.trial) & (items.c.piece == stages.c.piece)
)


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of a study."""

    seeds: int
    told: int  # finished seeds: COMPLETE or FAIL in Optuna
    pieces: int  # of the seeds' grids
    baseline: int  # finished pieces
    trials: int  # proposals, refinements and repeats that have ended, failed ones too
    running: int  # work items with an owner
    free: int  # unfinished work items without an owner
    proposals: int  # that have ended
    refinements: int
    undecided: int  # trials that failed before they were about a cell
    ranked: int  # of the trials: COMPLETE in Optuna
    filtered: int  # at any stage: PRUNED in Optuna
    failed: int  # FAIL in Optuna, of seeds too
    settings: int  # trained settings
    diverged: int  # of these, diverged ones
    seconds: float  # spent in stages, over all workers
    equivalents: int = 0  # proposed cells that are equivalent to a recorded one
    repeats: int = 0  # trials that train a known cell again with fresh seeds
    stale: int = 0  # finished proposals since the best score: see `stale`


def recorded_stages(
    store: Store, *, finished: bool = False, among: Sequence[str] | None = None
) -> list[Stage]:
    """All stages in the order of their trials; `finished`: only of finished items; `among`: only of these
    cells."""
    query = select(*SUMMARY).where(stages.c.study == store.study)
    if finished:
        query = _finished(query)
    with reading(store.engine, store.url) as connection:
        if among is None:
            return [Stage(*row) for row in connection.execute(query.order_by(*_ORDER))]
        found = [
            Stage(*row)
            for part in parts(among)
            for row in connection.execute(query.where(stages.c.fingerprint.in_(part)))
        ]
    return sorted(found, key=lambda stage: (stage.trial, stage.piece))


def scores(
    store: Store,
    units: Mapping[str, float],
    threshold: float,
    seeds: Sequence[str],
    *,
    finished: bool = False,
) -> list[tuple[str, float]]:
    """The ranked cells (`ranking.stand`) with their scores, best first; ties in any order. Computed by the
    database from an index: few cells of a long search are read. With `finished` the cells of open trials are
    evaluated again without the stages of those trials.
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
    """The cells of unfinished items: an index has these few, a join would read all stages."""
    open_ = (items.c.study == store.study, items.c.outcome == Ending.OPEN, items.c.fingerprint != "")
    query = select(items.c.fingerprint).where(*open_).distinct()
    return frozenset(str(row.fingerprint) for row in connection.execute(query))


def _scores(
    connection: Connection,
    store: Store,
    units: Mapping[str, float],
    threshold: float,
    seeds: Sequence[str],
    finished: Collection[str] | None = None,
) -> list[tuple[str, float]]:
    """The same within a transaction; with `finished` only for these cells and finished items."""
    best = (
        select(stages.c.fingerprint, stages.c.task, func.max(stages.c.accuracy).label("accuracy"))
        .where(stages.c.study == store.study, stages.c.task.in_(list(units)), stages.c.accuracy.is_not(None))
        .group_by(stages.c.task, stages.c.fingerprint)
    )
    if finished is not None:
        best = _finished(best).where(stages.c.fingerprint.in_(sorted(finished)))
    table = best.subquery()
    ratio = table.c.accuracy / case(dict(units), value=table.c.task)
    score = func.min(ratio)
    query = (
        select(table.c.fingerprint, score)
        .where(or_(table.c.fingerprint.in_(list(seeds)), ratio > threshold))
        .group_by(table.c.fingerprint)
        .having(func.count() == len(units))
        .order_by(score.desc())
    )
    return [(str(row[0]), float(row[1])) for row in connection.execute(query)]


def _finished(query: Select[Any]) -> Select[Any]:
    """The same for stages of finished items."""
    return query.join(items, _SAME).where(items.c.outcome != Ending.OPEN)


def best_cells(store: Store, count: int) -> list[str]:
    """The `count` cells with the highest scores, and all ties with the last one; by an index."""
    scored = (cells.c.study == store.study, cells.c.score.is_not(None))
    with reading(store.engine, store.url) as connection:
        order = select(cells.c.score).where(*scored).order_by(cells.c.score.desc())
        last = func.coalesce(order.offset(count - 1).limit(1).scalar_subquery(), -1.0)  # if there are fewer
        query = select(cells.c.fingerprint).where(*scored, cells.c.score >= last)
        return list(connection.execute(query.order_by(cells.c.score.desc())).scalars())


def results(store: Store, fingerprints: Sequence[str], task: str) -> list[tuple[str, float | None]]:
    """(setting, accuracy) of finished items, in the order of their trials."""
    query = _finished(select(stages.c.outcomes)).where(
        stages.c.study == store.study, stages.c.task == task, stages.c.fingerprint.in_(list(fingerprints))
    )
    with reading(store.engine, store.url) as connection:
        texts = [row.outcomes for row in connection.execute(query.order_by(*_ORDER))]
    return [(outcome.setting, outcome.accuracy) for text in texts for outcome in outcomes_of(text)]


def tried(store: Store, fingerprints: Sequence[str]) -> dict[str, dict[str, int]]:
    """Fingerprint -> stage name -> number of settings claimed by any trial."""
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
    """The cells of the last `count` finished proposals that passed the filter, the latest last; repeated
    cells appear repeatedly."""
    query = (
        select(items.c.fingerprint)
        .where(
            items.c.study == store.study,
            items.c.outcome.in_((Ending.RANKED, Ending.FILTERED)),
            items.c.kind == Kind.PROPOSE,
            (items.c.outcome != Ending.FILTERED) | (items.c.task != FILTER),
        )
        .order_by(items.c.trial.desc())
        .limit(count)
    )
    with reading(store.engine, store.url) as connection:
        return [str(row.fingerprint) for row in connection.execute(query)][::-1]


def taken(store: Store, fingerprint: str, task: str) -> frozenset[str]:
    """The settings that a cell has run or is running on a task, in any trial."""
    here = (claims.c.study == store.study, claims.c.fingerprint == fingerprint, claims.c.task == task)
    with reading(store.engine, store.url) as connection:
        return frozenset(connection.execute(select(claims.c.setting).where(*here)).scalars())


def stale(study: int) -> Any:
    """A scalar subquery: the number of finished proposals after the first trial with the best score. The
    order is by trial number, so that it depends only on records; every step uses an index."""
    best = select(func.max(cells.c.score)).where(cells.c.study == study).scalar_subquery()
    marks = select(cells.c.fingerprint).where(cells.c.study == study, cells.c.score == best)
    first = (
        select(func.min(items.c.trial))
        .join(stages, _SAME)
        .where(stages.c.study == study, stages.c.fingerprint.in_(marks))
        .where(items.c.outcome == Ending.RANKED, items.c.score == best)
        .scalar_subquery()
    )
    ended = (items.c.kind == Kind.PROPOSE, items.c.outcome.in_(ENDED))
    query = select(func.count()).select_from(items).where(items.c.study == study, *ended)
    return query.where(items.c.trial > func.coalesce(first, -1)).scalar_subquery()


def counts(store: Store) -> Counts:
    """The counts of the study."""
    open_, free = items.c.outcome == Ending.OPEN, items.c.owner == ""
    grouped = (
        select(items.c.kind, items.c.outcome, (open_ & free).label("free"), func.count().label("n"))
        .where(items.c.study == store.study)
        .group_by(items.c.kind, items.c.outcome, open_ & free)
    )
    sums = select(func.sum(stages.c.settings), func.sum(stages.c.trained), func.sum(stages.c.seconds)).where(
        stages.c.study == store.study
    )
    with reading(store.engine, store.url) as connection:
        rows = connection.execute(grouped).all()
        settings, trained, seconds = connection.execute(sums).one()
        same = select(func.count()).where(equivalents.c.study == store.study)
        doubles = connection.execute(same).scalar_one()
        since = connection.execute(select(stale(store.study))).scalar_one()

    def total(*kinds: str, outcome: Sequence[str] = ENDED) -> int:
        return sum(row.n for row in rows if row.kind in kinds and row.outcome in outcome)

    trial = OF_TRIALS
    return Counts(
        seeds=total(Kind.SEED) + total(Kind.SEED, outcome=[Ending.OPEN]),
        told=total(Kind.SEED),
        pieces=total(Kind.BASELINE) + total(Kind.BASELINE, outcome=[Ending.OPEN]),
        baseline=total(Kind.BASELINE),
        trials=total(*trial),
        running=sum(row.n for row in rows if not row.outcome and not row.free),
        free=sum(row.n for row in rows if row.free),
        proposals=total(Kind.PROPOSE),
        refinements=total(Kind.REFINE),
        undecided=total(Kind.UNDECIDED),
        ranked=total(*trial, outcome=[Ending.RANKED]),
        filtered=total(*trial, outcome=[Ending.FILTERED]),
        failed=total(*trial, Kind.SEED, outcome=[Ending.FAILED]),
        settings=settings or 0,
        diverged=(settings or 0) - (trained or 0),
        seconds=float(seconds or 0.0),
        equivalents=doubles,
        repeats=total(Kind.REPEAT),
        stale=since,
    )


def epochs(store: Store, tasks: Sequence[str]) -> dict[str, float]:
    """Mean epochs of a setting over the latest stages of each task."""
    found = {}
    with reading(store.engine, store.url) as connection:
        for task in tasks:
            query = select(stages.c.outcomes).where(stages.c.study == store.study, stages.c.task == task)
            texts = connection.execute(query.order_by(stages.c.trial.desc()).limit(LATEST)).scalars()
            each = [o.trained for text in texts for o in outcomes_of(text) if o.trained]
            if each:
                found[task] = sum(each) / len(each)
    return found


def reached(store: Store, tasks: Sequence[str]) -> dict[str, float]:
    """Mean settings of each task over all finished proposals; empty without any."""
    ended = (items.c.study == store.study, items.c.kind == Kind.PROPOSE, items.c.outcome != Ending.OPEN)
    sums = select(stages.c.task, func.sum(stages.c.settings).label("settings")).join(items, _SAME)
    with reading(store.engine, store.url) as connection:
        count = connection.execute(select(func.count()).where(*ended)).scalar_one()
        rows = connection.execute(sums.where(*ended).group_by(stages.c.task)).all()
    settings = {row.task: row.settings for row in rows}
    return {task: settings.get(task, 0) / count for task in tasks} if count else {}
