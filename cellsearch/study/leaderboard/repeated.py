"""Repeats of cells on a board (`strategy.repeats`): the mean of further trainings with fresh seeds.

A score is that of the best of several settings, trained once, and a board shows the cells for which it came
out high. Nothing was chosen by a repeat, so the mean of a few is lower and nearer to the truth. It moves
neither score nor rank.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy import select

from cellsearch.study.leaderboard.rows import Repeated, Row
from cellsearch.study.space import Space
from cellsearch.study.space.model import repeat_of, task_of
from cellsearch.study.tables import cellrecords
from cellsearch.study.tables.schema import stages
from cellsearch.study.tables.transactions import Store, reading
from cellsearch.study.tables.work_items import outcomes_of

Trainings = Mapping[tuple[str, str, str], Sequence[float | None]]  # cell, task, setting -> accuracies


def with_repeats(store: Store, space: Space, rows: Sequence[Row], units: Mapping[str, float]) -> list[Row]:
    """The rows with their repeats. `units` are the kept tasks with the accuracy that counts as 1."""
    if not space.strategy.repeats or not units:
        return list(rows)
    known = _trainings(store, space, [row.fingerprint for row in rows], list(units))
    return [replace(row, repeated=repeated(row, known, units)) for row in rows]


def repeated(row: Row, known: Trainings, units: Mapping[str, float]) -> Repeated | None:
    """The repeats of a cell at its best settings; None where there is none on some task, or one of these
    settings was found later than the repeats."""
    found = [
        (known.get((row.fingerprint, result.task, result.setting or ""), ()), units[result.task])
        for result in row.tasks
        if result.task in units
    ]
    count = min((len(accuracies) for accuracies, _ in found), default=0)
    if not count:
        return None
    trained = [([a for a in accuracies if a is not None], unit) for accuracies, unit in found]
    ratios = [sum(some) / len(some) / unit for some, unit in trained if some]
    diverged = sum(a is None for accuracies, _ in found for a in accuracies)
    return Repeated(count, min(ratios) if len(ratios) == len(found) else None, diverged)


def _trainings(store: Store, space: Space, marks: Sequence[str], tasks: Sequence[str]) -> Trainings:
    """The repeats that are recorded, in the order of their numbers."""
    names = [repeat_of(task, k) for k in range(1, space.strategy.repeats + 1) for task in tasks]
    query = select(stages.c.fingerprint, stages.c.task, stages.c.outcomes).where(
        stages.c.study == store.study, stages.c.task.in_(names)
    )
    found: dict[tuple[str, str, str], list[float | None]] = {}
    with reading(store.engine, store.url) as connection:
        for part in cellrecords.parts(list(marks)):
            here = query.where(stages.c.fingerprint.in_(part)).order_by(stages.c.task, stages.c.trial)
            for row in connection.execute(here):
                for outcome in outcomes_of(row.outcomes):
                    key = row.fingerprint, task_of(row.task), outcome.setting
                    found.setdefault(key, []).append(outcome.accuracy)
    return found
