"""The nodes of a cell, and their dependencies.

`Input` (x, a state, the clock's tick, a state of the layer below), `Before` (the value of a node some steps
ago), `Constant`, `Affine` (the only owner of weights) and `Apply` (an op of the table). A node refers to
nodes by their index in a tuple in topological order.
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
    """The value of node `source` `delay` steps ago, zero before the start, at that node's width."""

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
        """The row of its structure; the full matrix if it has none."""
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
    """A value carried through time, and its initial value."""

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
    """The spelling of a node at its uses: its label or input name; "" if it has no name."""
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
    """A chain of ops: `terms` are its operands in the order of the text, each with its sign, and `links` the
    ops, the last one first."""

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
    """The chain of `ops` that ends in node `root`; a root of another op is its only term. The chain continues
    through each node in `opens` (default: all); a link that is used twice counts once."""
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
    """The largest total delay of `before` from each node, in steps."""
    found: list[int] = []
    for node in nodes:
        delay = node.delay if isinstance(node, Before) else 0
        found.append(delay + max((found[s] for s in sources(node)), default=0))
    return found


def users(nodes: Sequence[Node]) -> tuple[tuple[int, ...], ...]:
    """The readers of each node, once per use."""
    found: list[list[int]] = [[] for _ in nodes]
    for i, node in enumerate(nodes):
        for s in sources(node):
            found[s].append(i)
    return tuple(tuple(u) for u in found)


def in_order(nodes: Sequence[Node], roots: Iterable[int], placed: set[int]) -> Iterator[int]:
    """The nodes needed for `roots` and not in `placed` yet, in topological order; adds them to `placed`."""
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
    """The nodes with the input width: x and its earlier values."""
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
