"""The share of a GPU for one stage of a cell: memory and work, averaged over the shapes of a grid."""

from dataclasses import dataclass
from itertools import product

from cellsearch.dsl.graph import Cell
from cellsearch.train.model import Shape
from cellsearch.train.resources.cost import width
from cellsearch.train.resources.memory import memory
from cellsearch.train.settings import Grid, Training


@dataclass(frozen=True, slots=True)
class Filling:
    """The resources of a stage."""

    memory: float  # bytes, predicted
    work: float  # members times units per layer: the columns of the products of a step


def of_stage(cell: Cell, vocabulary: int, grid: Grid, training: Training, settings: int) -> Filling:
    """A cell on `settings` settings of a grid, evenly over shapes, all at once."""
    shapes = [
        Shape(cell, vocabulary, layers, width(cell, vocabulary, layers, target))
        for layers, target in product(grid.layers, grid.parameters)
    ]
    each = settings / len(shapes)  # members per shape; below one: the probability of one
    members = max(1, round(each))
    needed = [memory(shape, members, training).total for shape in shapes]
    return Filling(
        memory=sum(needed) * each / members,
        work=each * sum(shape.hidden for shape in shapes),
    )
