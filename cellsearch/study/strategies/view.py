"""The view that decisions read, and the type of decisions.

A strategy reads a study only through a `View`. There are two: `tables.table_view`, on the tables of a search,
and `storage.trial_view`, on the trials of a user's own study. Everything that needs a query is a method, so a
strategy pays only for the data that it reads.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from cellsearch.dsl.graph import Cell
from cellsearch.study.scoring.ranking import Standing


class Propose(Protocol):
    """Makes a mutant: the new cell and its edits (JSON values). Raises CellError if none is accepted."""

    def __call__(self, cell: Cell, rng: np.random.Generator) -> tuple[Cell, Sequence[Any]]: ...


class View(Protocol):
    """The current study: scores of finished trials. Cells are identified by fingerprints."""

    @property
    def seeds(self) -> Sequence[str]:
        """In the order of the space."""

    @property
    def units(self) -> Mapping[str, float]:
        """The kept tasks in their order, with their units."""

    def listed(self) -> Sequence[str]:
        """The best cells, at most `strategy.list`, best first."""

    def refinable(self, marks: Sequence[str]) -> list[str]:
        """Those cells that have a setting left to run."""

    def repeatable(self) -> list[str]:
        """The cells in a near-tie with the best, best first, and the baseline, that are to be trained again
        with fresh seeds; empty where no two cells are in a tie."""

    def runnable(self, mark: str) -> bool:
        """Whether a proposal of this cell has settings left to run."""

    def population(self) -> Sequence[Standing]:
        """The last `strategy.population` cells that entered, oldest first."""

    def cost(self, mark: str) -> int:
        """The cost of a layer of the cell, as `strategy.cost` measures it."""

    def cell(self, mark: str) -> Cell:
        """A cell of the study."""

    def counts_as(self, cell: Cell) -> str:
        """The fingerprint of the recorded cell that is equal or equivalent to `cell`; its own if it is
        new."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A refinement or a repeat of `cell`, or a proposal: `cell` made from `parent` by `edits`.

    `fingerprint` identifies the evaluated cell: a proposal may be a known cell, or equivalent to one.
    """

    kind: str  # refine, repeat, propose
    cell: Cell
    fingerprint: str
    parent: str
    edits: tuple[Any, ...] = ()


class NothingLeft(Exception):
    """No mutant and no cell to refine has an unused setting."""
