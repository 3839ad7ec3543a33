"""The records as a decision reads them, what is decided, and what a cell has left to run.

Everything that costs a look at the database is a function of the `View`: a strategy pays for what it reads.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from cellsearch.dsl.graph import Cell
from cellsearch.search.ranking import Best, Standing, passed
from cellsearch.search.sections import FILTER
from cellsearch.search.space import Space


class Propose(Protocol):
    """Makes a mutant: the new cell and the edits (JSON values) that lead to it. CellError where none is
    accepted."""

    def __call__(self, cell: Cell, rng: np.random.Generator) -> tuple[Cell, Sequence[Any]]: ...


@dataclass(frozen=True, slots=True)
class Known:
    """What the records say about one cell. A cell that nobody has met is `Known()`."""

    tried: Mapping[str, int]  # stage name -> settings run or being run
    best: Mapping[str, Best]
    seed: bool = False


Tried = Mapping[str, Mapping[str, int]]  # fingerprint -> stage name -> settings run or being run


@dataclass(frozen=True, slots=True)
class View:
    """A study as it stands: scores of slots that are finished, claims of all slots."""

    grids: Mapping[str, int]  # stage name -> size of its grid; the filter too, where there is one
    units: Mapping[str, float]  # the kept tasks in their order
    admission: float  # accuracy that the filter asks for
    seeds: Sequence[str]  # fingerprints, in the order of the space
    listed: Callable[[], Sequence[str]]  # the best cells, `strategy.list` of them at most, best first
    population: Callable[[], Sequence[Standing]]  # the last `strategy.population` that entered, oldest first
    cost: Callable[[str], int]  # of a layer of the cell, in what `strategy.cost` names
    tried: Callable[[Sequence[str]], Tried]
    known: Callable[[str], Known]  # by fingerprint
    cell: Callable[[str], Cell]
    counts_as: Callable[[Cell], str]  # fingerprint of the recorded cell it is; its own where it is new


@dataclass(frozen=True, slots=True)
class Decision:
    """A refinement of `cell`, or a proposal: `cell` made from `parent` by `edits`.

    `fingerprint` is that of the cell it counts as: a proposal may be a known cell, or a twin of one.
    """

    kind: str  # refine, propose
    cell: Cell
    fingerprint: str
    parent: str
    edits: tuple[Any, ...] = ()


class NothingLeft(Exception):
    """Neither a mutant nor a cell to refine has a setting that was not run."""


def grids(space: Space) -> dict[str, int]:
    """Stage name -> number of its settings: the filter, where there is one, then the tasks in order."""
    first = {FILTER: len(space.filter.grid)} if space.filter else {}
    return first | {task.name: len(task.grid) for task in space.tasks}


def untried(view: View, tried: Mapping[str, int]) -> bool:
    """Whether a kept task has a setting that the cell has not run."""
    return any(tried.get(task, 0) < view.grids[task] for task in view.units)


def admitted(view: View, known: Known) -> bool:
    """Whether the cell needs no memorisation any more: a seed, or passed before, or there is no filter."""
    if known.seed or FILTER not in view.grids:
        return True
    best = known.best.get(FILTER, Best())
    return best.accuracy is not None and best.accuracy >= view.admission


def runnable(view: View, known: Known, threshold: float) -> bool:
    """Whether a proposal of this cell would run anything: a discarded cell may come again, with fresh
    settings alone."""
    if not admitted(view, known):
        return known.tried.get(FILTER, 0) < view.grids[FILTER]
    for task, unit in view.units.items():
        if known.tried.get(task, 0) < view.grids[task]:
            return True
        if not (known.seed or passed(known.best.get(task), unit, threshold)):
            return False
    return False
