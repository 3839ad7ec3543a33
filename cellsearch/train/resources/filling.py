"""How much of a GPU one stage of a cell takes: memory and work, on average over the shapes of a grid."""

from dataclasses import dataclass
from itertools import product

from cellsearch.dsl.graph import Cell
from cellsearch.train.model import Shape
from cellsearch.train.resources.cost import width
from cellsearch.train.resources.memory import memory
from cellsearch.train.settings import Grid, Training


@dataclass(frozen=True, slots=True)
class Filling:
    """What a stage takes."""

    memory: float  # bytes, predicted
    work: float  # members times units of a layer: the columns of the products of a step


def of_stage(cell: Cell, vocabulary: int, grid: Grid, training: Training, settings: int) -> Filling:
    """A cell on `settings` settings of a grid, as many of each shape, all at once."""
    shapes = [
        Shape(cell, vocabulary, layers, width(cell, vocabulary, layers, target))
        for layers, target in product(grid.layers, grid.parameters)
    ]
    each = settings / len(shapes)  # members of a shape; below one: how often there is one
    members = max(1, round(each))
    needed = [memory(shape, members, training).total for shape in shapes]
    return Filling(
        memory=sum(needed) * each / members,
        work=each * sum(shape.hidden for shape in shapes),
    )
