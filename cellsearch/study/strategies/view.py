"""What a decision reads, and what is decided.

A strategy reads a study through a `View` alone. There are two: `search.views`, on the tables of a search, and
`storage.trial_view`, on the trials of a study that somebody optimises by themselves. Whatever costs a look at
the database is a method: a strategy pays for what it reads.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from cellsearch.dsl.graph import Cell
from cellsearch.study.scoring.ranking import Standing


class Propose(Protocol):
    """Makes a mutant: the new cell and the edits (JSON values) that lead to it. CellError where none is
    accepted."""

    def __call__(self, cell: Cell, rng: np.random.Generator) -> tuple[Cell, Sequence[Any]]: ...


class View(Protocol):
    """A study as it stands: scores of trials that have ended. Cells are known by their fingerprints."""

    @property
    def seeds(self) -> Sequence[str]:
        """In the order of the space."""

    @property
    def units(self) -> Mapping[str, float]:
        """The kept tasks in their order, with the accuracy that counts as 1."""

    def listed(self) -> Sequence[str]:
        """The best cells, `strategy.list` of them at most, best first."""

    def refinable(self, marks: Sequence[str]) -> list[str]:
        """Those cells that have a setting left to run."""

    def repeatable(self) -> list[str]:
        """The cells in a near-tie with the best, best first, and the baseline, that are to be trained again
        with fresh seeds; empty where no two cells are in a tie."""

    def runnable(self, mark: str) -> bool:
        """Whether a proposal of this cell would run anything."""

    def population(self) -> Sequence[Standing]:
        """The last `strategy.population` cells that entered, oldest first."""

    def cost(self, mark: str) -> int:
        """The cost of a layer of the cell, as `strategy.cost` measures it."""

    def cell(self, mark: str) -> Cell:
        """A cell of the study."""

    def counts_as(self, cell: Cell) -> str:
        """The cell of the study that `cell` is or is equivalent to; its own fingerprint where it is new."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A refinement or a repeat of `cell`, or a proposal: `cell` made from `parent` by `edits`.

    `fingerprint` is that of the cell it counts as: a proposal may be a known cell, or equivalent to one.
    """

    kind: str  # refine, repeat, propose
    cell: Cell
    fingerprint: str
    parent: str
    edits: tuple[Any, ...] = ()


class NothingLeft(Exception):
    """Neither a mutant nor a cell to refine has a setting that was not run."""
