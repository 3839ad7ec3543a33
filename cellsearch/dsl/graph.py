"""The cell as a graph: a frozen value that cannot be malformed, and the one function that builds it.

A cell is a tuple of nodes in which every node reads nodes before it: `Input` (x, a state, the clock's tick, a
state of the layer below), `Before` (what a node was some steps ago), `Constant`, `Affine` (the only owner of
weights) and `Apply` (an op of the table). Two nodes that look alike are two nodes: equal brackets own
different weights.

    nodes    x, the states, tick and below(...) where used, then the equations in order; each equation is its
             unlabelled parts in post-order and then the labelled node itself
    labels   the name of the equation that a node ends ("" for inputs and for parts of an equation)
    new      for each state the node that is its new value; output is the node that the layer gives out
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from cellsearch.dsl.ops import OPS
from cellsearch.errors import CellError

MAX_NODES, MAX_DEPTH, MAX_NAME, MAX_PERIOD, MAX_GROUPS = 1_000, 100, 64, 1_000_000, 64
MAX_DELAY, MAX_PART = 1_000, 65_536  # of before(v, d); of @rank(r) and @blocks(n)
MAX_TEXT = 65_536  # bytes of a cell's text
KEYWORDS = frozenset({"cell", "clock", "tick", "below", "before", "bias", "scalar", "none"})
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z", re.ASCII)


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

    `eye` is added to the diagonal at the start (Jozefowicz's Linear(a)); `structure` names the kind of matrix
    and `part` is its number, see `STRUCTURES`.
    """

    source: int
    peephole: bool = False
    eye: float | None = None
    structure: str | None = None
    part: int | None = None


@dataclass(frozen=True, slots=True)
class Uniform:
    """Initial values drawn between two numbers."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Affine:
    """The sum of its connections and a bias: a bracket of the text. Without connections it is a learned
    vector, or a learned scalar that all units share. `bias` is its initial value, None where there is
    none."""

    connections: tuple[Connection, ...] = ()
    bias: "float | Uniform | None" = 0.0
    scalar: bool = False


@dataclass(frozen=True, slots=True)
class Apply:
    """An op of the table applied to nodes."""

    op: str
    args: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Structure:
    """A kind of matrix: what its number is called where it takes one, and what it can be."""

    part: str  # "" where it takes no number
    eye: bool  # may stand beside @eye(a)
    square: bool  # needs a source of the hidden width
    about: str


Node = Input | Before | Constant | Affine | Apply
Need = Callable[[bool, str], None]
STRUCTURES = {
    "slower": Structure("", True, True, "a unit hears only units of its own or a longer clock period"),
    "rank": Structure("rank", False, False, "a product of two thin matrices"),
    "blocks": Structure("number of blocks", True, False, "block diagonal"),
    "skew": Structure("", False, True, "W - W' of a free W: its own negative transpose"),
}


@dataclass(frozen=True, slots=True)
class State:
    """A value carried through time, and where it starts."""

    name: str
    initial: float = 0.0


@dataclass(frozen=True)
class Cell:
    """A recurrent cell. Construct it with `build` or `cellsearch.parse`; the constructor refuses what is
    malformed."""

    name: str
    states: tuple[State, ...]
    nodes: tuple[Node, ...]
    labels: tuple[str, ...]
    new: tuple[int, ...]
    output: int
    clock: tuple[int, ...] = ()
    description: str = ""
    users: tuple[tuple[int, ...], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check(self)
        object.__setattr__(self, "users", _users(self))

    @property
    def input(self) -> str:
        """The name of x."""
        node = self.nodes[0]
        assert isinstance(node, Input)
        return node.name

    def __str__(self) -> str:
        from cellsearch.dsl.text import show  # the printer stands above the graph

        return show(self)


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


def name_of(cell: Cell, index: int) -> str:
    """How a node is written where it is used: its label or the input it is; "" where it has no name."""
    node = cell.nodes[index]
    if isinstance(node, Input):
        return f"below({node.name})" if node.kind == "below" else node.name
    return cell.labels[index]


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


def depths(nodes: Sequence[Node]) -> list[int]:
    """The longest path from an input or constant to each node."""
    found: list[int] = []
    for node in nodes:
        found.append(1 + max((found[s] for s in sources(node)), default=-1))
    return found


def uses_raw_x(cell: Cell) -> bool:
    """Whether x stands outside brackets or in a peephole, so that the input must have the hidden width."""
    wide = input_wide(cell)
    if wide & {*cell.new, cell.output}:
        return True
    return any(
        (isinstance(node, Apply) and wide & set(node.args))
        or (isinstance(node, Affine) and any(c.source in wide and c.peephole for c in node.connections))
        for node in cell.nodes
    )


def input_wide(cell: Cell) -> frozenset[int]:
    """The nodes that have the width of the input: x, and what it was some steps ago."""
    found = {0}
    for i, node in enumerate(cell.nodes):
        if isinstance(node, Before) and node.source in found:
            found.add(i)
    return frozenset(found)


def equations(cell: Cell) -> Iterator[tuple[str, int]]:
    """The named equations in order: (label, node); then the states whose new value has another name
    already."""
    for index, label in enumerate(cell.labels):
        if label:
            yield label, index
    for state, index in zip(cell.states, cell.new, strict=True):
        if cell.labels[index] != f"{state.name}'":
            yield f"{state.name}'", index


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
    """A cell from nodes in any order in which each reads earlier ones: dead nodes are dropped, shared ones
    get a name where they have none (v1, v2, …), and all are put into the canonical order.

    `nodes[0]` must be x and the states must follow it; `output` None is the new value of the first state.
    Raises CellError where the result would be malformed.
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

    order: list[int] = list(fixed)
    body: list[int] = []
    extra: list[int] = []  # tick and below, by first use
    placed = set(order)

    def place(root: int) -> None:
        stack: list[tuple[int, bool]] = [(root, False)]
        while stack:
            i, done = stack.pop()
            if i in placed:
                continue
            if isinstance(nodes[i], Input):
                extra.append(i)
                placed.add(i)
            elif done:
                body.append(i)
                placed.add(i)
            else:
                stack.append((i, True))
                stack.extend((s, False) for s in reversed(sources(nodes[i])))

    for i in range(len(nodes)):
        if i in alive and named[i]:
            place(i)
    for i in (*new, out):
        place(i)
    extra.sort(key=lambda i: nodes[i] != Input("tick", "tick"))  # stable: the rest by first use
    order += extra + body
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
    """Labels in which new values and shared nodes have names, and no primed name stands on a wrong node."""
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


