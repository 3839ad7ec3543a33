"""The two forms of a cell: brackets for people (`Cell`), one node per layer for mutations (`ExpandedGraph`).

`expand` gives the graph of Jozefowicz, Zaremba and Sutskever (2015, section 3.2), in which every layer is a
node: a bracket becomes a chain of sums of single connections, the first of which carries the bias. `factor`
is the way back: connections that are summed and used nowhere else become one bracket again.
factor(expand(cell)) == cell for every cell that is factored already, and factoring is idempotent.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from cellsearch.dsl.graph import Cell, build
from cellsearch.dsl.initial import Drawn, Initial, moved, negative
from cellsearch.dsl.nodes import (
    SUMS,
    Affine,
    Apply,
    Before,
    Connection,
    Constant,
    Input,
    Node,
    State,
    flatten,
    sources,
    with_sources,
)
from cellsearch.dsl.roles import suggest_names

Part = tuple[int, int] | None  # a node and its sign within a sum; None where it has gone into a bracket


@dataclass(frozen=True, slots=True)
class ExpandedGraph:
    """A cell in which an affine has one connection at most. Every node reads earlier ones, x and the states
    come first.

    Unlike in a cell, nodes may be dead, shared nodes need no name, and an affine may stand anywhere in a sum.
    """

    name: str
    states: tuple[State, ...]
    nodes: tuple[Node, ...]
    labels: tuple[str, ...]
    new: tuple[int, ...]
    output: int
    clock: tuple[int, ...] = ()
    description: str = ""


def expand(cell: Cell) -> ExpandedGraph:
    """The graph in which every connection is a node of its own: `[x, h, .c]` becomes `[x] + [h, bias=none] +
    [.c, bias=none]`.

    The sum keeps the bracket's label; the first connection carries the bias. Constants, ops, learned vectors
    and brackets of one connection stay as they are.
    """
    nodes: list[Node] = []
    labels: list[str] = []
    at: list[int] = []  # where each node of the cell went

    def put(node: Node, label: str = "") -> int:
        nodes.append(node)
        labels.append(label)
        return len(nodes) - 1

    for node, label in zip(cell.nodes, cell.labels, strict=True):
        moved = with_sources(node, [at[s] for s in sources(node)])
        if isinstance(moved, Affine) and len(moved.connections) > 1:
            bias = moved.bias
            total = -1
            for k, connection in enumerate(moved.connections):
                term = put(Affine((connection,), None if k else bias))
                total = put(Apply("add", (total, term))) if k else term
            labels[total] = label
            at.append(total)
        else:
            at.append(put(moved, label))
    return ExpandedGraph(
        cell.name,
        cell.states,
        tuple(nodes),
        tuple(labels),
        tuple(at[i] for i in cell.new),
        at[cell.output],
        cell.clock,
        cell.description,
    )


def factor(graph: ExpandedGraph) -> Cell:
    """The cell of an expanded graph: affines that are summed become one bracket, at the place of the first of
    them.

    This is the same class of functions: W x + b + (U h + d) is W x + U h + (b + d), so the bracket starts
    with the sum of the initial biases, and has none where none of its parts has one. So does a difference,
    with the signs of `@eye` and of the initial bias turned: weights start in a range symmetric around zero,
    so -U and U are one choice. In a sum with other terms (`tanh(x) + [h] + [r]`) the affine ones become one
    bracket; the order of addition changes by this, but a child has no other arithmetic than that of its
    factored form.

    What is not factored: an affine that is used twice, is a new value, or has a name (a named equation stays
    named); a sum of which the same is true, into a larger one; a learned scalar; two connections of one kind
    from one source, which need two brackets, whatever their matrices; and two initial biases that are both
    drawn, whose sum would be no uniform draw.

    Shared nodes without a name get one by their role (`roles.suggest_names`), else v1, v2, …; a constant
    without a name is copied to its users instead. Raises CellError where the cell would be malformed.
    """
    users = _users(graph)
    single = [len(u) == 1 and u[0] >= 0 and not graph.labels[i] for i, u in enumerate(users)]
    in_chain = [single[i] and is_sum(graph.nodes[users[i][0]]) for i in range(len(users))]
    inner = [in_chain[i] and is_sum(node) for i, node in enumerate(graph.nodes)]
    joins = [in_chain[i] and _is_bracket(node) for i, node in enumerate(graph.nodes)]

    nodes: list[Node] = []
    labels: list[str] = []
    at: dict[int, int] = {}

    def put(node: Node, label: str = "") -> int:
        nodes.append(node)
        labels.append(label)
        return len(nodes) - 1

    def use(i: int) -> int:
        node = graph.nodes[i]
        if isinstance(node, Constant) and not graph.labels[i] and len(users[i]) > 1:
            return put(node)
        return at[i]

    for i, node in enumerate(graph.nodes):
        if not users[i] and not isinstance(node, Input):
            continue
        if inner[i] or joins[i]:
            continue  # taken up by the sum that uses it
        if not is_sum(node):
            at[i] = put(with_sources(node, [use(s) for s in sources(node)]), graph.labels[i])
            continue
        chain = flatten(graph.nodes, i, SUMS, inner.__getitem__)
        brackets = _brackets(graph, [(j, sign) for j, sign in chain.terms if joins[j]])
        found: dict[int, Part] = {}
        for j in sorted({*chain.leaves}):
            if not joins[j]:
                found[j] = (use(j), 1)
            elif j in brackets:
                bracket = brackets[j]
                found[j] = (put(with_sources(bracket, [use(s) for s in sources(bracket)])), 1)
            else:
                found[j] = None
        for j in sorted(chain.links):
            part = graph.nodes[j]
            assert isinstance(part, Apply)
            found[j] = _join(found[part.args[0]], -1 if part.op == "sub" else 1, found[part.args[1]], put)
        whole = found[i]
        assert whole is not None and whole[1] > 0, "the first term of a sum never goes"
        at[i] = whole[0]
        labels[at[i]] = graph.labels[i]
    new = [use(i) for i in graph.new]
    output = new[graph.new.index(graph.output)] if graph.output in graph.new else use(graph.output)
    return _named(graph, nodes, labels, new, output)


def _named(
    graph: ExpandedGraph, nodes: Sequence[Node], labels: Sequence[str], new: Sequence[int], output: int
) -> Cell:
    """The cell with names for what is shared: those it had, then by role, then v1, v2, …"""

    def made(nodes: Sequence[Node], labels: Sequence[str], new: Sequence[int], output: int) -> Cell:
        return build(graph.name, graph.states, nodes, labels, new, output, graph.clock, graph.description)

    cell = made(nodes, labels, new, output)
    known = set(labels)
    fresh = [
        i for i, label in enumerate(cell.labels) if label and not label.endswith("'") and label not in known
    ]
    names = suggest_names(cell, fresh)
    if not names:
        return cell
    kept = ["" if i in fresh else label for i, label in enumerate(cell.labels)]
    for i, name in names.items():
        kept[i] = name
    return made(cell.nodes, kept, cell.new, cell.output)


def is_sum(node: Node) -> bool:
    """Whether a node is an addition or a subtraction."""
    return isinstance(node, Apply) and node.op in SUMS


def _is_bracket(node: Node) -> bool:
    return isinstance(node, Affine) and not node.scalar


def _users(graph: ExpandedGraph) -> list[list[int]]:
    """The living users of each node, once per use; -1 stands for being a new value or the output."""
    users: list[list[int]] = [[] for _ in graph.nodes]
    ends = (*graph.new, graph.output) if graph.output not in graph.new else graph.new
    for i in ends:
        users[i].append(-1)
    for i in range(len(graph.nodes) - 1, -1, -1):
        if users[i]:
            for s in sources(graph.nodes[i]):
                users[s].append(i)
    return users


def _brackets(graph: ExpandedGraph, terms: Sequence[tuple[int, int]]) -> dict[int, Affine]:
    """The affine terms of a sum gathered in as few brackets as their sources allow, by the first term of
    each."""
    groups: list[tuple[int, int, Affine]] = []  # first term, its sign, the bracket so far

    def connects(bracket: Affine) -> set[tuple[object, bool]]:
        return {(_read(graph, c.source), c.peephole) for c in bracket.connections}

    for i, sign in terms:
        node = graph.nodes[i]
        assert isinstance(node, Affine)
        for k, (first, first_sign, bracket) in enumerate(groups):
            drawn = isinstance(bracket.bias, Drawn) and isinstance(node.bias, Drawn)
            if not drawn and connects(node).isdisjoint(connects(bracket)):
                groups[k] = (first, first_sign, _merged(bracket, sign * first_sign, node))
                break
        else:
            groups.append((i, sign, node))
    return {first: bracket for first, _, bracket in groups}


def _merged(bracket: Affine, sign: int, other: Affine) -> Affine:
    """The bracket of `bracket` plus (or minus) `other`."""
    bias = _sum(bracket.bias, sign, other.bias)
    return Affine((*bracket.connections, *(_turned(c, sign) for c in other.connections)), bias)


def _sum(first: Initial, sign: int, second: Initial) -> Initial:
    """The initial bias of a sum or difference, of which one side at most is drawn."""
    if second is None:
        return first
    second = second if sign > 0 else negative(second)
    if isinstance(second, Drawn):
        assert not isinstance(first, Drawn), "two drawn biases are not summed"
        return moved(second, first or 0.0)
    return moved(first or 0.0, second)


def _read(graph: ExpandedGraph, index: int) -> object:
    """What a connection from node `index` is one from: two nodes count as one source where they are written
    alike, as two earlier values of one thing are (their weights would have one name), and two numbers (which
    may be one node or copies of it)."""
    steps = []
    while isinstance(node := graph.nodes[index], Before) and not graph.labels[index]:
        steps.append(node.delay)
        index = node.source
    alike = isinstance(node, Constant) and not graph.labels[index]
    return (node if alike else index, *steps)


def _turned(connection: Connection, sign: int) -> Connection:
    if sign > 0 or not connection.eye:
        return connection
    return replace(connection, eye=-connection.eye)


def _join(left: Part, sign: int, right: Part, put: Callable[[Node], int]) -> Part:
    """One addition or subtraction of a sum, of which either side may be gone."""
    if right is None:
        return left
    if left is None:
        return right[0], right[1] * sign
    relative = left[1] * sign * right[1]
    return put(Apply(SUMS[relative < 0], (left[0], right[0]))), left[1]
