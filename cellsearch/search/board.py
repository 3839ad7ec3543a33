"""The leaderboard and the numbers of `status`: from records to rows. No torch, no Optuna, nothing written.

Rows come in one order for the same records: score, then fewer parameters, then the earlier cell. The seeds
are always in the table, before the units are settled too (then without a score).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from cellsearch.search import queries, ranking
from cellsearch.search.queries import Counts, Record
from cellsearch.search.ranking import Best, Origin
from cellsearch.search.records import Facts, dropped, facts
from cellsearch.search.schema import Store
from cellsearch.search.sections import FILTER
from cellsearch.search.slots import Stage
from cellsearch.search.space import Space


@dataclass(frozen=True, slots=True)
class TaskResult:
    """A cell on one task."""

    task: str
    ratio: (
        float | None
    )  # best accuracy / unit; None without units or accuracy, and on a task that is not used
    accuracy: float | None
    loss: float | None
    setting: int | None  # index in the grid of the task, of the best setting
    parameters: int | None  # of the whole model at that setting
    hidden: int | None
    settings: int  # tried, the diverged ones too
    kept: bool  # False: the task was dropped after the baseline


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the leaderboard."""

    rank: int | None  # among the ranked; None for a cell that is not
    name: str
    fingerprint: str
    score: float | None
    tasks: tuple[TaskResult, ...]
    parameters: int | None  # of the largest of the models at its best settings
    settings: int  # tried on all tasks and the filter
    status: str  # seed, ranked, filtered at TASK, in work
    parent: str
    slot: int  # the first it was met in
    text: str
    twins: tuple[str, ...] = ()  # fingerprints of the cells that were proposed and count as this one

    @property
    def seed(self) -> bool:
        return self.status == "seed"


def rows_of(
    stages: Sequence[Stage],
    cells: Sequence[Record],
    units: Mapping[str, float],
    tasks: Sequence[str],
    threshold: float,
    every: bool = False,
    twins: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
) -> list[Row]:
    """The table: ranked cells and seeds, best first; with `every` then all other `cells`, in the order they
    were met.

    `units` holds the kept tasks, `tasks` all of the space, in order.
    """
    found = ranking.bests(stages)
    origins = {cell.fingerprint: Origin(cell.slot, cell.seed) for cell in cells}
    records = {cell.fingerprint: cell for cell in cells}
    known = {mark: found.get(mark, {}) for mark in origins}
    order = [standing.fingerprint for standing in ranking.ranked(known, origins, units, threshold)]
    ranks = {mark: rank for rank, mark in enumerate(order, 1)}
    rest = [cell.fingerprint for cell in cells if cell.fingerprint not in ranks and (every or cell.seed)]
    return [
        _row(records[mark], ranks.get(mark), known[mark], units, tasks, threshold, twins.get(mark, ()))
        for mark in [*order, *rest]
    ]


def _row(
    cell: Record,
    rank: int | None,
    found: Mapping[str, Best],
    units: Mapping[str, float],
    tasks: Sequence[str],
    threshold: float,
    twins: tuple[str, ...],
) -> Row:
    results = []
    for task in tasks:
        best = found.get(task, Best())
        unit = units.get(task)
        ratio = None if unit is None or best.accuracy is None else best.accuracy / unit
        results.append(
            TaskResult(
                task, ratio, best.accuracy, best.loss, best.setting, best.parameters, best.hidden,
                best.settings, unit is not None or not units,
            )
        )  # fmt: skip
    standing = ranking.stand(cell.fingerprint, found, Origin(cell.slot, cell.seed), units, threshold)
    if cell.seed:
        status = "seed"
    elif rank is not None:
        status = "ranked"
    elif not any(task in found for task in tasks):
        status = f"filtered at {FILTER}" if FILTER in found else "in work"
    else:
        status = f"filtered at {standing.place}" if standing.place in found else "in work"
    tried = sum(best.settings for best in found.values())
    score = ranking.score(found, units)
    parameters = standing.parameters or max((r.parameters or 0 for r in results), default=0) or None
    return Row(
        rank, cell.name, cell.fingerprint, score, tuple(results), parameters, tried, status,
        cell.parent, cell.slot, cell.text, twins,
    )  # fmt: skip


def units_of(
    known: Facts, space: Space, stages: Sequence[Stage], cells: Sequence[Record]
) -> dict[str, float]:
    """What counts as 1 on each kept task: frozen after the baseline, or its best now where the space says
    `live`."""
    if space.strategy.baseline != "live":
        return known.units
    mark = next(cell.fingerprint for cell in cells if cell.seed and cell.name == space.baseline)
    return ranking.live_units(
        known.units, ranking.bests(s for s in stages if s.fingerprint == mark).get(mark, {})
    )


def leaderboard(store: Store, space: Space, every: bool = False) -> list[Row]:
    """The table of a study as it stands. Without `every` the cells that the filter threw out are not even
    read."""
    known = facts(store)
    stages = queries.recorded_stages(store)
    if every:
        cells = queries.recorded_cells(store)
    else:
        marks = {stage.fingerprint for stage in stages if stage.task != FILTER}
        seeds = queries.recorded_cells(store, seeds=True)
        cells = [*seeds, *queries.recorded_cells(store, sorted(marks - {cell.fingerprint for cell in seeds}))]
    units = units_of(known, space, stages, cells)
    tasks = [task.name for task in space.tasks]
    twins = queries.twins_of(store)
    return rows_of(stages, cells, units, tasks, space.strategy.threshold, every, twins)


@dataclass(frozen=True, slots=True)
class Status:
    """How a study stands."""

    name: str
    seed: int
    trials: int  # the target
    counts: Counts
    seconds: float  # that `search` has run
    dropped: tuple[str, ...]  # tasks that are not used, with the reason
    stopped: str  # why it stopped, "" where it did not
    halted: bool  # its time was up
    best: tuple[Row, ...]  # the first rows of the leaderboard and the seeds

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do before the target is raised."""
        c = self.counts
        return c.baseline == c.baseline_slots and c.trials >= self.trials and not c.running and not c.free


def status(store: Store, space: Space, rows: int = 3) -> Status:
    """The numbers of `status`, of records alone: what it shows is there after any crash."""
    known = facts(store)
    table = leaderboard(store, space)
    best = tuple(row for i, row in enumerate(table) if i < rows or row.seed)
    lost = tuple(dropped(known.baseline or {}, space.strategy.margin))
    return Status(
        known.name, known.seed, known.trials, queries.counts(store), known.seconds, lost, known.stopped,
        known.halted, best,
    )  # fmt: skip
