"""The cell as a graph: a frozen value that cannot be malformed, and the function that builds it.

A cell is a tuple of nodes (see `nodes`) in topological order; `invariants` has its other conditions. Two
equal nodes remain two nodes: equal brackets own different weights.

    nodes    x, the states, tick and below(...) where used, then the equations in order; each equation is its
             unlabelled parts in post-order and then the labelled node itself
    labels   the name of the equation whose value the node is ("" for inputs and parts of an equation)
    new      for each state the node of its new value; output is the node of the layer's output
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cellsearch.dsl.drawing.html import html
from cellsearch.dsl.invariants import check
from cellsearch.dsl.limits import KEYWORDS
from cellsearch.dsl.nodes import (
    Affine,
    Apply,
    Input,
    Node,
    State,
    ancestors,
    in_order,
    input_wide,
    sources,
    users,
    with_sources,
)
from cellsearch.dsl.ops import OPS
from cellsearch.dsl.parts import Parts, equations
from cellsearch.dsl.printer import show
from cellsearch.errors import CellError

#: Size of the LRU caches of facts about cells. A search meets thousands of cells.
RECENT = 32


@dataclass(frozen=True, repr=False)
class Cell(Parts):
    """A recurrent cell: a frozen value. `load`, `parse`, `mutate` and `variant` make cells; the constructor
    refuses what is malformed with CellError.

    A notebook shows its comment, its equations and a drawing; `str(cell)` is its text, of which `parse` makes
    an equal cell. `name`, `description`, `states` and `clock` are those of the text, `nodes` is the graph.
    It has no widths and no weights: `Recurrent(cell, D, H)` makes a module.

        >>> cell = cs.load("gru")
        >>> cell
        <Cell gru(x; h): 5 equations>
        >>> cell.name, [state.name for state in cell.states], len(cell.nodes)
        ('gru', ['h'], 14)
    """

    users: tuple[tuple[int, ...], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check(self)
        object.__setattr__(self, "users", users(self.nodes))

    def __str__(self) -> str:
        return show(self)

    def __repr__(self) -> str:
        states = ", ".join(state.name for state in self.states)
        count = sum(1 for _ in equations(self))
        return f"<Cell {self.name}({self.input}; {states}): {count} equation{'s' * (count != 1)}>"

    def _repr_html_(self) -> str:
        """Description, equations and drawing, for notebooks."""
        return html(self)


def uses_raw_x(cell: Cell) -> bool:
    """Whether x is used outside brackets or in a peephole, so that the input must have the hidden width."""
    wide = input_wide(cell.nodes)
    if wide & {*cell.new, cell.output}:
        return True
    return any(
        (isinstance(node, Apply) and wide & set(node.args))
        or (isinstance(node, Affine) and any(c.source in wide and c.peephole for c in node.connections))
        for node in cell.nodes
    )


def build(
    name: str,
    states: Sequence[State],
    nodes: Sequence[Node],
    labels: Sequence[str],
    new: Sequence[int],
    output: int | None = None,
    clock: Sequence[int] = (),
    description: str = "",
) -> Cell:
    """A cell from nodes in any topological order: drops dead nodes, names unnamed shared nodes (v1, v2, …),
    and sorts into the canonical order. `nodes[0]` must be x, followed by the states; `output` None is the new
    value of the first state. Raises CellError if the result would be malformed.
    """
    if not new or len(new) != len(states) or len(labels) != len(nodes):
        raise CellError(f"cell {name}: every state needs exactly one new value")
    out = new[0] if output is None else output
    for i, node in enumerate(nodes):
        if any(not 0 <= s < i for s in sources(node)):
            raise CellError(f"cell {name}: node {i} does not read earlier nodes")
    alive = {out, *new}.union(*(ancestors(nodes, i) for i in {out, *new}))
    fixed = range(1 + len(states))
    named = _complete_labels(states, nodes, labels, new, out, alive)

    placed = set(fixed)
    roots = [*(i for i in range(len(nodes)) if i in alive and named[i]), *new, out]
    found = list(in_order(nodes, roots, placed))
    inputs = [i for i in found if isinstance(nodes[i], Input)]  # tick and below, in order of first use
    inputs.sort(key=lambda i: nodes[i] != Input("tick", "tick"))  # stable: the rest in order of first use
    order = [*fixed, *inputs, *(i for i in found if not isinstance(nodes[i], Input))]
    at = {old: k for k, old in enumerate(order)}
    moved = [with_sources(nodes[i], [at[s] for s in sources(nodes[i])]) for i in order]
    return Cell(
        name=name,
        states=tuple(states),
        nodes=tuple(moved),
        labels=tuple(named[i] for i in order),
        new=tuple(at[i] for i in new),
        output=at[out],
        clock=tuple(clock),
        description=description,
    )


def _complete_labels(
    states: Sequence[State],
    nodes: Sequence[Node],
    labels: Sequence[str],
    new: Sequence[int],
    out: int,
    alive: set[int],
) -> list[str]:
    """Labels that name all new values and shared nodes, with primed names only on new values."""
    found = list(labels)
    right = {f"{s.name}'": i for s, i in zip(states, new, strict=True)}
    taken = (
        {s.name for s in states} | {n.name for n in nodes[:1] if isinstance(n, Input)} | KEYWORDS | OPS.keys()
    )
    for i, node in enumerate(nodes):
        label = found[i]
        wrong = label.endswith("'") and right.get(label) != i
        if i not in alive or isinstance(node, Input) or wrong or label in taken:
            found[i] = ""
        elif label:
            taken.add(label)
    for state, i in zip(states, new, strict=True):
        if not found[i] and not isinstance(nodes[i], Input):
            found[i] = f"{state.name}'"
    uses = [0] * len(nodes)
    for i in sorted(alive):
        for s in sources(nodes[i]):
            uses[s] += 1
    uses[out] += 1  # the header names it
    number = 0
    for i, node in enumerate(nodes):
        shared = uses[i] > 1 or i == out
        if i in alive and shared and not found[i] and not isinstance(node, Input):
            number += 1
            while f"v{number}" in taken:
                number += 1
            found[i] = f"v{number}"
    return found
