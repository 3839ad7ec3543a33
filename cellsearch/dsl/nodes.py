"""What a cell is made of: its nodes, and how they read one another.

`Input` (x, a state, the clock's tick, a state of the layer below), `Before` (what a node was some steps ago),
`Constant`, `Affine` (the only owner of weights) and `Apply` (an op of the table). A node names the nodes that
it reads by their place in a tuple in which they stand before it.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from cellsearch.dsl.initial import Initial
from cellsearch.dsl.structures import FULL, STRUCTURES, Structure


@dataclass(frozen=True, slots=True)
class Input:
    """A value from outside the step: kind "x", "state", "tick" or "below"; `name` of x, of the state, or of
    the state of the layer below (for tick: "tick")."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Before:
    """What node `source` was `delay` steps ago, zero before the start, at that node's own width."""

    source: int
    delay: int = 1


@dataclass(frozen=True, slots=True)
class Constant:
    """A fixed number, the same for every unit."""

    value: float


@dataclass(frozen=True, slots=True)
class Connection:
    """One term of an affine: a matrix, or a learned vector for a peephole.

    `eye` is added to the diagonal at the start (Jozefowicz's Linear(a)); `structure` names a row of the table
    of structures, and `part` is its number.
    """

    source: int
    peephole: bool = False
    eye: float | None = None
    structure: str | None = None
    part: int | None = None

    @property
    def row(self) -> Structure:
        """The row of its structure, that of a full matrix where it has none."""
        return FULL if self.structure is None else STRUCTURES[self.structure]


@dataclass(frozen=True, slots=True)
class Affine:
    """The sum of its connections and a bias: a bracket of the text. Without connections it is a learned
    vector, or a learned scalar that all units share. `bias` is its initial value."""

    connections: tuple[Connection, ...] = ()
    bias: Initial = 0.0
    scalar: bool = False


@dataclass(frozen=True, slots=True)
class Apply:
    """An op of the table applied to nodes."""

    op: str
    args: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class State:
    """A value carried through time, and where it starts."""

    name: str
    initial: float = 0.0


Node = Input | Before | Constant | Affine | Apply


def sources(node: Node) -> tuple[int, ...]:
    """The nodes that `node` reads, in the order of its text."""
    if isinstance(node, Affine):
        return tuple(c.source for c in node.connections)
    if isinstance(node, Before):
        return (node.source,)
    return node.args if isinstance(node, Apply) else ()


def with_sources(node: Node, new: Sequence[int]) -> Node:
    """`node` reading other nodes, in the same order."""
    if isinstance(node, Affine):
        moved = (replace(c, source=s) for c, s in zip(node.connections, new, strict=True))
        return Affine(tuple(moved), node.bias, node.scalar)
    if isinstance(node, Before):
        return Before(new[0], node.delay)
    return Apply(node.op, tuple(new)) if isinstance(node, Apply) else node


def written(node: Node, label: str) -> str:
    """How a node is written where it is used: its label or the input it is; "" where it has no name."""
    if isinstance(node, Input):
        return f"below({node.name})" if node.kind == "below" else node.name
    return label


def ancestors(nodes: Sequence[Node], index: int) -> frozenset[int]:
    """All nodes that node `index` depends on, without itself."""
    seen: set[int] = set()
    stack = list(sources(nodes[index]))
    while stack:
        i = stack.pop()
        if i not in seen:
            seen.add(i)
            stack.extend(sources(nodes[i]))
    return frozenset(seen)


@dataclass(frozen=True, slots=True)
class Chain:
    """Ops that feed one another: `terms` are what they start from, in the order of the text and each with its
    sign, and `links` the ops themselves, the last one first."""

    terms: tuple[tuple[int, int], ...]
    links: tuple[int, ...]

    @property
    def leaves(self) -> tuple[int, ...]:
        """The terms without their signs."""
        return tuple(i for i, _ in self.terms)


SUMS = ("add", "sub")


def flatten(
    nodes: Sequence[Node], root: int, ops: Collection[str], opens: Callable[[int], bool] | None = None
) -> Chain:
    """The chain of `ops` that ends in node `root`, which is its own only term where it is none of them. It
    goes on through each node that `opens`, all where none is given; a link that is used twice counts once."""
    terms: list[tuple[int, int]] = []
    links: dict[int, None] = {}
    stack = [(root, 1)]
    while stack:
        i, sign = stack.pop()
        node = nodes[i]
        if isinstance(node, Apply) and node.op in ops and (i == root or opens is None or opens(i)):
            if i in links:
                continue
            links[i] = None
            signs = (sign, -sign if node.op == "sub" else sign)
            stack += reversed(list(zip(node.args, signs, strict=False)))
        else:
            terms.append((i, sign))
    return Chain(tuple(terms), tuple(links))


def depths(nodes: Sequence[Node]) -> list[int]:
    """The longest path from an input or constant to each node."""
    found: list[int] = []
    for node in nodes:
        found.append(1 + max((found[s] for s in sources(node)), default=-1))
    return found


def lookback(nodes: Sequence[Node]) -> list[int]:
    """How many steps back `before` reaches at most from each node."""
    found: list[int] = []
    for node in nodes:
        delay = node.delay if isinstance(node, Before) else 0
        found.append(delay + max((found[s] for s in sources(node)), default=0))
    return found


def users(nodes: Sequence[Node]) -> tuple[tuple[int, ...], ...]:
    """For each node those that read it, once per use."""
    found: list[list[int]] = [[] for _ in nodes]
    for i, node in enumerate(nodes):
        for s in sources(node):
            found[s].append(i)
    return tuple(tuple(u) for u in found)


def in_order(nodes: Sequence[Node], roots: Iterable[int], placed: set[int]) -> Iterator[int]:
    """The nodes that are needed for `roots` and not `placed` yet, each behind those that it reads; they are
    placed then."""
    for root in roots:
        stack = [(root, False)]
        while stack:
            i, ready = stack.pop()
            if i in placed:
                continue
            if ready or not sources(nodes[i]):
                placed.add(i)
                yield i
            else:
                stack.append((i, True))
                stack.extend((s, False) for s in reversed(sources(nodes[i])))


def input_wide(nodes: Sequence[Node]) -> frozenset[int]:
    """The nodes that have the width of the input: x, and what it was some steps ago."""
    found = {0}
    for i, node in enumerate(nodes):
        if isinstance(node, Before) and node.source in found:
            found.add(i)
    return frozenset(found)


def read_clock(nodes: Iterable[Node]) -> bool:
    """Whether any of the nodes reads the clock of the cell."""
    return any(
        (isinstance(node, Input) and node.kind == "tick")
        or (isinstance(node, Affine) and any(c.row.clock for c in node.connections))
        for node in nodes
    )
