"""An editable expanded graph: nodes are replaced, added and redirected, and described in words.

`Draft.frozen` gives an `ExpandedGraph` without dead nodes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from cellsearch.dsl.nodes import (
    Affine,
    Apply,
    Before,
    Constant,
    Input,
    Node,
    State,
    ancestors,
    in_order,
    read_clock,
    sources,
    with_sources,
)
from cellsearch.dsl.ops import CALL, OPS
from cellsearch.dsl.printer import matrix
from cellsearch.dsl.rewriting.expand import ExpandedGraph


class Draft:
    """An editable expanded cell. Nodes keep their index; new ones are appended, and `frozen` drops dead ones.
    `rank` orders the equations: a new node has the rank of the node where it was inserted."""

    def __init__(self, graph: ExpandedGraph) -> None:
        self.graph = graph
        self.nodes = list(graph.nodes)
        self.labels = list(graph.labels)
        self.states = list(graph.states)
        self.at = list(range(1, 1 + len(graph.states)))  # the input node of each state
        self.new = list(graph.new)
        self.clock = graph.clock
        self.output = graph.output
        self.rank = list(range(len(graph.nodes)))
        self._users: dict[int, list[int]] | None = None

    def put(self, index: int, node: Node) -> None:
        """Replace the node at `index`; its name and its readers stay."""
        self.nodes[index] = node
        self._users = None

    def add(self, node: Node, beside: int) -> int:
        self.nodes.append(node)
        self.labels.append("")
        self.rank.append(self.rank[beside])
        self._users = None
        return len(self.nodes) - 1

    def input(self, kind: str, name: str) -> int:
        """The input node of this kind and name, created if missing."""
        node = Input(kind, name)
        return self.nodes.index(node) if node in self.nodes else self.add(node, beside=0)

    def add_state(self, name: str, new: int) -> int:
        """Adds a state that starts at zero, with new value `new`; returns its old value."""
        index = self.add(Input("state", name), beside=0)
        self.states.append(State(name))
        self.at.append(index)
        self.new.append(new)
        self._users = None
        return index

    def users(self) -> Mapping[int, Sequence[int]]:
        """The live readers of each node, once per use; -1 means a new value or the output."""
        if self._users is None:
            ends = [*self.new, *([self.output] if self.output not in self.new else [])]
            found: dict[int, list[int]] = {}
            stack = [(i, -1) for i in ends]
            while stack:
                i, user = stack.pop()
                if i not in found:
                    found[i] = []
                    stack.extend((s, i) for s in sources(self.nodes[i]))
                found[i].append(user)
            self._users = found
        return self._users

    def anchors(self) -> list[int]:
        """The live nodes that can anchor a mutation: those with inputs."""
        return [i for i in sorted(self.users()) if sources(self.nodes[i])]

    def ancestors(self, node: int) -> list[int]:
        """The ancestors of `node`, in the order of the nodes, without itself."""
        return sorted(ancestors(self.nodes, node))

    def descendants(self, node: int) -> set[int]:
        """The live descendants of `node`, without itself."""
        users, found = self.users(), set[int]()
        stack = list(users[node])
        while stack:
            i = stack.pop()
            if i >= 0 and i not in found:
                found.add(i)
                stack.extend(users[i])
        return found

    def redirect(self, node: int, to: int) -> None:
        """Redirect the readers of `node` to its ancestor `to`; an unnamed `to` takes over the name."""
        for i, reader in enumerate(self.nodes):
            read = sources(reader)
            if node in read:
                self.nodes[i] = with_sources(reader, [to if s == node else s for s in read])
        self.new = [to if i == node else i for i in self.new]
        self.output = to if self.output == node else self.output
        label, self.labels[node] = self.labels[node], ""
        self._users = None
        if (
            not self.labels[to]
            and not isinstance(self.nodes[to], Input | Constant)
            and not label.endswith("'")
        ):
            self.labels[to] = label

    def frozen(self, name: str) -> ExpandedGraph:
        """The graph of live nodes in a topological order close to the old one."""
        order = [0, *self.at]
        roots = sorted(self.users(), key=lambda i: (self.rank[i], i))
        order += in_order(self.nodes, roots, set(order))
        at = {i: k for k, i in enumerate(order)}
        clocked = read_clock(self.nodes[i] for i in order)
        return replace(
            self.graph,
            name=name,
            states=tuple(self.states),
            clock=self.clock if clocked else (),
            nodes=tuple(with_sources(self.nodes[i], [at[s] for s in sources(self.nodes[i])]) for i in order),
            labels=tuple(self.labels[i] for i in order),
            new=tuple(at[i] for i in self.new),
            output=at[self.output],
            description="",
        )


def sign(op: str) -> str:
    return OPS[op].symbol or op


def kind(node: Node) -> str:
    """The function of a node in a word."""
    if isinstance(node, Apply):
        return sign(node.op)
    if isinstance(node, Before):
        return "before"
    assert isinstance(node, Affine)
    (c,) = node.connections
    return "peephole" if c.peephole else f"linear({c.eye or 0:g}){matrix(replace(c, eye=None))}"


def brief(draft: Draft, i: int, depth: int = 3) -> str:
    """A node in short: its name, or its expression down to a depth."""
    node = draft.nodes[i]
    if draft.labels[i]:
        return draft.labels[i]
    if isinstance(node, Input):
        return f"below({node.name})" if node.kind == "below" else node.name
    if isinstance(node, Constant):
        return f"{node.value:g}"
    if not sources(node):
        return "[bias]"
    if not depth:
        return "..."
    parts = [brief(draft, s, depth - 1) for s in sources(node)]
    if isinstance(node, Affine):
        c = node.connections[0]
        return f"[{'.' * c.peephole}{parts[0]}{matrix(replace(c, eye=c.eye or None))}]"
    if isinstance(node, Before):
        return f"before({parts[0]}{f', {node.delay}' * (node.delay > 1)})"
    assert isinstance(node, Apply)
    op = OPS[node.op]
    if op.binds == CALL or not op.symbol:
        return f"{node.op}({', '.join(parts)})"
    parts = [f"({p})" if compound(draft, s) else p for p, s in zip(parts, node.args, strict=True)]
    return f" {op.symbol} ".join(parts) if len(parts) > 1 else f"{op.symbol}{parts[0]}"


def compound(draft: Draft, i: int) -> bool:
    """Whether a node needs parentheses inside another expression."""
    node = draft.nodes[i]
    return isinstance(node, Apply) and not draft.labels[i] and OPS[node.op].binds != CALL


def place(draft: Draft, i: int) -> str:
    """A node in words: its function, and its equation if it is unnamed."""
    text = brief(draft, i)
    user = i
    while not draft.labels[user] and (above := [u for u in draft.users()[user] if u >= 0]):
        user = min(above)
    return text if draft.labels[i] or not draft.labels[user] else f"{text} in {draft.labels[user]}"
