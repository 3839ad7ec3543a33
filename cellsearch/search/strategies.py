"""What to do next: the loop of Jozefowicz et al. 2015 (sections 3.1 to 3.3) as functions of records and a
generator.

In: the strategy's options, a `View` of the slots finished so far, a `numpy.random.Generator`. Out: a
`Decision`, or the settings of a stage. Nothing here evaluates or records.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from cellsearch.dsl.graph import Cell
from cellsearch.errors import CellError
from cellsearch.search.ranking import Best, Standing, passed
from cellsearch.search.sections import FILTER
from cellsearch.search.space import Space, Strategy

DRAWS = 100  # mutants before a slot gives up proposing: in a large space the first is nearly always new


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


@dataclass(frozen=True, slots=True)
class View:
    """The records as a decision reads them: slots that are finished, and claims of all slots."""

    grids: Mapping[str, int]  # stage name -> size of its grid; the filter too, where there is one
    units: Mapping[str, float]  # the kept tasks in their order
    admission: float  # accuracy that the filter asks for
    ranked: Sequence[Standing]  # best first
    tried: Mapping[str, Mapping[str, int]]  # of the listed ones, as in `Known`
    known: Callable[[str], Known]  # by fingerprint
    cell: Callable[[str], Cell]
    counts_as: Callable[
        [Cell], str
    ]  # fingerprint of the recorded cell that a cell is; its own where it is new


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
    """Neither a mutant nor a listed cell has a setting that was not run."""


def grids(space: Space) -> dict[str, int]:
    """Stage name -> number of its settings: the filter, where there is one, then the tasks in order."""
    first = {FILTER: len(space.filter.grid)} if space.filter else {}
    return first | {task.name: len(task.grid) for task in space.tasks}


def decide(strategy: Strategy, view: View, propose: Propose, rng: np.random.Generator) -> Decision:
    """One step of the loop: with probability `strategy.refine` a cell of the list again, else a mutant of
    one of it.

    A cell without an untried setting is not drawn for refining; where there is none to refine it proposes,
    and where no mutant with anything left to run is found in `DRAWS` it refines. Raises NothingLeft where
    neither is possible.
    """
    listed = view.ranked[: strategy.list]
    refinable = [s.fingerprint for s in listed if untried(view, view.tried[s.fingerprint])]
    if refinable and rng.random() < strategy.refine:
        return _refine(view, refinable, rng)
    reason = "all of theirs are run"
    for _ in range(DRAWS):
        parent = listed[int(rng.integers(len(listed)))].fingerprint
        try:
            child, edits = propose(view.cell(parent), rng)
        except CellError as error:  # this parent has no acceptable mutant; another one may have
            reason = str(error)
            continue
        fingerprint = view.counts_as(child)
        if runnable(view, view.known(fingerprint), strategy.threshold):
            return Decision("propose", child, fingerprint, parent, tuple(edits))
    if refinable:
        return _refine(view, refinable, rng)
    raise NothingLeft(
        f"nothing left to evaluate among {len(listed)} listed cells and {DRAWS} mutants: {reason}"
    )


def _refine(view: View, refinable: Sequence[str], rng: np.random.Generator) -> Decision:
    chosen = refinable[int(rng.integers(len(refinable)))]
    return Decision("refine", view.cell(chosen), chosen, chosen)


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


Result = tuple[int, float | None]  # a setting and the accuracy it came to


def top(results: Iterable[Result], count: int) -> list[int]:
    """The settings of the `count` best results, each once; what diverged is none of them."""
    best: dict[int, float] = {}
    for setting, accuracy in results:
        if accuracy is not None:
            best[setting] = max(accuracy, best.get(setting, accuracy))
    return sorted(best, key=lambda s: (-best[s], s))[:count]


def sources(
    strategy: Strategy, count: int, parent: Sequence[Result], seeds: Sequence[Result]
) -> list[tuple[int, list[int]]]:
    """Where a child's settings on a task come from (section 3.3): quotas and pools; what they leave open is
    random.

    A parent with more than `strategy.enough` settings on the task gives four fifths from its best; else a
    third comes from the best of the seeds and a third from whatever the parent tried. 20 settings are 16 +
    4, or 6 + 6 + 8 random.
    """
    if len(parent) > strategy.enough:
        return [(round(0.8 * count), top(parent, strategy.best))]
    tried = sorted({setting for setting, _ in parent})
    return [(count // 3, top(seeds, strategy.best)), (count // 3, tried)]


def draw(
    count: int,
    size: int,
    pools: Sequence[tuple[int, Sequence[int]]],
    taken: frozenset[int],
    rng: np.random.Generator,
) -> list[int]:
    """Up to `count` different settings of a grid of `size`, none of them in `taken`.

    Each pool gives its quota as far as it lasts, and the rest is drawn from the whole grid; fewer come back
    only where the grid has no more.
    """
    chosen: list[int] = []
    for quota, pool in [*pools, (count, range(size))]:
        left = [s for s in pool if s not in taken and s not in chosen]
        wanted = min(quota, count - len(chosen), len(left))
        chosen += [int(s) for s in rng.choice(left, wanted, replace=False)] if wanted else []
    return chosen
