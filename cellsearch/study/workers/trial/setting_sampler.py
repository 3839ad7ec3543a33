"""Choice of the settings of a stage, given the taken ones: at random with inherited settings
(`strategies.settings`), or by an Optuna sampler.

Randomness comes from (study seed, trial number, stage).
"""

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np

from cellsearch.study import strategies
from cellsearch.study.scoring.ranking import Best
from cellsearch.study.space import Space, grids
from cellsearch.study.space.model import FILTER, repeat_of
from cellsearch.study.states import Kind
from cellsearch.study.strategies import STRATEGIES, Pools, Result
from cellsearch.study.tables import cellrecords, queries
from cellsearch.study.tables.study_facts import Facts
from cellsearch.study.tables.transactions import Store
from cellsearch.study.tables.work_items import Item
from cellsearch.train.settings import Grid, keys

Choose = Callable[[frozenset[str]], list[str]]  # taken settings -> settings to run


def chooser(store: Store, space: Space, known: Facts, item: Item, task: str, count: int) -> Choose:
    """The chooser of `count` settings of a stage."""
    strategy, grid = space.strategy, grids(space)[task]
    seed = (known.seed, item.trial, 1 + list(grids(space)).index(task))
    if item.kind not in (Kind.PROPOSE, Kind.REFINE) or task == FILTER or strategy.sampler == "chance":
        pools, settings = _pools(store, space, item, task), list(keys(grid))
        return lambda taken: strategies.draw(count, settings, pools, taken, np.random.default_rng(seed))
    # imported here: it loads Optuna, which chance does not need
    from cellsearch.study.strategies.tpe import suggest

    history = _history(store, space, item, task)

    def choose(taken: frozenset[str]) -> list[str]:
        return suggest(strategy.sampler, grid, history, count, taken, seed)

    # a sampler is slower than a transaction should be: call it before, and again only if another worker has
    # claimed settings meanwhile
    seen = queries.taken(store, item.fingerprint, task)
    planned = choose(seen)
    return lambda taken: planned if taken == seen else choose(taken)


@dataclass(frozen=True, slots=True)
class Repeat:
    """A further training of a cell on a task."""

    stage: str  # the name that it is recorded by
    task: str
    number: int  # 1, 2, …
    setting: str
    seed: int  # takes the place of the study's

    def choose(self, taken: frozenset[str]) -> list[str]:
        """The setting, unless it was claimed for this repeat."""
        return [] if self.setting in taken else [self.setting]


def repeats(space: Space, known: Facts, best: Mapping[str, Best]) -> list[Repeat]:
    """The repeats of a cell at its `best` settings, all tasks with one seed before the next seed; those that
    are claimed already are among them."""
    return [
        Repeat(repeat_of(task, k), task, k, found.setting, fresh_seed(known.seed, k))
        for k in range(1, space.strategy.repeats + 1)
        for task in known.units
        if (found := best.get(task)) is not None and found.setting is not None
    ]


def fresh_seed(seed: int, number: int) -> int:
    """The seed of repeat `number` in the study of `seed`. No training of a search has it."""
    return int.from_bytes(hashlib.sha256(f"repeat {seed} {number}".encode()).digest()[:8]) >> 1


def among(offered: Collection[str], grid: Grid, choose: Choose) -> Choose:
    """The same choice among the offered settings: the others count as taken."""
    others = frozenset(keys(grid)) - frozenset(offered)
    return lambda taken: choose(taken | others)


def _history(store: Store, space: Space, item: Item, task: str) -> list[Result]:
    """The history for a sampler: results of the cell, and of its parent if inherited."""
    cells = [item.fingerprint]
    if item.kind == Kind.PROPOSE and STRATEGIES[space.strategy.name].inherits:
        cells.append(item.parent)
    return queries.results(store, cells, task)


def _pools(store: Store, space: Space, item: Item, task: str) -> Pools:
    """The sources of a proposal's settings; those of the filter and of a refinement are random."""
    strategy = space.strategy
    if item.kind != Kind.PROPOSE or task == FILTER or not STRATEGIES[strategy.name].inherits:
        return ()
    seeds = [seed.fingerprint for seed in cellrecords.recorded_cells(store, seeds=True)]
    parent = queries.results(store, [item.parent], task)
    return strategies.sources(strategy, strategy.settings, parent, queries.results(store, seeds, task))
