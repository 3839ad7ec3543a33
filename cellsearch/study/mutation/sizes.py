"""How large a cell is, in the measures that a search limits and weighs against scores.

In: a cell and a width. Out: a whole number. In a search the width of a model follows from its number of
parameters, so all models of a size have the same number; what differs is how much of it a cell needs for a
unit. Parameters and multiply-adds are therefore those of one layer at a width of its own (`limits.width`),
for its inputs too: there x has the width of the layer.
"""

from collections.abc import Callable, Mapping

from cellsearch.dsl.describe import describe, matrices, size
from cellsearch.dsl.graph import Cell
from cellsearch.study.mutation.spec import Limits

#: A limit of the space, or a cost -> of a cell at a width.
MEASURES: Mapping[str, Callable[[Cell, int], int]] = {
    "nodes": lambda cell, _: len(cell.nodes),
    "matrices": lambda cell, _: matrices(cell),
    "depth": lambda cell, _: describe(cell).depth,
    "products": lambda cell, _: describe(cell).products,
    "parameters": lambda cell, width: size(cell, width, width).parameters,
    "multiply_adds": lambda cell, width: size(cell, width, width).multiply_adds,
}


def over(cell: Cell, limits: Limits) -> list[str]:
    """The names of the limits that a cell is beyond."""
    most = ((name, getattr(limits, name)) for name in MEASURES)
    return [name for name, m in most if m is not None and MEASURES[name](cell, limits.width) > m]
