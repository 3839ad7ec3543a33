"""The cost curve of a search: cumulative cost and best score, trial by trial, from its records. Strategies
are compared at equal cost, which is counted, not timed: the multiply-adds of all training (`train.cost`),
from the epochs, the width and the layers of every recorded setting. It does not depend on the load of a
machine or the split of batches.
"""

import json
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import select

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.text import parse
from cellsearch.study.space import Space, grids
from cellsearch.study.space.model import task_of
from cellsearch.study.states import Ending, Kind
from cellsearch.study.tables import cellrecords
from cellsearch.study.tables.schema import items, stages
from cellsearch.study.tables.transactions import Store, reading
from cellsearch.study.tables.work_items import outcomes_of
from cellsearch.study.workers.evaluator import TorchEvaluator
from cellsearch.train.outcome import Outcome
from cellsearch.train.resources.cost import of_training
from cellsearch.train.settings import Grid, keys


@dataclass(frozen=True, slots=True)
class Amount:
    """The size of the data of a stage: positions in an epoch."""

    vocabulary: int
    train: int
    valid: int


Amounts = Mapping[str, Amount]  # by stage


@dataclass(frozen=True, slots=True)
class Point:
    """A finished trial, and the state of the search at its end."""

    trial: int  # its number
    kind: str  # propose, refine
    outcome: str  # ranked, filtered, failed
    fingerprint: str
    cost: int  # of this trial
    spent: int  # of the trials up to this one
    score: float | None
    best: float | None  # of the cells ranked so far, without the seeds
    ranked: int  # number of such trials so far
    filtered: int


@dataclass(frozen=True, slots=True)
class Curve:
    """A search from its first trial on. The cost of the seeds on their whole grids is separate, because it is
    the same for every strategy."""

    strategy: str
    seed: int
    baseline: int
    points: tuple[Point, ...]

    @property
    def spent(self) -> int:
        return self.points[-1].spent if self.points else 0

    def at(self, spent: float) -> Point | None:
        """The last finished trial at a cost of at most `spent`; None before the first."""
        found = bisect_right(self.points, spent, key=lambda point: point.spent)
        return self.points[found - 1] if found else None

    def best(self, spent: float) -> float | None:
        """The best score at a cost of at most `spent`."""
        point = self.at(spent)
        return point.best if point else None


def amounts(evaluator: TorchEvaluator) -> dict[str, Amount]:
    """The sizes of the data on this machine."""
    found = {}
    for name in evaluator.digests():
        data = evaluator.dataset(name)
        found[name] = Amount(data.vocabulary, data.train.inputs.size, data.valid.inputs.size)
    return found


def cost(cell: Cell, grid: Grid, amount: Amount, outcomes: Iterable[Outcome]) -> int:
    """Multiply-adds of the training of `outcomes`. An old record without the number of epochs counts the
    epochs to its best."""
    index = keys(grid)
    return sum(
        of_training(
            cell, amount.vocabulary, grid[index[o.setting]].layers, o.hidden, o.trained or o.epochs,
            amount.train, amount.valid,
        )
        for o in outcomes if o.hidden
    )  # fmt: skip


def curve(store: Store, space: Space, seed: int, data: Amounts) -> Curve:
    """The finished trials, in the order of their numbers (with one worker, the order of time)."""
    spent = _costs(store, space, data)
    with reading(store.engine, store.url) as connection:
        query = select(items).where(items.c.study == store.study, items.c.outcome != Ending.OPEN)
        rows = connection.execute(query.order_by(items.c.trial)).all()
    seeds = {record.fingerprint for record in cellrecords.recorded_cells(store, seeds=True)}
    points: list[Point] = []
    total, best = 0, None
    ended = {Ending.RANKED: 0, Ending.FILTERED: 0}
    for row in rows:
        if row.kind in (Kind.BASELINE, Kind.SEED):
            continue
        here = spent.get(row.trial, 0)
        total += here
        if row.outcome in ended:
            ended[row.outcome] += 1
        if row.outcome == Ending.RANKED and row.score is not None and row.fingerprint not in seeds:
            best = max(row.score, -1.0 if best is None else best)
        points.append(
            Point(
                row.trial, row.kind, row.outcome, row.fingerprint, here, total, row.score, best,
                ended[Ending.RANKED], ended[Ending.FILTERED],
            )
        )  # fmt: skip
    baseline = sum(
        spent.get(number, 0) for number in {row.trial for row in rows if row.kind == Kind.BASELINE}
    )
    return Curve(space.strategy.name, seed, baseline, tuple(points))


def _costs(store: Store, space: Space, data: Amounts) -> dict[int, int]:
    """Trial -> the cost of its stages."""
    cells = {record.fingerprint: parse(record.text) for record in cellrecords.recorded_cells(store)}
    known = grids(space)
    query = select(stages.c.trial, stages.c.task, stages.c.fingerprint, stages.c.outcomes)
    found: dict[int, int] = {}
    with reading(store.engine, store.url) as connection:
        for row in connection.execute(query.where(stages.c.study == store.study)):
            task = task_of(row.task)
            here = cost(cells[row.fingerprint], known[task], data[task], outcomes_of(row.outcomes))
            found[row.trial] = found.get(row.trial, 0) + here
    return found


def as_json(found: Curve) -> str:
    """A curve in one line of JSON, for figures; costs in multiply-adds."""
    columns = ("spent", "best", "score", "outcome")
    points = {name: [getattr(point, name) for point in found.points] for name in columns}
    return json.dumps({"strategy": found.strategy, "seed": found.seed, "baseline": found.baseline, **points})
