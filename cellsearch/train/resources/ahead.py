"""Compilation of a cell's kernels ahead of training, for every width in a search."""

from collections.abc import Iterable, Sequence

from cellsearch.compiler.ahead import Compilers
from cellsearch.dsl.graph import Cell
from cellsearch.train.resources import cost
from cellsearch.train.settings import Grid


def prepare(
    compilers: Compilers, cells: Iterable[Cell], stages: Sequence[tuple[int, Grid]], dtype: str = "float32"
) -> None:
    """Queues cells for compilation and returns at once. `stages` has the number of symbols and the grid of
    each; its layers and parameters give the widths."""
    layers = max((n for _, grid in stages for n in grid.layers), default=1)
    for cell in cells:
        widths = {
            cost.width(cell, vocabulary, n, target)
            for vocabulary, grid in stages
            for n in grid.layers
            for target in grid.parameters
        }
        compilers.prepare([cell], widths, layers, dtype)
