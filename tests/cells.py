"""Random cells for tests: any graph that `build` accepts, from a numpy generator or drawn by hypothesis.

`random_cell(rng)` is for loops over many cells; `cells()` is a strategy whose examples shrink. Both go
through one generator, which asks for nothing but choices of one out of n. `disguised` is the same cell in another
text.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from cellsearch.dsl.graph import Cell, build
from cellsearch.dsl.initial import Drawn
from cellsearch.dsl.limits import MAX_DEPTH
from cellsearch.dsl.nodes import (
    Affine,
    Apply,
    Before,
    Connection,
    Constant,
    Input,
    Node,
    State,
    depths,
    sources,
)
from cellsearch.dsl.ops import OPS, TABLE
from cellsearch.dsl.structures import STRUCTURES
from cellsearch.dsl.weights import collision

Pick = Callable[[int], int]  # one of 0 … n-1

_TAME = (0.0, 1.0, -1.0, 0.5, 0.1, -0.25, 2.0)
NUMBERS = (*_TAME, 1 / 3, 1e30, -1e-30, 1e16, 123456789.0, 5e-324, 1.7976931348623157e308)
NAMES = tuple("i f o z r n class v1 v2 nan _ self eye slower rank x_new uniform".split())
DELAYS = (1, 1, 1, 2, 3, 1000)
DESCRIPTIONS = (
    "",
    "A cell",
    "One\n\n  two # three\n",
    "\n",
    "Koutník, « ∂E/∂w », 時計",
    " ",
    "cell x(y; z)",
    "#\n##",
)


def random_cell(rng: np.random.Generator, nodes: int = 12, tame: bool = False) -> Cell:
    """A random cell of up to `nodes` nodes besides the inputs. `tame` ones have small numbers, so that
    gradient checks make sense, and give out the new value of the first state."""
    while True:
        cell = _cell(lambda n: int(rng.integers(n)), 1 + int(rng.integers(nodes)), tame)
        if collision(cell) is None:
            return cell


@st.composite
def cells(draw: st.DrawFn, nodes: int = 10, tame: bool = False) -> Cell:
    """Cells of up to `nodes` nodes besides the inputs."""

    def pick(n: int) -> int:
        return draw(st.integers(0, n - 1))

    cell = _cell(pick, draw(st.integers(1, nodes)), tame)
    assume(collision(cell) is None)
    return cell


def disguised(cell: Cell, rng: np.random.Generator) -> Cell:
    """The same cell with other names, in another order, with arguments and connections shuffled."""
    count, first = len(cell.nodes), 1 + len(cell.states)
    order = list(range(first))
    waiting = set(range(first, count))
    while waiting:
        ready = sorted(i for i in waiting if not waiting.intersection(sources(cell.nodes[i])))
        order.append(int(rng.choice(ready)))
        waiting.discard(order[-1])
    at = {old: new for new, old in enumerate(order)}
    fresh = [f"name{k}" for k in rng.permutation(count + 10)]
    own = {state.name: fresh.pop() for state in cell.states}
    nodes: list[Node] = []
    for i in order:
        node = cell.nodes[i]
        if isinstance(node, Input) and node.kind in ("state", "below"):
            node = Input(node.kind, own.get(node.name, node.name))
        elif isinstance(node, Input) and node.kind == "x":
            node = Input("x", "anything")
        elif isinstance(node, Affine):
            moved = [replace(c, source=at[c.source]) for c in node.connections]
            node = replace(node, connections=tuple(moved[k] for k in rng.permutation(len(moved))))
        elif isinstance(node, Apply):
            args = [at[a] for a in node.args]
            if OPS[node.op].commutative and rng.integers(2):
                args.reverse()
            node = Apply(node.op, tuple(args))
        elif isinstance(node, Before):
            node = Before(at[node.source], node.delay)
        nodes.append(node)
    labels = ["" if rng.integers(2) else fresh.pop() for _ in order]
    states = [State(own[s.name], s.initial) for s in cell.states]
    new = [at[i] for i in cell.new]
    return build("other", states, nodes, labels, new, at[cell.output], cell.clock, "Another description")


def _cell(pick: Pick, count: int, tame: bool) -> Cell:
    def number() -> float:
        return NUMBERS[pick(len(_TAME if tame else NUMBERS))]

    def initial() -> float | Drawn:
        if pick(4):
            return number()
        drawn = Drawn("uniform", tuple(sorted((number(), number()))))
        kind = pick(4)
        if kind == 0:
            return Drawn("normal", (number(), abs(number())))
        if kind == 1:
            return Drawn("sub", (1.0, Drawn("mul", (Drawn("sigmoid", (drawn,)), number()))))
        return drawn

    def delay() -> int:
        return DELAYS[pick(len(DELAYS) - tame)]

    names = _shuffled(pick, ("h", "c", "m", "s", "tau"))
    states = [State(name, number() if pick(4) == 0 else 0.0) for name in names[: 1 + pick(3)]]
    clock = tuple(1 + pick(8) for _ in range(1 + pick(4))) if pick(3) == 0 else ()
    nodes: list[Node] = [Input("x", ("x", "u", "x0")[pick(3)]), *(Input("state", s.name) for s in states)]
    if clock and pick(2):
        nodes.append(Input("tick", "tick"))
    if pick(3) == 0:
        nodes.append(Input("below", (*names, "elsewhere")[pick(len(names) + 1)]))
    for _ in range(count):
        nodes.append(_node(pick, nodes, clock, number, initial, delay))
        if depths(nodes)[-1] > MAX_DEPTH:
            nodes.pop()
    taken = {node.name for node in nodes if isinstance(node, Input)}
    free = [name for name in _shuffled(pick, NAMES) if name not in taken]
    labels = [free.pop() if free and pick(3) == 0 else "" for _ in nodes]
    new = [_late(pick, len(nodes)) for _ in states]
    output = pick(len(nodes)) if not tame and pick(4) == 0 else None
    description = DESCRIPTIONS[pick(len(DESCRIPTIONS))]
    return build(
        ("t", "lstm", "tanh", "cell")[pick(4)], states, nodes, labels, new, output, clock, description
    )


def _node(
    pick: Pick,
    nodes: list[Node],
    clock: tuple[int, ...],
    number: Callable[[], float],
    initial: Callable[[], float | Drawn],
    delay: Callable[[], int],
) -> Node:
    kind = pick(9)
    if kind == 0:
        return Constant(number())
    if kind == 8:
        return Before(_late(pick, len(nodes)), delay())
    if kind < 4:
        found: dict[tuple[int, bool], Connection] = {}
        for _ in range(pick(4)):
            source, peephole = _late(pick, len(nodes)), pick(4) == 0
            found[source, peephole] = (
                Connection(source, peephole=True) if peephole else _matrix(pick, nodes, clock, source, number)
            )
        if not found:
            return Affine((), initial(), scalar=pick(2) == 0)
        return Affine(tuple(found.values()), None if pick(4) == 0 else initial() if pick(3) == 0 else 0.0)
    op = TABLE[pick(4) if kind < 6 else pick(len(TABLE))]
    return Apply(op.name, tuple(_late(pick, len(nodes)) for _ in range(op.arity)))


def _matrix(
    pick: Pick, nodes: list[Node], clock: tuple[int, ...], source: int, number: Callable[[], float]
) -> Connection:
    """A full connection with any kind of matrix that may stand there."""
    earlier = source
    while isinstance(node := nodes[earlier], Before):
        earlier = node.source
    fitting = [
        name
        for name, kind in STRUCTURES.items()
        if (clock or not kind.clock) and (earlier != 0 or not kind.square)
    ]
    structure = fitting[pick(len(fitting))] if pick(3) == 0 else None
    part = 1 + pick(3) if structure and STRUCTURES[structure].number else None
    eye = number() if pick(4) == 0 and (structure is None or STRUCTURES[structure].eye) else None
    return Connection(source, False, eye, structure, part)


def _late(pick: Pick, count: int) -> int:
    """One of `count`, more often one of the last: most nodes are then of use."""
    return count - 1 - pick(count) if pick(3) == 0 else count - 1 - pick(min(3, count))


def _shuffled(pick: Pick, items: tuple[str, ...]) -> list[str]:
    left = list(items)
    return [left.pop(pick(len(left))) for _ in items]