def _users(cell: Cell) -> tuple[tuple[int, ...], ...]:
    users: list[list[int]] = [[] for _ in cell.nodes]
    for i, node in enumerate(cell.nodes):
        for s in sources(node):
            users[s].append(i)
    return tuple(tuple(u) for u in users)


def check_name(name: str) -> str:
    """What is wrong with a name, or "" where nothing is."""
    if not NAME.match(name):
        return "a name is made of ASCII letters, digits and _, and does not start with a digit"
    if len(name) > MAX_NAME:
        return f"a name has at most {MAX_NAME} characters"
    if name in KEYWORDS:
        return f"{name!r} is a word of the language"
    return f"{name!r} is an op" if name in OPS else ""


def _check(cell: Cell) -> None:
    """Raise CellError unless every invariant of a cell holds."""

    def need(holds: bool, message: str) -> None:
        if not holds:
            raise CellError(f"cell {cell.name}: {message}")

    count, nodes = len(cell.nodes), cell.nodes
    need(NAME.match(cell.name) is not None and len(cell.name) <= MAX_NAME, "its name is not a legal name")
    need(len(cell.states) >= 1, "a cell has at least one state")
    need(len(cell.states) < count <= MAX_NODES, f"a cell has at most {MAX_NODES} nodes")
    need(len(cell.labels) == count and len(cell.new) == len(cell.states), "labels or new values are missing")
    need(nodes[0] == Input("x", getattr(nodes[0], "name", "")), "the first node must be x")
    for k, state in enumerate(cell.states):
        need(
            nodes[1 + k] == Input("state", state.name), "the states must follow x in the order of the header"
        )
        need(math.isfinite(state.initial), f"state {state.name} must start at a finite number")
    need(all(0 <= i < count for i in (*cell.new, cell.output)), "a new value or the output is not a node")
    need(len(cell.clock) <= MAX_GROUPS, f"a clock has at most {MAX_GROUPS} periods")
    need(all(1 <= p <= MAX_PERIOD for p in cell.clock), f"a period is a whole number from 1 to {MAX_PERIOD}")
    for i, node in enumerate(nodes):
        need(all(0 <= s < i for s in sources(node)), f"node {i} does not read earlier nodes")
        _check_node(cell, i, node, need)
    need(len(set(nodes[: _inputs(cell)])) == _inputs(cell), "an input stands twice among the nodes")
    need(max(depths(nodes)) <= MAX_DEPTH, f"more than {MAX_DEPTH} nodes feed one another in a row")
    for line in cell.description.split("\n"):
        need(line.replace("\t", " ").isprintable(), "its description has a character that cannot be printed")
    _check_labels(cell, need)
    need(_text_bound(cell) <= MAX_TEXT, f"its text would be longer than {MAX_TEXT // 1024} KiB")


