"""Chains of edits from one cell to another, found by a beam search over all that the rows can do.

`chain` keeps, step by step, the graphs that are nearest to the target, compared from the top. It tries every
row at every node with every choice: a script stands in for randomness.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import permutations

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.nodes import SUMS, Affine, Apply, Node, sources, with_sources
from cellsearch.dsl.ops import OPS
from cellsearch.dsl.rewriting.expand import ExpandedGraph, expand, factor
from cellsearch.study.mutation.editable_graph import Draft
from cellsearch.study.mutation.operators import Edit, Vocabulary, apply
from cellsearch.study.mutation.table import MUTATIONS

#: The node A of this row is its second draw. All others are ancestors of the last one or of no use.
LAST = {"combine_ancestors": 1}


class Script:
    """Stands in for a Generator: gives the numbers of a list, then zeros, and remembers how many choices there
    were each time."""

    def __init__(self, path: Sequence[int], last: int = -1) -> None:
        self.path, self.last = list(path), last  # of draw `last` only the last choice is tried
        self.asked: list[tuple[int, int]] = []

    def integers(self, count: int) -> int:
        k = len(self.asked)
        chosen = self.path[k] if k < len(self.path) else 0
        if k == self.last:
            chosen = count - 1
        self.asked.append((chosen, count))
        return chosen

    def following(self) -> list[int] | None:
        """The next list, as if it were a number with these choices as digits; None after the last one."""
        digits = list(self.asked)
        while digits:
            chosen, count = digits.pop()
            if chosen + 1 < count:
                return [c for c, _ in digits] + [chosen + 1]
        return None


def edited(
    graph: ExpandedGraph, words: Vocabulary, rows: Sequence[str]
) -> Iterator[tuple[ExpandedGraph, Edit]]:
    """The graph after each single edit by these rows."""
    first = Draft(graph)
    seen: set[Edit] = set()
    for mutation in MUTATIONS:
        if mutation.name not in rows:
            continue
        for i in first.anchors():
            path: list[int] | None = [] if mutation.applies(first, i, words) else None
            while path is not None:
                draft, script = Draft(graph), Script(path, LAST.get(mutation.name, -1))
                edit = apply(mutation, draft, i, words, script)  # type: ignore[arg-type]
                if edit not in seen:  # the same ancestors can be drawn in several ways
                    seen.add(edit)
                    yield draft.frozen("a"), edit
                path = script.following()


def distance(graph: ExpandedGraph, target: ExpandedGraph) -> int:
    """About how many edits the expressions of the new values are away, compared from the top; the terms of a sum
    and the arguments of a product in the best order. What is not there but elsewhere in the graph costs two."""
    names = [s.name for s in graph.states], [s.name for s in target.states]
    if names[0] != names[1] or graph.clock not in ((), target.clock):
        return 1_000_000
    known: dict[tuple[int, int, bool], int] = {}
    kinds, wanted = [[kind(node) for node in g.nodes] for g in (graph, target)]

    def far(i: int, j: int, alone: bool = True) -> int:
        """`alone`: the node is no term of a sum, so that its bias counts here."""
        if (i, j, alone) not in known:
            a, b = graph.nodes[i], target.nodes[j]
            if alone and is_sum(a) and is_sum(b):
                known[i, j, alone] = sums(i, j)
            elif kinds[i] != wanted[j]:
                known[i, j, alone] = 2 + least(j)
            else:
                p, q = sources(a), sources(b)
                orders = [p, p[::-1]] if isinstance(a, Apply) and OPS[a.op].commutative else [p]
                known[i, j, alone] = min(sum(map(far, order, q)) for order in orders)
        return known[i, j, alone]

    def sums(i: int, j: int) -> int:
        own, other = terms(graph, i), terms(target, j)
        if len(own) > 4 or len(other) > 4:
            return 1_000
        biases = [
            sorted(str(bias(g.nodes[k])) for _, k in every) for g, every in ((graph, own), (target, other))
        ]
        cost = int([b for b in biases[0] if b != "None"] != [b for b in biases[1] if b != "None"])
        none = [(0, -1)] * max(0, len(other) - len(own))
        return cost + min(
            sum(pair(a, b) for a, b in zip(order, other, strict=False)) + max(0, len(own) - len(other))
            for order in permutations([*own, *none])
        )

    def pair(a: tuple[int, int], b: tuple[int, int]) -> int:
        if a[1] < 0:
            return 1 + least(b[1])
        return (a[0] != b[0]) + far(a[1], b[1], alone=False)

    @cache
    def least(j: int) -> int:
        """The cost of node j where it is made of what there is, or found as it is."""
        made = 2 + sum(map(least, sources(target.nodes[j])))
        return min([made, *(far(i, j, alone=False) for i in range(len(kinds)) if kinds[i] == wanted[j])])

    weights = [sum(isinstance(node, Affine) for node in g.nodes) for g in (graph, target)]
    return sum(map(far, graph.new, target.new)) + abs(
        weights[0] - weights[1]
    )  # what is shared is told by this


def is_sum(node: Node) -> bool:
    return isinstance(node, Affine) or (isinstance(node, Apply) and node.op in SUMS)


def terms(graph: ExpandedGraph, i: int, sign: int = 1) -> list[tuple[int, int]]:
    """The terms of a sum, with signs."""
    node = graph.nodes[i]
    if not isinstance(node, Apply) or node.op not in SUMS:
        return [(sign, i)]
    left, right = node.args
    return terms(graph, left, sign) + terms(graph, right, -sign if node.op == "sub" else sign)


def kind(node: Node) -> object:
    """What two nodes have to have in common to be compared further down."""
    if isinstance(node, Affine):
        return [replace(c, source=0) for c in node.connections], node.scalar
    return with_sources(node, [0] * len(sources(node)))


def bias(node: Node) -> object:
    return node.bias if isinstance(node, Affine) else None


def chain(
    start: Cell, target: Cell, words: Vocabulary, rows: Sequence[str], steps: int = 8, beam: int = 3
) -> list[Edit]:
    """Edits by these rows that make `start` the target; nothing where the search did not find them."""
    goal = expand(target)
    level: list[tuple[int, ExpandedGraph, list[Edit]]] = [(0, expand(start), [])]
    for _ in range(steps):
        found = [
            (distance(new, goal), new, [*edits, edit])
            for _, graph, edits in level
            for new, edit in edited(graph, words, rows)
        ]
        found.sort(key=lambda one: one[0])
        level = found[:beam]
        for far, graph, edits in level:
            if far == 0 and fingerprint(factor(graph)) == fingerprint(target):
                return edits
    return []
