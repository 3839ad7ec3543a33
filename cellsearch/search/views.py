"""The records as a decision reads them. In: a study. Out: the `View` of `strategies`."""

from cellsearch.dsl.fingerprint import fingerprint
from cellsearch.dsl.functional import functional
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.text import parse
from cellsearch.search import queries, ranking, strategies
from cellsearch.search.records import Facts
from cellsearch.search.schema import Store
from cellsearch.search.sections import FILTER
from cellsearch.search.space import Space
from cellsearch.search.strategies import Known, View


def look(store: Store, space: Space, known: Facts) -> View:
    """The study as it stands: scores from slots that are finished, claims from all.

    What a slot has recorded itself does not count before it is finished: a retry decides as the first
    attempt did.
    """
    found = ranking.bests(queries.recorded_stages(store, finished=True, without=FILTER))
    origins = queries.origins(store)
    units = known.units
    if space.strategy.baseline == "live":
        baseline = next(
            seed for seed in queries.recorded_cells(store, seeds=True) if seed.name == space.baseline
        )
        units = ranking.live_units(units, found.get(baseline.fingerprint, {}))
    order = ranking.ranked(found, origins, units, space.strategy.threshold)
    listed = [standing.fingerprint for standing in order[: space.strategy.list]]
    tried = queries.tried(store, listed)

    def about(mark: str) -> Known:
        best = ranking.bests(queries.recorded_stages(store, finished=True, fingerprint=mark)).get(mark, {})
        seed = mark in origins and origins[mark].seed
        return Known(queries.tried(store, [mark])[mark], best, seed)

    def cell(mark: str) -> Cell:
        return parse(queries.recorded_cells(store, [mark])[0].text)

    admission = space.filter.accuracy if space.filter else 0.0

    def counts_as(proposed: Cell) -> str:
        mark = fingerprint(proposed)
        return queries.counts_as(store, mark, lambda: functional(proposed)) or mark

    return View(strategies.grids(space), units, admission, order, tried, about, cell, counts_as)
