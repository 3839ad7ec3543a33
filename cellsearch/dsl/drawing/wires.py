"""A cell drawn as text: one column for each value, one row for each equation.

    cell gru(x; h)               x h
    z = sigmoid[x, h]            ■─■─╮
    r = sigmoid[x, h]            ■─■─┼─╮
    n = tanh[x, r * h]           ■─●─┼─●─╮
    h' = z * h + (1 - z) * n       ●─●───●─→

A row connects the inputs of an equation to its value: ■ through a matrix, ◆ through a peephole (a learned
vector), ● elementwise, ○ from earlier steps. A vertical line runs from a value to the last equation that
reads it; → marks a value that no other equation reads.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cellsearch.dsl.nodes import Affine, Before, Input, sources
from cellsearch.dsl.parts import Parts, equations, name_of
from cellsearch.dsl.printer import show

MATRIX, PEEPHOLE, UNIT, EARLIER = "■", "◆", "●", "○"
LEGEND = (
    (MATRIX, "through a matrix"),
    (PEEPHOLE, "through a peephole"),
    (UNIT, "elementwise"),
    (EARLIER, "value of an earlier step"),
)
INPUTS, CLOCK = -2, -1  # rows above the equations: the inputs, the clock
_STRENGTH = {MATRIX: 3, PEEPHOLE: 2, UNIT: 1, EARLIER: 0}


@dataclass(frozen=True, slots=True)
class Drawing:
    """Rows of wires, each with its line of the cell's text; the first row names the inputs."""

    rows: tuple[tuple[str, str], ...]

    @property
    def width(self) -> int:
        """Width of the wires in columns."""
        return max(len(wires) for wires, _ in self.rows)

    @property
    def legend(self) -> str:
        """What the signs in it mean."""
        used = {character for wire, _ in self.rows for character in wire}
        return "   ".join(f"{sign} {meaning}" for sign, meaning in LEGEND if sign in used)


@dataclass(frozen=True, slots=True)
class _Wire:
    """A value: its column, the row that computes it, and the last row that reads it."""

    at: int
    first: int
    last: int


def draw(cell: Parts) -> Drawing:
    """The drawing of `cell`."""
    named = list(equations(cell))
    texts = show(cell).splitlines()[-len(named) :]
    # a state may alias a named value, as in h' = c'
    makes = [index if cell.labels[index] == label else None for label, index in named]
    reads = [
        {index: UNIT} if made is None else _reads(cell, index)
        for (_, index), made in zip(named, makes, strict=True)
    ]
    last = {source: row for row, found in enumerate(reads) for source in found}
    wires: dict[int, _Wire] = {}
    names = ""
    for index, node in enumerate(cell.nodes):
        if isinstance(node, Input):
            wires[index] = _Wire(len(names), INPUTS, last.get(index, INPUTS))
            names += name_of(cell, index) + " "
    column = len(names)
    for row, made in enumerate(makes):
        if made is not None:
            wires[made] = _Wire(column, row, last.get(made, row))
            column += 2
    rows = [
        (_wires(row, found, makes[row], wires, column + 1), texts[row]) for row, found in enumerate(reads)
    ]
    head, *clock = [line for line in show(cell).splitlines() if not line.startswith("#")][: -len(named)]
    above = [(names.rstrip(), head), *((_wires(CLOCK, {}, None, wires, column), line) for line in clock)]
    return Drawing((*above, *rows))


def _reads(cell: Parts, root: int) -> dict[int, str]:
    """The named values in the equation of node `root`, each with the kind of access."""
    found: dict[int, str] = {}
    stack = [root]
    while stack:
        node = cell.nodes[stack.pop()]
        ways: Sequence[str] = ()
        if isinstance(node, Affine):
            ways = [PEEPHOLE if c.peephole else MATRIX for c in node.connections]
        elif isinstance(node, Before):
            ways = [EARLIER]
        for k, source in enumerate(sources(node)):
            way = ways[k] if ways else UNIT
            if name_of(cell, source):
                found[source] = max(found.get(source, way), way, key=_STRENGTH.__getitem__)
            else:
                stack.append(source)
    return found


def _wires(
    row: int, reads: Mapping[int, str], made: int | None, wires: Mapping[int, _Wire], width: int
) -> str:
    """One row of the drawing."""
    shown = [" "] * width
    for wire in wires.values():
        if wire.first < row < wire.last:
            shown[wire.at] = "│"
    ends = [wires[source].at for source in reads]
    if made is not None:
        ends.append(wires[made].at)
    elif ends:
        ends.append(ends[0] + 2)
    for k in range(min(ends), max(ends)) if ends else ():
        shown[k] = "┼" if shown[k] == "│" else "─"
    for source, way in reads.items():
        shown[wires[source].at] = way
    if made is not None:
        shown[wires[made].at] = "╮" if wires[made].last > row else "→"
    elif ends:
        shown[max(ends)] = "→"
    return "".join(shown).rstrip()
