"""The records as a decision reads them. In: a study. Out: the `View` of `strategies`."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from cellsearch.dsl.fingerprint import fingerprint
from cellsearch.dsl.functional import functional
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.text import parse
from cellsearch.search import cellrecords, costs, queries, ranking, strategies
from cellsearch.search.costs import Costs
from cellsearch.search.ranking import Best, Standing
from cellsearch.search.records import Facts
from cellsearch.search.schema import Store
from cellsearch.search.space import Space
from cellsearch.search.strategies import Known, View


def look(store: Store, space: Space, known: Facts, counted: Costs | None = None) -> View:
    """The study as it stands: scores from slots that are finished, claims from all.

    What a slot has recorded itself does not count before it is finished: a retry decides as the first
    attempt did. `counted` are the costs of before, so that none is counted again.
    """
    strategy = space.strategy
    cost = counted or Costs(store, strategy.cost, space.limits.width)
    seeds = cellrecords.recorded_cells(store, seeds=True)
    own = [seed.fingerprint for seed in seeds]

    def bests(marks: Sequence[str]) -> dict[str, dict[str, Best]]:
        return ranking.bests(queries.recorded_stages(store, finished=True, among=marks))

    units = known.units
    if strategy.baseline == "live":
        baseline = next(seed.fingerprint for seed in seeds if seed.name == space.baseline)
        units = ranking.live_units(units, bests([baseline]).get(baseline, {}))

    def listed() -> list[str]:
        scores = queries.scores(store, units, strategy.threshold, own, finished=True)
        if strategy.rank == "pareto":
            return costs.by_front(scores, cost)[: strategy.list]
        marks = ranking.first(scores, strategy.list)
        order = ranking.ranked(bests(marks), cellrecords.origins(store, marks), units, strategy.threshold)
        return [standing.fingerprint for standing in order[: strategy.list]]

    def population() -> list[Standing]:
        entered = queries.entered(store, strategy.population)
        members = [*own, *entered][-strategy.population :]
        marks = list(dict.fromkeys(members))
        found, origins = bests(marks), cellrecords.origins(store, marks)
        standings = {
            mark: ranking.stand(mark, found.get(mark, {}), origins[mark], units, strategy.threshold)
            for mark in marks
        }
        return [standings[mark] for mark in members]

    def about(mark: str) -> Known:
        return Known(queries.tried(store, [mark])[mark], bests([mark]).get(mark, {}), mark in own)

    def cell(mark: str) -> Cell:
        return parse(cellrecords.recorded_cells(store, [mark])[0].text)

    def counts_as(proposed: Cell) -> str:
        mark = fingerprint(proposed)
        return cellrecords.counts_as(store, mark, lambda: functional(proposed)) or mark

    return View(
        grids=strategies.grids(space),
        units=units,
        admission=space.filter.accuracy if space.filter else 0.0,
        seeds=own,
        listed=listed,
        population=population,
        cost=lambda mark: cost.of([mark])[mark][1],
        tried=lambda marks: queries.tried(store, marks),
        known=about,
        cell=cell,
        counts_as=counts_as,
    )


def limited(view: View, offered: Callable[[str, str], Collection[int]]) -> View:
    """The same view where a cell can be run with the `offered` settings alone (of a fingerprint and a stage):
    what is not offered counts as tried."""

    def with_others(mark: str, tried: Mapping[str, int]) -> dict[str, int]:
        return {
            stage: tried.get(stage, 0) + size - len(offered(mark, stage))
            for stage, size in view.grids.items()
        }

    def several(marks: Sequence[str]) -> dict[str, dict[str, int]]:
        return {mark: with_others(mark, tried) for mark, tried in view.tried(marks).items()}

    def known(mark: str) -> Known:
        found = view.known(mark)
        return replace(found, tried=with_others(mark, found.tried))

    return replace(view, tried=several, known=known)
