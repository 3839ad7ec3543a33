"""The two forms of a cell: brackets (`Cell`), and one node per layer for mutations (`ExpandedGraph`).

`expand` gives the graph of Jozefowicz, Zaremba and Sutskever (2015, section 3.2), in which every layer is a
node: a bracket becomes a chain of sums of single connections, the first of which carries the bias. `factor`
is the inverse: connections that are only used in one sum become one bracket again. factor(expand(cell)) ==
cell for every factored cell, and factoring is idempotent.
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

Part = tuple[int, int] | None  # a node and its sign within a sum; None if it was merged into a bracket


@dataclass(frozen=True, slots=True)
class ExpandedGraph:
    """A cell in which an affine has at most one connection. Nodes are in topological order, with x and the
    states first. Unlike in a cell, nodes may be dead, shared nodes need no name, and an affine may have any
    position in a sum.
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
    """The graph with one node per connection: `[x, h, .c]` becomes `[x] + [h, bias=none] +
    [.c, bias=none]`.

    The sum keeps the bracket's label; the first connection carries the bias. Constants, ops, learned vectors
    and brackets of one connection stay as they are.
    """
    nodes: list[Node] = []
    labels: list[str] = []
    at: list[int] = []  # index of each node of the cell in the graph

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
    """The cell of an expanded graph: summed affines become one bracket, at the position of the first of them.

    This is the same class of functions: W x + b + (U h + d) is W x + U h + (b + d), so the bracket starts
    with the sum of the initial biases, and has no bias if no part has one. The same holds for a difference,
    with the signs of `@eye` and of the initial bias reversed: weights start in a range symmetric around zero,
    so -U and U are equivalent. In a sum with other terms (`tanh(x) + [h] + [r]`) the affine ones become one
    bracket; this changes the order of addition, but a child is always evaluated in its factored form.

    Not factored: an affine that is used twice, is a new value, or has a name (a named equation stays named);
    such a sum, into a larger one; a learned scalar; two connections of one kind from one source, which need
    two brackets for any matrix structure; and two random initial biases, whose sum would not be a uniform
    draw.

    Shared nodes without a name get one by their role (`roles.suggest_names`), else v1, v2, …; a constant
    without a name is copied to its users instead. Raises CellError if the cell would be malformed.
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
            continue  # merged into the sum that uses it
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
        assert whole is not None and whole[1] > 0, "the first term of a sum stays"
        at[i] = whole[0]
        labels[at[i]] = graph.labels[i]
    new = [use(i) for i in graph.new]
    output = new[graph.new.index(graph.output)] if graph.output in graph.new else use(graph.output)
    return _named(graph, nodes, labels, new, output)


def _named(
    graph: ExpandedGraph, nodes: Sequence[Node], labels: Sequence[str], new: Sequence[int], output: int
) -> Cell:
    """The cell with names for shared nodes: existing names, then by role, then v1, v2, …"""

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
    """The live users of each node, once per use; -1 means a new value or the output."""
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
    """The affine terms of a sum, merged into the fewest brackets that their sources allow, by their first
    terms."""
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
    """`bracket` plus (or minus) `other`, as one bracket."""
    bias = _sum(bracket.bias, sign, other.bias)
    return Affine((*bracket.connections, *(_turned(c, sign) for c in other.connections)), bias)


def _sum(first: Initial, sign: int, second: Initial) -> Initial:
    """The initial bias of a sum or difference, with at most one random side."""
    if second is None:
        return first
    second = second if sign > 0 else negative(second)
    if isinstance(second, Drawn):
        assert not isinstance(first, Drawn), "two random biases are not summed"
        return moved(second, first or 0.0)
    return moved(first or 0.0, second)


def _read(graph: ExpandedGraph, index: int) -> object:
    """The source identity of a connection from node `index`: nodes with the same spelling count as one
    source, such as equal earlier values (their weights would share a name) and equal numbers (which may be
    copies)."""
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
    """One addition or subtraction of a sum; either side may be removed."""
    if right is None:
        return left
    if left is None:
        return right[0], right[1] * sign
    relative = left[1] * sign * right[1]
    return put(Apply(SUMS[relative < 0], (left[0], right[0]))), left[1]
