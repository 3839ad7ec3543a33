"""The records as a decision reads them. In: a study. Out: the `View` of `strategies`."""

from collections.abc import Sequence

from cellsearch.dsl.fingerprint import fingerprint
from cellsearch.dsl.functional import functional
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.text import parse
from cellsearch.search import queries, ranking, strategies
from cellsearch.search.ranking import Best
from cellsearch.search.records import Facts
from cellsearch.search.schema import Store
from cellsearch.search.space import Space
from cellsearch.search.strategies import Known, View


def look(store: Store, space: Space, known: Facts) -> View:
    """The study as it stands: scores from slots that are finished, claims from all.

    What a slot has recorded itself does not count before it is finished: a retry decides as the first
    attempt did.
    """
    seeds = queries.recorded_cells(store, seeds=True)
    own = [seed.fingerprint for seed in seeds]

    def bests(marks: Sequence[str]) -> dict[str, dict[str, Best]]:
        return ranking.bests(queries.recorded_stages(store, finished=True, among=marks))

    units = known.units
    if space.strategy.baseline == "live":
        baseline = next(seed.fingerprint for seed in seeds if seed.name == space.baseline)
        units = ranking.live_units(units, bests([baseline]).get(baseline, {}))
    threshold = space.strategy.threshold
    scores = queries.scores(store, units, threshold, own, finished=True)
    marks = ranking.first(scores, space.strategy.list)
    order = ranking.ranked(bests(marks), queries.origins(store, marks), units, threshold)
    listed = order[: space.strategy.list]
    tried = queries.tried(store, [standing.fingerprint for standing in listed])

    def about(mark: str) -> Known:
        return Known(queries.tried(store, [mark])[mark], bests([mark]).get(mark, {}), mark in own)

    def cell(mark: str) -> Cell:
        return parse(queries.recorded_cells(store, [mark])[0].text)

    admission = space.filter.accuracy if space.filter else 0.0

    def counts_as(proposed: Cell) -> str:
        mark = fingerprint(proposed)
        return queries.counts_as(store, mark, lambda: functional(proposed)) or mark

    return View(strategies.grids(space), units, admission, listed, tried, about, cell, counts_as)
