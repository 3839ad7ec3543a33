"""The table of strategies, by name: how each chooses a cell to refine or a parent to mutate; and the options
of strategies. A new strategy is a function and a row. It maps its options, a `View` and a
`numpy.random.Generator` to a `Decision`. Proposals of all strategies pass the same filter and stages and are
scored in the same way, so that strategies compare at equal cost.
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

NO_SEED = "every seed failed, so there is no cell to mutate; `cellsearch status` shows the cause"
MANY = 1_000_000  # a generous bound that only excludes nonsense
DRAWS = 100  # maximum mutants drawn for a proposal: in a large space the first is nearly always new

Mutant = tuple[str, Cell, Sequence[Any]]  # the parent, the child, the edits
Choose = Callable[["Strategy", View, Propose, np.random.Generator], Decision]


@dataclass(frozen=True, slots=True)
class Way:
    """A strategy. Its proposals may inherit settings from a parent (section 3.3 of Jozefowicz et al.)."""

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
    """The share of refinements, when there is a cell to refine."""
    return strategy.refine if STRATEGIES[strategy.name].refines else 0.0


def of_the_list(strategy: "Strategy", view: View, propose: Propose, rng: np.random.Generator) -> Decision:
    """Refines a cell of the list with probability `strategy.refine`, else mutates one (Jozefowicz et al.
    2015, section 3.1). Only cells with an untried setting are refined; without any it proposes, and if
    `DRAWS` mutants have nothing left to run, it refines.
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
    1): the child enters, the oldest leaves. Nothing is refined: only age removes a cell. The sample is drawn
    with replacement, as in the paper. Our choices where the paper does not say:

    - The population starts with the seeds, not with random cells, and grows until it is full. Until then the
    sample is proportionally smaller: the best of 25 out of two would always be the better one, without the
    diversity of the paper's first phase.
    - A cell that fails the memorisation filter does not enter: it has no fitness, and nine in ten fail, so
    they would fill the population. A cell that fails a later stage enters with a low fitness.
    - Fitness compares the number of passed tasks first, then the score so far: a score over one task does not
    compare with a score over three.
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
    """The best of a sample, the first among ties; with `rank: pareto` a member of the front of those that
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
    """Mutates a seed `strategy.walk` times in sequence: the control without selection. It ignores results and
    refines nothing. It takes several mutations, because one mutation stays close to the seeds, where the
    others search only at first.
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
    """The first of `DRAWS` mutants with a setting left to run, or the reason that there is none."""
    reason = "all their settings have been run"
    for _ in range(DRAWS):
        try:
            parent, child, edits = draw()
        except CellError as error:  # this parent has no acceptable mutant; another one may
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
        "share of trials that refine a cell instead of mutating one. Not in the paper; the totals of [3.4] "
        "imply 0.21 to 0.25: 220,000 settings of 1,000 cells past the filter, 20 to 60 for a new cell and 60 "
        "for a "
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
        "frozen: units of scores are fixed once the baseline's settings are done; live: a seed that improves "
        "changes all scores. Not in the paper; frozen, so that shown scores do not change",
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
        "a task is dropped unless the baseline's accuracy exceeds that of a memoryless predictor by more "
        "than this, because it could not rank cells (not in the paper)",
        low=-1,
        high=1,
    )
    failures: int = option(
        10, "number of failed trials in a row that ends a search (not in the paper)", low=1, high=MANY
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
        100,
        "evolution: population, the most recent cells past the filter; P of Real et al. (2019)",
        low=1,
        high=MANY,
    )
    sample: int = option(
        25,
        "evolution: size of the sample whose best cell is mutated; S of Real et al. (2019)",
        low=1,
        high=MANY,
    )
    walk: tuple[int, int] = option(
        (1, 8),
        "random: minimum and maximum number of mutations of a seed",
        low=1,
        high=1_000,
        allowed="[min, max], whole numbers from 1 to 1,000",
    )
    sampler: str = option(
        "chance",
        "sampler of settings. chance is the paper's rule [3.3]; the others are Optuna samplers that use the "
        "results of the cell and its parent",
        choices=("chance", "tpe", "tpe_independent"),
    )
    rank: str = option(
        "score",
        "order of the list. score [3.1]; pareto: fronts of score and cost, the best front first",
        choices=("score", "pareto"),
    )
    cost: str = option(
        "parameters",
        "cost of a cell, counted for one layer of limits.width units",
        choices=("parameters", "multiply_adds", "matrices", "nodes", "depth", "products"),
    )
