"""The strategy's `View` of a search, on its tables."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.identity.functional import functional_fingerprint
from cellsearch.dsl.text import parse
from cellsearch.study.scoring import chance, ranking
from cellsearch.study.scoring.chance import Band
from cellsearch.study.scoring.ranking import Best, Standing
from cellsearch.study.space import Space, grids
from cellsearch.study.space.model import FILTER, repeat_of
from cellsearch.study.tables import cellrecords, costs, queries, work_items
from cellsearch.study.tables.cellrecords import Record
from cellsearch.study.tables.costs import Costs
from cellsearch.study.tables.study_facts import Facts
from cellsearch.study.tables.transactions import Store

TIED = 5  # cells that are trained again at most, the best at that moment: as many as `verify` takes
Offered = Callable[[str, str], Collection[str]]  # fingerprint, stage -> the offered settings


@dataclass(frozen=True, slots=True)
class Known:
    """The recorded facts about one cell; `Known()` for a new cell."""

    tried: Mapping[str, int] = field(default_factory=dict)  # stage -> settings that ran or are running
    best: Mapping[str, Best] = field(default_factory=dict)
    seed: bool = False


@dataclass(frozen=True)
class TableView:
    """The current study: scores from finished trials, claims from all. A trial's own records do not count
    before its end, so an adopter decides like the first worker. `offered` restricts the settings of a cell.
    """

    store: Store
    space: Space
    facts: Facts
    costs: Costs
    recorded: Sequence[Record]  # the seeds
    offered: Offered | None = None
    band: Callable[[], Band | None] = lambda: None  # the band of chance; None: not known
    _known: dict[str, Known] = field(default_factory=dict, repr=False)

    @cached_property
    def seeds(self) -> list[str]:
        """In the order of the space."""
        return [seed.fingerprint for seed in self.recorded]

    @cached_property
    def units(self) -> dict[str, float]:
        """The kept tasks with their units: frozen, or the baseline's current ones."""
        if self.space.strategy.baseline != "live":
            return self.facts.units
        mark = next(seed.fingerprint for seed in self.recorded if seed.name == self.space.baseline)
        return ranking.live_units(self.facts.units, self._bests([mark]).get(mark, {}))

    @cached_property
    def grids(self) -> dict[str, int]:
        """Stage -> size of its grid."""
        return {name: len(grid) for name, grid in grids(self.space).items()}

    def listed(self) -> list[str]:
        """The best cells."""
        strategy = self.space.strategy
        if strategy.rank == "pareto":
            return costs.by_front(self._scores(), self.costs)[: strategy.list]
        return [standing.fingerprint for standing in self._first(strategy.list)]

    def _first(self, count: int) -> list[Standing]:
        """Of the highest scores. An index has them where units are frozen, else all cells are scored."""
        frozen = self.space.strategy.baseline == "frozen"
        marks = queries.best_cells(self.store, count) if frozen else ranking.first(self._scores(), count)
        origins, threshold = cellrecords.origins(self.store, marks), self.space.strategy.threshold
        return ranking.ranked(self._bests(marks), origins, self.units, threshold)[:count]

    def _scores(self) -> list[tuple[str, float]]:
        threshold = self.space.strategy.threshold
        return queries.scores(self.store, self.units, threshold, self.seeds, finished=True)

    def refinable(self, marks: Sequence[str]) -> list[str]:
        """Those with a setting left on a kept task."""
        tried = self._tried(marks)
        return [m for m in marks if any(tried[m].get(task, 0) < self.grids[task] for task in self.units)]

    def repeatable(self) -> list[str]:
        """Of the first `TIED` cells. One whose repeats failed, or are at work elsewhere, is left out."""
        first = self._first(TIED)
        baseline = next(seed.fingerprint for seed in self.recorded if seed.name == self.space.baseline)
        marks = list(dict.fromkeys([*(standing.fingerprint for standing in first), baseline]))
        left = self._to_repeat(marks)
        band = self.band() if left else None
        if band is None:
            return []
        bests = self._bests([standing.fingerprint for standing in first])
        scored = {
            s.fingerprint: (s.score, [bests[s.fingerprint].get(task, Best()).settings for task in self.units])
            for s in first
        }
        best = scored[first[0].fingerprint]
        tied = [mark for mark, own in scored.items() if chance.tied(band, best, own)]
        return [mark for mark in marks if mark in left and mark in (*tied, baseline)] if len(tied) > 1 else []

    def _to_repeat(self, marks: Sequence[str]) -> set[str]:
        """The cells that lack a repeat at one of their best settings, by what is claimed."""
        numbers = range(1, self.space.strategy.repeats + 1)
        names = [repeat_of(task, k) for task in self.units for k in numbers]
        claimed = work_items.repeats_claimed(self.store, marks, names)
        given_up = work_items.repeats_given_up(self.store, marks)
        bests = self._bests(marks)
        return {
            mark
            for mark in marks
            if mark not in given_up
            and any(
                (repeat_of(task, k), bests[mark][task].setting) not in claimed[mark]
                for task in self.units
                for k in numbers
            )
        }

    def admitted(self, known: Known) -> bool:
        """Whether a cell skips the filter: it is a seed, it passed before, or there is no filter."""
        if known.seed or self.space.filter is None:
            return True
        best = known.best.get(FILTER, Best())
        return best.accuracy is not None and best.accuracy >= self.space.filter.accuracy

    def runnable(self, mark: str) -> bool:
        """Whether a proposal has settings to run: a discarded cell may be proposed again, with new settings
        only."""
        known = self.known(mark)
        if not self.admitted(known):
            return known.tried.get(FILTER, 0) < self.grids[FILTER]
        for task, unit in self.units.items():
            if known.tried.get(task, 0) < self.grids[task]:
                return True
            if not (known.seed or ranking.passed(known.best.get(task), unit, self.space.strategy.threshold)):
                return False
        return False

    def population(self) -> list[Standing]:
        """The last cells that passed the filter, the seeds before them."""
        strategy = self.space.strategy
        members = [*self.seeds, *queries.entered(self.store, strategy.population)][-strategy.population :]
        marks = list(dict.fromkeys(members))
        found, origins = self._bests(marks), cellrecords.origins(self.store, marks)
        standings = {
            mark: ranking.stand(mark, found.get(mark, {}), origins[mark], self.units, strategy.threshold)
            for mark in marks
        }
        return [standings[mark] for mark in members]

    def cost(self, mark: str) -> int:
        """Its cost by `strategy.cost`."""
        return self.costs.of([mark])[mark][1]

    def known(self, mark: str) -> Known:
        """The facts about a cell, cached at the first access."""
        if mark not in self._known:
            best = self._bests([mark]).get(mark, {})
            self._known[mark] = Known(self._tried([mark])[mark], best, mark in self.seeds)
        return self._known[mark]

    def record(self, mark: str) -> Record:
        """The record of a cell."""
        return cellrecords.recorded_cells(self.store, [mark])[0]

    def cell(self, mark: str) -> Cell:
        """A recorded cell."""
        return parse(self.record(mark).text)

    def counts_as(self, cell: Cell) -> str:
        """The recorded cell that is equal or equivalent to `cell`."""
        mark = fingerprint(cell)
        return cellrecords.counts_as(self.store, mark, lambda: functional_fingerprint(cell)) or mark

    def _bests(self, marks: Sequence[str]) -> dict[str, dict[str, Best]]:
        return ranking.bests(queries.recorded_stages(self.store, finished=True, among=marks))

    def _tried(self, marks: Sequence[str]) -> dict[str, dict[str, int]]:
        """With `offered`, settings that are not offered count as tried."""
        found = queries.tried(self.store, marks)
        if self.offered is not None:
            for mark, tried in found.items():
                for stage, size in self.grids.items():
                    tried[stage] = tried.get(stage, 0) + size - len(self.offered(mark, stage))
        return found
