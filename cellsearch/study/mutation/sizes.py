"""The size of a cell, in the measures that a search limits and compares with scores.

In a search the width of a model follows from its number of parameters, so all models of a size have equally
many; cells differ in parameters per unit. Parameters and multiply-adds are therefore those of one layer at a
fixed width (`limits.width`), with inputs of the same width.
"""

from collections.abc import Callable, Mapping

from cellsearch.dsl.describe import describe, matrices, size
from cellsearch.dsl.graph import Cell
from cellsearch.study.mutation.spec import Limits

#: Name of a limit or a cost -> function of a cell and a width.
MEASURES: Mapping[str, Callable[[Cell, int], int]] = {
    "nodes": lambda cell, _: len(cell.nodes),
    "matrices": lambda cell, _: matrices(cell),
    "depth": lambda cell, _: describe(cell).depth,
    "products": lambda cell, _: describe(cell).products,
    "parameters": lambda cell, width: size(cell, width, width).parameters,
    "multiply_adds": lambda cell, width: size(cell, width, width).multiply_adds,
}


def over(cell: Cell, limits: Limits) -> list[str]:
    """The names of the limits that a cell exceeds."""
    most = ((name, getattr(limits, name)) for name in MEASURES)
    return [name for name, m in most if m is not None and MEASURES[name](cell, limits.width) > m]
