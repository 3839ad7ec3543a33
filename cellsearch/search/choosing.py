"""The settings of a stage. In: a study, a slot and one of its stages. Out: a choice, to be made once it is
known which settings are taken.

Chance chooses, with what is passed on to a new cell (`strategies.settings`), or a sampler of Optuna does.
Randomness comes from (study seed, slot, stage).
"""

from collections.abc import Callable, Collection

import numpy as np

from cellsearch.search import cellrecords, queries, strategies
from cellsearch.search.records import Facts
from cellsearch.search.schema import Store
from cellsearch.search.sections import FILTER
from cellsearch.search.slots import Slot
from cellsearch.search.space import Space
from cellsearch.search.strategies import STRATEGIES, Pools, Result

Offered = Callable[[str, str], Collection[int]]  # fingerprint, stage -> the settings there can be
Choose = Callable[[frozenset[int]], list[int]]  # settings that are taken -> settings to run


def chooser(store: Store, space: Space, known: Facts, slot: Slot, task: str, count: int) -> Choose:
    """How `count` settings of a stage are chosen."""
    strategy, grids = space.strategy, strategies.grids(space)
    size, seed = grids[task], (known.seed, slot.number, 1 + list(grids).index(task))
    if slot.kind not in ("propose", "refine") or task == FILTER or strategy.sampler == "chance":
        pools = _pools(store, space, slot, task)
        return lambda taken: strategies.draw(count, size, pools, taken, np.random.default_rng(seed))
    # here: it loads Optuna, which chance does not need
    from cellsearch.search.study.settings import suggest

    grid = next(stage.grid for stage in space.tasks if stage.name == task)
    history = _history(store, space, slot, task)

    def choose(taken: frozenset[int]) -> list[int]:
        return suggest(strategy.sampler, grid, history, count, taken, seed)

    # a sampler thinks longer than a transaction should last: it is asked before, and again only where another
    # worker has claimed settings in between
    seen = queries.taken(store, slot.fingerprint, task)
    planned = choose(seen)
    return lambda taken: planned if taken == seen else choose(taken)


def among(offered: Collection[int], size: int, choose: Choose) -> Choose:
    """The same choice where only some settings of a grid are offered: the others count as taken."""
    others = frozenset(range(size)) - frozenset(offered)
    return lambda taken: choose(taken | others)


def _history(store: Store, space: Space, slot: Slot, task: str) -> list[Result]:
    """What a sampler is told: the results of the cell, and of its parent where those are passed on."""
    told = [slot.fingerprint]
    if slot.kind == "propose" and STRATEGIES[space.strategy.name].inherits:
        told.append(slot.parent)
    return queries.results(store, told, task)


def _pools(store: Store, space: Space, slot: Slot, task: str) -> Pools:
    """Where the settings of a proposal come from; those of the filter and of a refinement are random."""
    strategy = space.strategy
    if slot.kind != "propose" or task == FILTER or not STRATEGIES[strategy.name].inherits:
        return ()
    seeds = [seed.fingerprint for seed in cellrecords.recorded_cells(store, seeds=True)]
    parent = queries.results(store, [slot.parent], task)
    return strategies.sources(strategy, strategy.settings, parent, queries.results(store, seeds, task))
