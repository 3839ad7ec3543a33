"""The fields of a cell and the names of its values, shared by the printer and the checks."""

from collections.abc import Iterator
from dataclasses import dataclass

from cellsearch.dsl.nodes import Input, Node, State, written


@dataclass(frozen=True)
class Parts:
    """The fields of a `Cell`, documented in `graph`."""

    name: str
    states: tuple[State, ...]
    nodes: tuple[Node, ...]
    labels: tuple[str, ...]
    new: tuple[int, ...]
    output: int
    clock: tuple[int, ...] = ()
    description: str = ""

    @property
    def input(self) -> str:
        """The name of x."""
        node = self.nodes[0]
        assert isinstance(node, Input)
        return node.name


def name_of(cell: Parts, index: int) -> str:
    """The spelling of a node at its uses: its label or input name; "" if it has no name."""
    return written(cell.nodes[index], cell.labels[index])


def equations(cell: Parts) -> Iterator[tuple[str, int]]:
    """The named equations in order: (label, node); then the states whose new value is another named node."""
    for index, label in enumerate(cell.labels):
        if label:
            yield label, index
    for state, index in zip(cell.states, cell.new, strict=True):
        if cell.labels[index] != f"{state.name}'":
            yield f"{state.name}'", index
