"""The few cells of the unit tier stand for all: they have every op, structure, kind of node and form of cell."""

from collections.abc import Hashable, Iterable

from covering import COVERING, OTHERS

from cellsearch.dsl import zoo
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.initial import Drawn
from cellsearch.dsl.nodes import Affine, Apply, Before, Input, Node
from cellsearch.dsl.ops import OPS
from cellsearch.dsl.structures import STRUCTURES

FEW = [*map(zoo.load, COVERING), OTHERS]


def constructs(cell: Cell) -> Iterable[Hashable]:
    yield "states", min(len(cell.states), 3)
    yield "clock", bool(cell.clock)
    yield "output of its own", cell.output not in cell.new
    yield "a state starts elsewhere", any(state.initial for state in cell.states)
    for node in cell.nodes:
        yield from parts(node)


def parts(node: Node) -> Iterable[Hashable]:
    yield type(node)
    if isinstance(node, Input):
        yield "input", node.kind
    elif isinstance(node, Before):
        yield "before", min(node.delay, 2)
    elif isinstance(node, Apply):
        yield "op", node.op
    elif isinstance(node, Affine):
        yield "affine", bool(node.connections), node.scalar
        yield (
            "bias",
            node.bias.name if isinstance(node.bias, Drawn) else node.bias if not node.bias else "number",
        )
        for connection in node.connections:
            yield "connection", connection.peephole, connection.structure, connection.eye is not None


def found(cells: Iterable[Cell]) -> set[Hashable]:
    return {construct for cell in cells for construct in constructs(cell)}


def test_they_have_whatever_a_cell_of_the_zoo_has() -> None:
    assert found(map(zoo.load, zoo.names())) <= found(FEW)


def test_they_have_every_op_structure_and_kind_of_node() -> None:
    has = found(FEW)
    assert {op for _, op in filter(lambda c: isinstance(c, tuple) and c[0] == "op", has)} == OPS.keys()
    structures = {c[2] for c in has if isinstance(c, tuple) and c[0] == "connection"}
    assert structures - {None} == STRUCTURES.keys()
    assert {c for c in has if isinstance(c, type)} == set(Node.__args__)
    assert {c[1] for c in has if isinstance(c, tuple) and c[0] == "input"} == {"x", "state", "tick", "below"}


def test_none_is_there_for_nothing() -> None:
    """But the five that people begin with."""
    for name in COVERING[5:]:
        assert found(map(zoo.load, zoo.names())) - found(c for c in FEW if c.name != name), name


def test_they_are_few() -> None:
    assert len(COVERING) <= 20
