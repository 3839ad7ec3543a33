"""The leaderboard and the numbers of `status`: from records to rows. No torch, no Optuna, no writes.

The order of rows is deterministic: score, then fewer parameters, then the earlier cell. The seeds are always
in the table, even before the units are settled (then without a score).
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from cellsearch.study.leaderboard.repeated import with_repeats
from cellsearch.study.leaderboard.rows import Row as Row
from cellsearch.study.leaderboard.rows import TaskResult as TaskResult
from cellsearch.study.leaderboard.rows import detailed
from cellsearch.study.leaderboard.trust import Trust, marked, trust
from cellsearch.study.leaderboard.trust import planned as trust_planned
from cellsearch.study.scoring import ranking
from cellsearch.study.scoring.ranking import Best, Origin, Stage
from cellsearch.study.space import Space
from cellsearch.study.space.model import FILTER, task_of
from cellsearch.study.tables import cellrecords, costs, queries, repeats
from cellsearch.study.tables.cellrecords import Record
from cellsearch.study.tables.costs import Costs
from cellsearch.study.tables.queries import Counts
from cellsearch.study.tables.records import dropped, facts
from cellsearch.study.tables.study_facts import Facts, Target
from cellsearch.study.tables.transactions import Store


def rows_of(
    stages: Sequence[Stage],
    cells: Sequence[Record],
    units: Mapping[str, float],
    tasks: Sequence[str],
    threshold: float,
    every: bool = False,
    equivalents: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
) -> list[Row]:
    """The table: ranked cells and seeds, best first; with `every` followed by all other `cells`, in order of
    first occurrence. `units` has the kept tasks, `tasks` all tasks of the space, in order.
    """
    found = ranking.bests(stages)
    origins = {cell.fingerprint: Origin(cell.trial, cell.seed) for cell in cells}
    records = {cell.fingerprint: cell for cell in cells}
    known = {mark: found.get(mark, {}) for mark in origins}
    order = [standing.fingerprint for standing in ranking.ranked(known, origins, units, threshold)]
    ranks = {mark: rank for rank, mark in enumerate(order, 1)}
    rest = [cell.fingerprint for cell in cells if cell.fingerprint not in ranks and (every or cell.seed)]
    return [
        _row(records[mark], ranks.get(mark), known[mark], units, tasks, threshold, equivalents.get(mark, ()))
        for mark in [*order, *rest]
    ]


def _row(
    cell: Record,
    rank: int | None,
    found: Mapping[str, Best],
    units: Mapping[str, float],
    tasks: Sequence[str],
    threshold: float,
    equivalents: tuple[str, ...],
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
    standing = ranking.stand(cell.fingerprint, found, Origin(cell.trial, cell.seed), units, threshold)
    if cell.seed:
        status = "seed"
    elif rank is not None:
        status = "ranked"
    elif not any(task in found for task in tasks):
        status = f"filtered at {FILTER}" if FILTER in found else "running"
    else:
        status = f"filtered at {standing.place}" if standing.place in found else "running"
    tried = sum(best.settings for stage, best in found.items() if stage == task_of(stage))
    score = ranking.score(found, units)
    parameters = standing.parameters or max((r.parameters or 0 for r in results), default=0) or None
    return Row(
        rank, cell.name, cell.fingerprint, score, tuple(results), parameters, tried, status,
        cell.parent, cell.trial, cell.text, equivalents,
    )  # fmt: skip


def units_of(store: Store, known: Facts, space: Space, seeds: Sequence[Record]) -> dict[str, float]:
    """The unit of each kept task: frozen after the baseline, or its current best if the space says `live`."""
    if space.strategy.baseline != "live":
        return known.units
    mark = next(cell.fingerprint for cell in seeds if cell.name == space.baseline)
    found = ranking.bests(queries.recorded_stages(store, among=[mark]))
    return ranking.live_units(known.units, found.get(mark, {}))


def leaderboard(store: Store, space: Space, every: bool = False, found: Trust | None = None) -> list[Row]:
    """The current table of a study; `found` as for `top`."""
    if not every:
        return top(store, space, found=found)[0]
    known, cells = facts(store), cellrecords.recorded_cells(store)
    units = units_of(store, known, space, [cell for cell in cells if cell.seed])
    tasks = [task.name for task in space.tasks]
    stages, equivalents = queries.recorded_stages(store), cellrecords.equivalents_of(store)
    rows = rows_of(stages, cells, units, tasks, space.strategy.threshold, every, equivalents)
    rows = detailed(store, rows, {cell.fingerprint: cell for cell in cells})
    rows = with_repeats(store, space, rows, units)
    found = found or _trust(store, known, space, [cell for cell in cells if cell.seed])
    return marked(rows, found)


def _trust(store: Store, known: Facts, space: Space, seeds: Sequence[Record]) -> Trust:
    """The facts on trust in the board; the baseline is the first seed."""
    own = sorted(seeds, key=lambda cell: cell.name != space.baseline)
    return trust(store, known, space, [cell.fingerprint for cell in own])


def trusted(store: Store, space: Space) -> Trust:
    """The current facts on trust in the board of a study."""
    return _trust(store, facts(store), space, cellrecords.recorded_cells(store, seeds=True))


def planned(store: Store, space: Space) -> int | None:
    """The number of repeats that `verify` needs, see `trust.planned`."""
    seeds = cellrecords.recorded_cells(store, seeds=True)
    base = next(cell.fingerprint for cell in seeds if cell.name == space.baseline)
    return trust_planned(repeats.recorded(store), base, list(facts(store).units))


def top(
    store: Store, space: Space, count: int | None = None, found: Trust | None = None
) -> tuple[list[Row], int]:
    """The first `count` lines of the table and the seeds, and the total number of lines. Reads only the
    scores of other cells. `found` has the facts besides the scores: None computes them, `Trust()` skips
    them."""
    known, seeds = facts(store), cellrecords.recorded_cells(store, seeds=True)
    units = units_of(store, known, space, seeds)
    threshold, own = space.strategy.threshold, [cell.fingerprint for cell in seeds]
    scores = queries.scores(store, units, threshold, own)
    rows = _of(store, space, known, units, seeds, ranking.first(scores, count, own), scores, found)
    size = len({mark for mark, _ in scores} | set(own))
    return [row for k, row in enumerate(rows) if count is None or k < count or row.seed], size


def _of(
    store: Store,
    space: Space,
    known: Facts,
    units: Mapping[str, float],
    seeds: Sequence[Record],
    marks: Sequence[str],
    scores: Sequence[tuple[str, float]],
    found: Trust | None = None,
) -> list[Row]:
    """The lines of the seeds and of the cells `marks`, which include all ties in `scores`."""
    asked = {*(cell.fingerprint for cell in seeds), *marks}
    firsts = {mark for mark, score in scores if score == scores[0][1]}  # rank 1 decides on ties
    cells = cellrecords.recorded_cells(store, sorted(asked | firsts))
    stages = queries.recorded_stages(store, among=[cell.fingerprint for cell in cells])
    tasks, equivalents = [task.name for task in space.tasks], cellrecords.equivalents_of(store)
    rows = rows_of(stages, cells, units, tasks, space.strategy.threshold, True, equivalents)
    rows = detailed(store, _placed(rows, scores), {cell.fingerprint: cell for cell in cells})
    rows = marked(with_repeats(store, space, rows, units), found or _trust(store, known, space, seeds))
    return [row for row in rows if row.fingerprint in asked]


def find(store: Store, space: Space, place: str) -> tuple[Row | None, int]:
    """The line of a rank or of a named cell (None if there is none), and the number of ranks. Reads that
    cell, the seeds, and cells with equal score.
    """
    known, seeds = facts(store), cellrecords.recorded_cells(store, seeds=True)
    units = units_of(store, known, space, seeds)
    own = [cell.fingerprint for cell in seeds]
    scores = queries.scores(store, units, space.strategy.threshold, own)
    rank = int(place) if place.isdigit() else None
    if rank is not None:
        marks = {mark for mark, _ in scores[max(rank - 1, 0) : rank]}
    else:
        marks = {cell.fingerprint for cell in cellrecords.named_cells(store, place)}
    rows = _with_equals(store, space, list(marks))
    wanted = (row for row in rows if (row.rank == rank if rank is not None else row.fingerprint in marks))
    return next(wanted, None), len(scores)


def these(store: Store, space: Space, marks: Sequence[str]) -> dict[str, Row]:
    """Fingerprint -> line, of recorded cells."""
    return {
        row.fingerprint: row for row in _with_equals(store, space, marks) if row.fingerprint in set(marks)
    }


def _with_equals(store: Store, space: Space, marks: Sequence[str]) -> list[Row]:
    """The lines of cells and of their ties: all that their ranks depend on."""
    if not marks:
        return []
    known, seeds = facts(store), cellrecords.recorded_cells(store, seeds=True)
    units = units_of(store, known, space, seeds)
    scores = queries.scores(store, units, space.strategy.threshold, [cell.fingerprint for cell in seeds])
    equal = {score for mark, score in scores if mark in marks}
    among = [*marks, *(mark for mark, score in scores if score in equal)]
    return _of(store, space, known, units, seeds, among, scores)


@dataclass(frozen=True, slots=True)
class Front:
    """The Pareto front of the ranked cells, best score first, and their costs."""

    cost: str  # name of a cost in `sizes`
    width: int  # width of the measured layer and of its inputs
    rows: tuple[Row, ...]
    seeds: tuple[Row, ...]  # seeds that are not on the front
    costs: Mapping[str, int]  # fingerprint -> cost, of all of these rows


def front(store: Store, space: Space, cost: str = "") -> Front:
    """The current front of a study, for any strategy; the default cost is that of the space."""
    known, seeds = facts(store), cellrecords.recorded_cells(store, seeds=True)
    units = units_of(store, known, space, seeds)
    own = [cell.fingerprint for cell in seeds]
    counted = Costs(store, cost or space.strategy.cost, space.limits.width)
    scores = queries.scores(store, units, space.strategy.threshold, own)
    marks = costs.front(scores, counted)
    equal = {score for mark, score in scores if mark in marks or mark in own}
    rows = _of(store, space, known, units, seeds, [mark for mark, score in scores if score in equal], scores)
    return Front(
        counted.name,
        counted.width,
        tuple(row for row in rows if row.fingerprint in marks),
        tuple(row for row in rows if row.seed and row.fingerprint not in marks),
        {mark: found[1] for mark, found in counted.of(list(dict.fromkeys([*own, *marks]))).items()},
    )


def ranked(store: Store, space: Space) -> list[str]:
    """The fingerprints of all ranked cells, best first; ties in any order."""
    seeds = cellrecords.recorded_cells(store, seeds=True)
    units = units_of(store, facts(store), space, seeds)
    own = [cell.fingerprint for cell in seeds]
    return [mark for mark, _ in queries.scores(store, units, space.strategy.threshold, own)]


def _placed(rows: Sequence[Row], scores: Sequence[tuple[str, float]]) -> list[Row]:
    """The rows with their ranks among all cells in `scores`. `rows` includes all ties."""
    here = {row.fingerprint for row in rows}
    others = sorted(-score for mark, score in scores if mark not in here)
    placed = []
    for row in rows:
        before = bisect_left(others, -(row.score or 0.0)) if row.rank is not None else 0
        placed.append(replace(row, rank=row.rank + before) if row.rank is not None and before else row)
    return placed


@dataclass(frozen=True, slots=True)
class Status:
    """The progress of a study."""

    name: str
    seed: int
    target: Target
    counts: Counts
    seconds: float  # total run time of `search`
    dropped: tuple[str, ...]  # dropped tasks, with the reason
    stopped: str  # reason for the stop, else ""
    halted: bool  # time limit reached
    best: tuple[Row, ...]  # the first rows of the leaderboard and the seeds
    patience: int | None = None  # limit of proposals in a row without a better score

    @property
    def finished(self) -> bool:
        """Whether the target is reached."""
        c = self.counts
        _, ended, of = self.target.nearest(c.trials, c.proposals)
        return c.told == c.seeds and (ended >= of or self.plateau) and not c.running and not c.free

    @property
    def plateau(self) -> bool:
        """Whether the last `patience` proposals brought no better score."""
        return self.patience is not None and self.counts.stale >= self.patience


def status(store: Store, space: Space, rows: int = 3) -> Status:
    """The numbers of `status`, from records only, so that they survive any crash."""
    known = facts(store)
    best = tuple(top(store, space, rows)[0])
    lost = tuple(dropped(known.baseline or {}, space.strategy.margin))
    return Status(
        known.name, known.seed, known.target, queries.counts(store), known.seconds, lost, known.stopped,
        known.halted, best, space.budget.patience,
    )  # fmt: skip
