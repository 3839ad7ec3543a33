"""The table of strategies: how each chooses a cell to refine or a parent to mutate, by the name that the
space gives; and the options of a strategy. A new strategy is a function and a row.

In: the strategy's options, a `View`, a `numpy.random.Generator`. Out: a `Decision`. All three proposals go
through the same filter and the same stages, and are scored alike, so that they compare at equal cost.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cellsearch.dsl.graph import Cell
from cellsearch.errors import CellError
from cellsearch.options import option
from cellsearch.study.scoring.fronts import fronts
from cellsearch.study.scoring.ranking import Standing
from cellsearch.study.states import Kind
from cellsearch.study.strategies.view import Decision, NothingLeft, Propose, View

NO_SEED = "every seed has failed, so that there is no cell to mutate; `cellsearch status` has the cause"
MANY = 1_000_000  # an end of a range that keeps out nonsense alone
DRAWS = 100  # mutants before a trial gives up proposing: in a large space the first is nearly always new

Mutant = tuple[str, Cell, Sequence[Any]]  # the parent, the child, the edits
Choose = Callable[["Strategy", View, Propose, np.random.Generator], Decision]


@dataclass(frozen=True, slots=True)
class Way:
    """A strategy. Its stages may inherit settings from a parent (section 3.3 of Jozefowicz et al.)."""

    about: str
    decide: Choose
    inherits: bool
    refines: bool


def decide(strategy: "Strategy", view: View, propose: Propose, rng: np.random.Generator) -> Decision:
    """The cell of the next trial. Where cells are in a near-tie with the best, those come first that were not
    trained again as often as `strategy.repeats` says, whatever the strategy. Raises NothingLeft where no cell
    has a setting that was not run."""
    again = view.repeatable() if strategy.repeats else []
    if again:
        return Decision(Kind.REPEAT, view.cell(again[0]), again[0], again[0])
    return STRATEGIES[strategy.name].decide(strategy, view, propose, rng)


def refining(strategy: "Strategy") -> float:
    """The share of trials that refine, where there is anything to refine."""
    return strategy.refine if STRATEGIES[strategy.name].refines else 0.0


def of_the_list(strategy: "Strategy", view: View, propose: Propose, rng: np.random.Generator) -> Decision:
    """With probability `strategy.refine` a cell of the list again, else a mutant of one of it (Jozefowicz et
    al. 2015, section 3.1).

    A cell without an untried setting is not drawn for refining; where there is none to refine it proposes,
    and where no mutant with anything left to run is found in `DRAWS` it refines.
    """
    listed = view.listed()
    if not listed:
        raise NothingLeft(NO_SEED)
    refinable = view.refinable(listed)
    if rng.random() < strategy.refine and refinable:
        return _refine(view, refinable, rng)

    def draw() -> Mutant:
        parent = listed[int(rng.integers(len(listed)))]
        return parent, *propose(view.cell(parent), rng)

    found = _fresh(view, draw)
    if isinstance(found, Decision):
        return found
    if refinable:
        return _refine(view, refinable, rng)
    raise _nothing(f"{len(listed)} listed cells", found)


def of_the_population(
    strategy: "Strategy", view: View, propose: Propose, rng: np.random.Generator
) -> Decision:
    """A mutant of the best of a sample of the last cells (regularised evolution: Real et al. 2019, algorithm
    1): the child enters, the oldest leaves. Nothing is refined: age alone removes a cell.

    The sample is drawn with replacement, as there. What the paper does not have is chosen so:

    - The population begins with the seeds, as a search of cells does, not with random cells, and grows until
      it is full. Until then the sample is smaller in proportion: the best of 25 out of two would be the
      better one always, a climb without variety where the paper is at its most varied.
    - A cell that fails the memorisation filter does not enter: it has no fitness, and nine in ten fail, so
      that the population would be theirs. One that fails a later stage does: it has one, a low one.
    - Fitter is the cell that passed more tasks, then the one with the higher score so far: a score over one
      task is no comparison for one over three.
    """
    population = view.population()
    if not population:
        raise NothingLeft(NO_SEED)
    share = len(population) / strategy.population
    size = max(1, round(strategy.sample * min(1.0, share)))

    def draw() -> Mutant:
        sample = [population[k] for k in rng.integers(len(population), size=size)]
        parent = _fittest(sample, strategy, view, rng).fingerprint
        return parent, *propose(view.cell(parent), rng)

    found = _fresh(view, draw)
    if isinstance(found, Decision):
        return found
    raise _nothing(f"{len(population)} cells of the population", found)


def _fittest(
    sample: Sequence[Standing], strategy: "Strategy", view: View, rng: np.random.Generator
) -> Standing:
    """The best of a sample, the first among equals; with `rank: pareto` one of the front of those that
    passed the most tasks."""
    tasks = list(view.units)

    def passed(member: Standing) -> int:
        return tasks.index(member.place) if member.place else len(tasks)

    if strategy.rank == "score":
        return max(sample, key=lambda member: (passed(member), member.score))
    most = max(map(passed, sample))
    able = {member.fingerprint: member for member in sample if passed(member) == most}
    front = fronts([(member.score, view.cost(mark)) for mark, member in able.items()])[0]
    return list(able.values())[front[int(rng.integers(len(front)))]]


def of_chance(strategy: "Strategy", view: View, propose: Propose, rng: np.random.Generator) -> Decision:
    """A seed, and `strategy.walk` mutations of it one after another: what the others find without choosing.

    Nothing that was found counts, and nothing is refined. A walk has a length because one mutation alone
    stays beside the seeds, where the others search only at first.
    """
    low, high = strategy.walk

    def draw() -> Mutant:
        parent = view.seeds[int(rng.integers(len(view.seeds)))]
        cell, edits = view.cell(parent), list[Any]()
        for _ in range(int(rng.integers(low, high, endpoint=True))):
            cell, more = propose(cell, rng)
            edits += more
        return parent, cell, edits

    found = _fresh(view, draw)
    if isinstance(found, Decision):
        return found
    raise _nothing(f"{len(view.seeds)} seeds", found)


def _refine(view: View, refinable: Sequence[str], rng: np.random.Generator) -> Decision:
    chosen = refinable[int(rng.integers(len(refinable)))]
    return Decision(Kind.REFINE, view.cell(chosen), chosen, chosen)


def _fresh(view: View, draw: Callable[[], Mutant]) -> Decision | str:
    """The first of `DRAWS` mutants that has anything left to run, or why there is none."""
    reason = "all of theirs are run"
    for _ in range(DRAWS):
        try:
            parent, child, edits = draw()
        except CellError as error:  # this parent has no acceptable mutant; another one may have
            reason = str(error)
            continue
        fingerprint = view.counts_as(child)
        if view.runnable(fingerprint):
            return Decision(Kind.PROPOSE, child, fingerprint, parent, tuple(edits))
    return reason


def _nothing(among: str, reason: str) -> NothingLeft:
    return NothingLeft(f"nothing left to evaluate among {among} and {DRAWS} mutants: {reason}")


STRATEGIES: Mapping[str, Way] = {
    "jozefowicz2015": Way("refine or mutate one of the best [3.1]", of_the_list, inherits=True, refines=True),
    "evolution": Way(
        "regularised evolution (Real et al. 2019): mutate the best of a sample of the last cells",
        of_the_population,
        inherits=True,
        refines=False,
    ),
    "random": Way("mutate a seed a few times, without selection", of_chance, inherits=False, refines=False),
}


@dataclass(frozen=True, slots=True)
class Strategy:
    """How the search chooses."""

    name: str = option(
        "jozefowicz2015",
        f"where new cells come from. {'; '.join(f'{name}: {way.about}' for name, way in STRATEGIES.items())}",
        choices=tuple(STRATEGIES),
    )
    list: int = option(100, "number of best cells that are refined and mutated [3.1]", low=1, high=MANY)
    refine: float = option(
        0.23,
        "share of trials that refine a cell instead of mutating one. Not said; the totals of [3.4] imply 0.21"
        " to 0.25: 220,000 settings of 1,000 cells past the filter, 20 to 60 for a new cell and 60 for a "
        "refinement, make 2,500 to 3,300 refinements beside 10,000 proposals",
        low=0,
        high=1,
    )
    settings: int = option(20, "settings of each task in one trial [3.1]", low=1, high=MANY)
    threshold: float = option(
        0.9,
        "share of the baseline's best accuracy above which a new cell goes on to the next task [3.1]",
        low=0,
        high=1,
    )
    baseline: str = option(
        "frozen",
        "frozen: the unit of scores stays once the baseline's settings are done; live: a seed that improves "
        "moves all scores. Not said; frozen, so that a score that was shown does not move",
        choices=("frozen", "live"),
    )
    enough: int = option(
        420,
        "settings on a task above which a parent passes its best ones on to its children [3.3]",
        low=1,
        high=MANY,
    )
    best: int = option(100, "number of best settings that a parent passes on [3.3]", low=1, high=MANY)
    margin: float = option(
        0.02,
        "a task is dropped unless the baseline's accuracy is above that of a predictor without memory by more"
        " than this, because it would rank nothing (not of the paper)",
        low=-1,
        high=1,
    )
    failures: int = option(
        10, "failed trials in a row that end a search (not of the paper)", low=1, high=MANY
    )
    repeats: int = option(
        0,
        "further trainings with fresh seeds, on every task at the best setting there, of the baseline and of "
        "cells in a near-tie with the best; the board shows their mean. Those of a cell are one trial of the "
        "budget. 0: none, as in the paper",
        low=0,
        high=9,
    )
    population: int = option(
        100, "of evolution: the most recent cells past the filter, P of Real et al. (2019)", low=1, high=MANY
    )
    sample: int = option(
        25,
        "of evolution: size of the sample whose best cell is mutated, S of Real et al. (2019)",
        low=1,
        high=MANY,
    )
    walk: tuple[int, int] = option(
        (1, 8),
        "of random: fewest and most mutations of a seed",
        low=1,
        high=1_000,
        allowed="[fewest, most], whole numbers from 1 to 1,000",
    )
    sampler: str = option(
        "chance",
        "source of settings. chance is the paper's rule [3.3]; the others are samplers of Optuna that know "
        "the results of the cell and its parent",
        choices=("chance", "tpe", "tpe_independent"),
    )
    rank: str = option(
        "score",
        "order of the list. score [3.1]; pareto: fronts of score and cost, the best front first",
        choices=("score", "pareto"),
    )
    cost: str = option(
        "parameters",
        "cost of a cell: a count of one layer of limits.width units",
        choices=("parameters", "multiply_adds", "matrices", "nodes", "depth", "products"),
    )
