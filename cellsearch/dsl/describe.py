"""Counts of a cell (connections, peepholes, biases, depth), and the cost of a layer."""

from dataclasses import dataclass

from cellsearch.dsl import weights
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.nodes import Affine, Apply, Before, lookback, sources
from cellsearch.dsl.parts import name_of
from cellsearch.dsl.roles import Gate, gates
from cellsearch.dsl.structures import multiply_adds


@dataclass(frozen=True, slots=True)
class Description:
    """The structure of a cell. Connections, peepholes and biases are given by the names of their weights
    (`i.h`, also for the two thin matrices of `@rank`)."""

    states: tuple[str, ...]
    output: str
    gates: tuple[Gate, ...]
    connections: tuple[str, ...]
    peepholes: tuple[str, ...]
    biases: tuple[str, ...]
    nodes: int
    depth: int  # longest chain of dependent nodes, without inputs
    products: int  # longest chain of dependent matrix products in one step
    lookback: int  # largest delay of `before` in steps; 0 without `before`

    @property
    def matrices(self) -> int:
        return len(self.connections)


@dataclass(frozen=True, slots=True)
class Size:
    """The cost of one layer at an input width and a hidden width."""

    parameters: int
    multiply_adds: int  # per step and sequence, in products with weights
    elementwise: int  # per step and sequence, elementwise results of ops


def describe(cell: Cell) -> Description:
    """The structure of a cell: states, gates with their roles, connections, peepholes, biases, and counts of
    nodes, depth and products. Raises CellError where two weights would have one name.

        >>> found = cs.describe(cs.load("peephole_lstm"))
        >>> [(gate.name, gate.role) for gate in found.gates]
        [('i', 'input'), ('f', 'forget'), ('o', 'output')]
        >>> found.matrices, found.peepholes, found.depth
        (8, ('i.c', 'f.c', 'o.c_new'), 7)
    """
    owned = weights.weights(cell)
    # a value of an earlier step depends on nothing in this step
    brackets, depths = ([0] * len(cell.nodes) for _ in range(2))
    for i, node in enumerate(cell.nodes):
        if sources(node) and not isinstance(node, Before):
            full = isinstance(node, Affine) and any(not c.peephole for c in node.connections)
            brackets[i] = full + max(brackets[s] for s in sources(node))
            depths[i] = 1 + max(depths[s] for s in sources(node))
    return Description(
        states=tuple(state.name for state in cell.states),
        output=name_of(cell, cell.output),
        gates=gates(cell),
        connections=tuple(w.connection for w in owned if w.row is not None and w.place == 0),
        peepholes=tuple(w.name for w in owned if w.kind == "peephole"),
        biases=tuple(w.name for w in owned if w.kind in ("bias", "scalar")),
        nodes=len(cell.nodes),
        depth=max(depths),
        products=max(brackets),
        lookback=max(lookback(cell.nodes)),
    )


def size(cell: Cell, width: int, hidden: int) -> Size:
    """The cost of a layer of `hidden` units (H) with inputs of `width` (D)."""
    products = 0
    for w in weights.weights(cell):
        if w.kind == "peephole":
            products += hidden
        elif w.row is not None and w.place == 0:
            products += multiply_adds(w.row, w.sizes(width, hidden, cell.clock))
    applied = hidden * sum(isinstance(n, Apply) for n in cell.nodes)
    return Size(weights.count(cell, width, hidden), products, applied)


def matrices(cell: Cell) -> int:
    """The number of full connections."""
    return sum(not c.peephole for n in cell.nodes if isinstance(n, Affine) for c in n.connections)
