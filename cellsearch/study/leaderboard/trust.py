"""Trust in a board: the band of chance, ties, and verdicts of `verify`.

Computed from records by the functions of `scoring`; nothing is trained here.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import exp, log, sqrt

from sqlalchemy import func, select

from cellsearch.study.leaderboard.rows import Row
from cellsearch.study.scoring import chance
from cellsearch.study.scoring.chance import Band, Scored
from cellsearch.study.scoring.verdicts import Verdict, plan, spread_of, verdicts
from cellsearch.study.space import Space
from cellsearch.study.tables import repeats
from cellsearch.study.tables.repeats import Round
from cellsearch.study.tables.schema import stages
from cellsearch.study.tables.study_facts import Facts, Unit
from cellsearch.study.tables.transactions import Store, reading
from cellsearch.study.tables.work_items import outcomes_of

MOST = 40  # number of latest cells used to estimate the noise of a task


@dataclass(frozen=True, slots=True)
class Trust:
    """The facts besides the scores of a board."""

    band: Band | None = None  # None: no mutant was trained yet, or the noise is unknown
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)  # by fingerprint
    tasks: tuple[str, ...] = ()  # the kept tasks


def trust(store: Store, known: Facts, space: Space, seeds: Collection[str]) -> Trust:
    """The current facts of a study. `seeds` are the fingerprints of all seeds, the baseline first."""
    if not known.units or not seeds:
        return Trust()
    base = next(iter(seeds))
    rounds = repeats.recorded(store)
    tasks = tuple(known.units)
    return Trust(band_of(store, known, base, seeds, rounds), verdicts_of(rounds, base, tasks), tasks)


def verdicts_of(rounds: Sequence[Round], base: str, tasks: Sequence[str]) -> dict[str, Verdict]:
    """The verdict on every cell with a complete round."""
    found = repeats.rounds_of(rounds)
    baseline = {task: found.get(base, {}).get(task, []) for task in tasks}
    return verdicts({mark: its for mark, its in found.items() if mark != base}, baseline)


def band_of(
    store: Store, known: Facts, base: str, seeds: Collection[str], rounds: Sequence[Round]
) -> Band | None:
    """The band of chance of a study. None if no mutant has been trained on a task, or the noise is
    unknown."""
    tried = _tried(store, list(known.units), seeds)
    found = []
    for task, unit in known.units.items():
        outcomes = _outcomes(store, task, base)
        own = list(outcomes.get(base, {}).values())
        floor = _failed(known.baseline, task)
        noise = _repeated(rounds, base, task) or chance.spread(outcomes, floor)
        if noise is None or not own:
            return None
        found.append(chance.supposed(own, noise * unit, unit))
    return chance.band(found, tried)


def recorded_band(store: Store, known: Facts, seeds: Collection[str]) -> Band | None:
    """The band from the records of the search alone; None before it is known. What `verify` measures is left
    out: a search is the same whether it was verified meanwhile or not. `seeds` as in `trust`."""
    return band_of(store, known, next(iter(seeds)), seeds, ())


def planned(rounds: Sequence[Round], base: str, tasks: Sequence[str]) -> int | None:
    """Repeats needed to detect a verified cell that is better by `DIFFERENCE`, at the noise of the baseline
    on the test part; None if the last look has too few."""
    found = repeats.rounds_of(rounds)
    own = found.get(base, {})
    spreads = [spread for task in tasks if (spread := spread_of(own.get(task, ()))) is not None]
    return plan(spreads, len(found) - 1) if spreads else None


def _failed(units: Mapping[str, Unit] | None, task: str) -> float:
    """An accuracy between a memoryless predictor and the baseline, closer to the former: a training below it
    has learned almost nothing."""
    unit = (units or {})[task]
    low, high = max(unit.floor, 1e-3), max(unit.accuracy or 0.0, 1e-3)
    return exp(log(low) + 0.25 * (log(high) - log(low))) if high > low else 0.0


def _repeated(rounds: Sequence[Round], base: str, task: str) -> float | None:
    """The noise of one training, measured by the repeats of the baseline on the validation part; None before
    four repeats."""
    parts = [
        [log(r.accuracy) for r in one.repeats if r.accuracy]
        for one in rounds
        if one.fingerprint == base and one.task == task
    ]
    parts = [part for part in parts if len(part) > 1]
    df = sum(len(part) - 1 for part in parts)
    if df < 3:
        return None
    squares = sum((a - sum(part) / len(part)) ** 2 for part in parts for a in part)
    return max(1e-6, sqrt(squares / df))


def _tried(store: Store, tasks: Sequence[str], seeds: Collection[str]) -> dict[tuple[int, ...], int]:
    """The mutants trained on the first task, counted by settings per task: the number that a cell with their
    trials would have run if it passed every task."""
    query = (
        select(stages.c.fingerprint, stages.c.task, func.sum(stages.c.settings))
        .where(stages.c.study == store.study, stages.c.task.in_(tasks))
        .group_by(stages.c.fingerprint, stages.c.task)
    )
    counts: dict[str, dict[str, int]] = {}
    with reading(store.engine, store.url) as connection:
        for mark, task, settings in connection.execute(query):
            if mark not in seeds:
                counts.setdefault(mark, {})[task] = int(settings)
    found: dict[tuple[int, ...], int] = {}
    for its in counts.values():
        most = max(its.values())  # a task that it did not reach counts like the others
        of = tuple(its.get(task, most) for task in tasks)
        found[of] = found.get(of, 0) + 1
    return dict(sorted(found.items()))  # sorted, so that the same records give the same bits


def _outcomes(store: Store, task: str, base: str) -> dict[str, dict[str, float]]:
    """Cell -> setting -> accuracy, for the baseline and the latest other cells."""
    query = select(stages.c.fingerprint, stages.c.outcomes).where(
        stages.c.study == store.study, stages.c.task == task
    )
    found: dict[str, dict[str, float]] = {}
    with reading(store.engine, store.url) as connection:
        own = connection.execute(query.where(stages.c.fingerprint == base)).all()
        others = connection.execute(
            query.where(stages.c.fingerprint != base)
            .order_by(stages.c.trial.desc(), stages.c.piece)
            .limit(MOST)
        ).all()
    for mark, text in [*own, *others]:
        here = found.setdefault(mark, {})
        here.update({o.setting: o.accuracy for o in outcomes_of(text) if o.accuracy is not None})
    return {mark: dict(sorted(found[mark].items())) for mark in sorted(found)}


def _scored(row: Row, tasks: Sequence[str]) -> Scored:
    """The score of a cell, and its number of settings on each of the tasks."""
    counts = {result.task: result.settings for result in row.tasks}
    return row.score or 0.0, [counts.get(task, 0) for task in tasks]


def marked(rows: Sequence[Row], known: Trust) -> list[Row]:
    """The rows, rank 1 among them, with their facts: above chance, tied with the first cell, verdict."""
    band = known.band
    first = next((_scored(row, known.tasks) for row in rows if row.rank == 1), None)
    found = []
    for row in rows:
        tie = above = None
        if band is not None and first is not None and row.rank is not None and row.score is not None:
            tie = row.rank > 1 and chance.tied(band, first, _scored(row, known.tasks))
            above = None if row.seed else row.score > band.high
        verdict = known.verdicts.get(row.fingerprint)
        found.append(replace(row, tie=bool(tie), above_chance=above, verdict=verdict))
    return found