def _text_bound(cell: Cell) -> int:
    """At least the bytes of the cell's text, cheaply: nearly exact but for numbers (24 characters at
    most)."""
    spelled = [len(name_of(cell, i)) for i in range(len(cell.nodes))]
    total = len(cell.description.encode()) + 2 * cell.description.count("\n") + 2
    total += 64 + len(cell.name) + len(cell.input) + spelled[cell.output] + 9 * len(cell.clock)
    total += sum(len(state.name) + 27 for state in cell.states)
    total += sum(len(label) + 4 + spelled[index] for label, index in equations(cell))
    for node in cell.nodes:
        if isinstance(node, Constant):
            total += 26
        elif isinstance(node, Apply):
            total += len(node.op) + 4 + sum(spelled[s] + 2 for s in node.args)
        elif isinstance(node, Affine):
            total += 4 + (64 if node.bias != 0 or not node.connections else 0)
            total += sum(
                spelled[c.source] + 5 + (30 if c.eye is not None else 0) + (16 if c.structure else 0)
                for c in node.connections
            )
        elif isinstance(node, Before):
            total += spelled[node.source] + 16
    return total


def _inputs(cell: Cell) -> int:
    return sum(isinstance(node, Input) for node in cell.nodes)


def _check_node(cell: Cell, i: int, node: Node, need: Need) -> None:
    if isinstance(node, Input):
        need(i < _inputs(cell), "inputs stand before all other nodes")
        need(i <= len(cell.states) or node.kind in ("tick", "below"), f"unknown input {node.kind!r}")
        need(node.kind != "tick" or bool(cell.clock), "tick needs a clock")
        need(node.kind != "tick" or node.name == "tick", "tick has no other name")
        need(node.kind == "tick" or not check_name(node.name), check_name(node.name))
    elif isinstance(node, Constant):
        need(math.isfinite(node.value), "a number must be finite")
    elif isinstance(node, Apply):
        need(node.op in OPS, f"unknown op {node.op!r}")
        need(len(node.args) == OPS[node.op].arity, f"{node.op} takes {OPS[node.op].arity} arguments")
    elif isinstance(node, Before):
        need(1 <= node.delay <= MAX_DELAY, f"before(v, d) looks back 1 to {MAX_DELAY} steps")
    else:
        bounds = (node.bias.low, node.bias.high) if isinstance(node.bias, Uniform) else (node.bias or 0.0,)
        need(all(map(math.isfinite, bounds)), "an initial bias must be finite")
        need(list(bounds) == sorted(bounds), "uniform(low, high) needs low <= high")
        need(bool(node.connections) or node.bias is not None, "a bracket holds nothing")
        need(not node.scalar or not node.connections, "a learned scalar has no connections")
        seen = [(c.source, c.peephole) for c in node.connections]
        need(len(seen) == len(set(seen)), "a bracket connects one value twice in the same way")
        for c in node.connections:
            need(c.eye is None or math.isfinite(c.eye), "eye(...) must be finite")
            _check_matrix(cell, c, need)


def _check_matrix(cell: Cell, c: Connection, need: Need) -> None:
    bare = c.eye is None and c.structure is None and c.part is None
    need(not c.peephole or bare, "a peephole has no kind of matrix")
    if c.structure is None:
        need(c.part is None, "a number needs a kind of matrix")
        return
    need(c.structure in STRUCTURES, f"unknown kind of matrix {c.structure!r}")
    kind = STRUCTURES[c.structure]
    need((c.part is not None) == bool(kind.part), f"@{c.structure} takes {kind.part or 'no number'}")
    need(c.part is None or 1 <= c.part <= MAX_PART, f"the {kind.part} is a whole number from 1 to {MAX_PART}")
    need(kind.eye or c.eye is None, f"@{c.structure} has no place for @eye")
    need(not kind.square or c.source not in input_wide(cell), f"@{c.structure} needs a source of width H")
    need(c.structure != "slower" or bool(cell.clock), "@slower needs a clock")


def _check_labels(cell: Cell, need: Need) -> None:
    labels = [label for label in cell.labels if label]
    need(len(labels) == len(set(labels)), "two equations have one name")
    inputs = [n.name for n in cell.nodes[: 1 + len(cell.states)] if isinstance(n, Input)]
    need(len(inputs) == len(set(inputs)), "two inputs have one name")
    right = {f"{s.name}'": i for s, i in zip(cell.states, cell.new, strict=True)}
    for i, (node, label) in enumerate(zip(cell.nodes, cell.labels, strict=True)):
        if isinstance(node, Input):
            need(not label, "an input has no label")
            continue
        if label.endswith("'"):
            need(right.get(label) == i, f"{label} does not stand on the new value of that state")
        elif label:
            need(not check_name(label), check_name(label))
            need(label not in inputs, f"{label} is an input")
    users = _users(cell)
    for i, node in enumerate(cell.nodes):
        if isinstance(node, Input):
            if i > len(cell.states):
                need(bool(users[i]) or i in (*cell.new, cell.output), "an input is never used")
            continue
        ends = i in cell.new or i == cell.output
        need(bool(users[i]) or ends, f"{cell.labels[i] or f'node {i}'} is never used")
        need(
            bool(cell.labels[i]) or (len(users[i]) == 1 and not ends),
            f"node {i} is used twice and has no name",
        )
