"""The same function written in another way: for tests of equivalent cells."""

import numpy as np

from cellsearch.dsl.graph import Cell, build
from cellsearch.dsl.nodes import Affine, Apply, Before, Constant, Input, Node, in_order, sources, with_sources
from cellsearch.dsl.ops import OPS

RULES = ("commute", "turn", "one", "zero", "minus", "regroup", "spread", "copy", "join", "split")


def rewritten(cell: Cell, rng: np.random.Generator, times: int = 4) -> Cell:
    """`cell` after so many rewritings that keep its function and the owners of its weights."""
    for _ in range(times):
        cell = _step(cell, rng)
    return cell


def _step(cell: Cell, rng: np.random.Generator) -> Cell:
    nodes, labels = list(cell.nodes), list(cell.labels)
    new, out = list(cell.new), cell.output

    def add(node: Node) -> int:
        nodes.append(node)
        labels.append("")
        return len(nodes) - 1

    def instead(i: int, of: int) -> None:
        """Let all that read node `of` read `i`, which reads it."""
        nonlocal out
        for k, node in enumerate(nodes):
            if k != i and of in sources(node):
                nodes[k] = with_sources(node, [i if s == of else s for s in sources(node)])
        new[:] = [i if s == of else s for s in new]
        out = i if out == of else out

    i, rule = int(rng.integers(len(nodes))), str(rng.choice(RULES))
    node = nodes[i]
    args = [nodes[a] for a in node.args] if isinstance(node, Apply) else []
    if rule == "commute" and isinstance(node, Apply) and OPS[node.op].commutative:
        nodes[i] = Apply(node.op, node.args[::-1])
    elif rule == "turn" and isinstance(node, Apply) and node.op == "sub":
        a, b = node.args
        nodes[i] = Apply(
            "add", (a, add(Apply("mul", (add(Constant(-1.0)), b)) if rng.integers(2) else Apply("neg", (b,))))
        )
    elif rule in ("one", "zero", "minus") and not isinstance(node, Constant):
        op, unit = {"one": ("mul", 1.0), "zero": ("add", 0.0), "minus": ("mul", -1.0)}[rule]
        outer = add(Constant(unit))
        outer = add(Apply(op, (outer, i)))
        if rule == "minus":
            nodes[outer] = Apply("mul", (outer - 1, i))
            outer = add(Apply("neg", (outer,)))
            readers = (outer, outer - 1)
        else:
            readers = (outer,)
        kept = {k: nodes[k] for k in readers}
        instead(outer, i)
        nodes[readers[-1]] = kept[readers[-1]]
    elif rule == "regroup" and isinstance(node, Apply) and node.op in ("add", "mul"):
        first = args[0]
        if isinstance(first, Apply) and first.op == node.op:
            (a, b), c = first.args, node.args[1]
            nodes[i] = Apply(node.op, (a, add(Apply(node.op, (b, c)))))
    elif rule == "spread" and isinstance(node, Apply) and node.op == "mul":
        second = args[1]
        if isinstance(second, Apply) and second.op in ("add", "sub"):
            a, (b, c) = node.args[0], second.args
            nodes[i] = Apply(second.op, (add(Apply("mul", (a, b))), add(Apply("mul", (a, c)))))
    elif rule == "copy" and isinstance(node, Apply | Before) and len(cell.users[i]) > 1:
        reader = int(rng.choice(cell.users[i]))
        twin = add(node)
        read = list(sources(nodes[reader]))
        read[read.index(i)] = twin
        nodes[reader] = with_sources(nodes[reader], read)
    elif rule == "join" and isinstance(node, Apply):
        same = [k for k in range(i) if nodes[k] == node]
        if same:
            for k in range(len(nodes)):
                if i in sources(nodes[k]):
                    nodes[k] = with_sources(nodes[k], [same[0] if s == i else s for s in sources(nodes[k])])
            new = [same[0] if s == i else s for s in new]
            out = same[0] if out == i else out
    elif rule == "split" and isinstance(node, Affine) and len(node.connections) > 1:
        at = int(rng.integers(1, len(node.connections)))
        left, right = add(Affine(node.connections[:at], node.bias)), add(Affine(node.connections[at:], None))
        nodes[i] = Apply("add", (left, right))
    return _sorted(cell, nodes, labels, new, out)


def _sorted(cell: Cell, nodes: list[Node], labels: list[str], new: list[int], out: int) -> Cell:
    """The cell with its nodes in an order in which each reads earlier ones."""
    order = list(range(1 + len(cell.states)))
    order += in_order(nodes, range(len(nodes)), set(order))
    at = {old: k for k, old in enumerate(order)}
    moved = [with_sources(nodes[i], [at[s] for s in sources(nodes[i])]) for i in order]
    assert all(isinstance(moved[k], Input) for k in range(1 + len(cell.states)))
    return build(
        cell.name, cell.states, moved, [labels[i] for i in order], [at[i] for i in new], at[out], cell.clock
    )
