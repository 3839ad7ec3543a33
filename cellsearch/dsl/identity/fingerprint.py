"""The fingerprint of a cell: 64 hexadecimal digits, invariant under labels and irrelevant order.

Ignored are labels, names, the description, the order of commutative arguments, of the connections in a
bracket and of independent equations. All else counts, and equal brackets stay distinct: nodes are never
merged.

Colour refinement: nodes are coloured by their kind, the nodes that they read (sweep up) and the nodes that
read them (sweep down) until the partition is stable; if equal colours remain, one node is marked and the
sweeps continue. The hash covers the full list of nodes in the order of their colours: equal digests imply
isomorphic cells. The converse holds if nodes of one colour are interchangeable, as they are in practice;
otherwise one cell may have two fingerprints.
"""

from collections import Counter
from hashlib import blake2b, sha256

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.initial import DISTRIBUTIONS, Drawn, Initial
from cellsearch.dsl.nodes import Affine, Apply, Before, Connection, Constant, Input
from cellsearch.dsl.ops import OPS

#: Number of nodes coloured before ties keep their given order: bounds the time for large cells.
_WORK = 20_000

Edge = tuple[int, str]  # the node that is read, and its role


def fingerprint(cell: Cell) -> str:
    """The fingerprint of `cell`: 64 hexadecimal digits, the same in every process and on every machine."""
    facts = [_facts(cell, i) for i in range(len(cell.nodes))]
    edges = [_edges(cell, i) for i in range(len(cell.nodes))]
    order = _order(facts, edges)
    number = {node: k for k, node in enumerate(order)}
    lines = [f"{facts[i]} {sorted((role, number[s]) for s, role in edges[i])}" for i in order]
    lines.append(f"clock {cell.clock}")
    return sha256("\n".join(lines).encode()).hexdigest()


def _facts(cell: Cell, index: int) -> str:
    """A node's own facts: its kind, and the new values and outputs that it is. Not the nodes that it
    reads."""
    ends = [k for k, new in enumerate(cell.new) if new == index]
    return f"{_what(cell, index)} {ends} {cell.output == index}"


def _what(cell: Cell, index: int) -> str:
    node = cell.nodes[index]
    positions = {state.name: k for k, state in enumerate(cell.states)}
    if isinstance(node, Input):
        if node.kind == "state":
            state = cell.states[positions[node.name]]
            return f"state {positions[node.name]} {_number(state.initial)}"
        return f"below {positions.get(node.name, node.name)}" if node.kind == "below" else node.kind
    if isinstance(node, Constant):
        return f"constant {_number(node.value)}"
    if isinstance(node, Affine):
        return f"affine {initial_fact(node.bias)} {node.scalar}"
    return f"before {node.delay}" if isinstance(node, Before) else node.op


def _edges(cell: Cell, index: int) -> list[Edge]:
    node = cell.nodes[index]
    if isinstance(node, Affine):
        return [(c.source, _connected(c)) for c in node.connections]
    if isinstance(node, Before):
        return [(node.source, "")]
    if isinstance(node, Apply):
        return [(s, "" if OPS[node.op].commutative else str(k)) for k, s in enumerate(node.args)]
    return []


def _connected(c: Connection) -> str:
    part = "" if c.part is None else f" {c.part}"
    return f"{c.peephole} {_number(c.eye)} {c.structure}{part}"


def initial_fact(value: Initial) -> str:
    """An initial value in comparable form."""
    if not isinstance(value, Drawn):
        return _number(value)
    args = [initial_fact(arg) for arg in value.args]
    if value.name in DISTRIBUTIONS:
        return " ".join((value.name, *args))
    if OPS[value.name].commutative:
        args.sort()
    return f"{value.name}({', '.join(args)})"


def _number(value: float | None) -> str:
    return "none" if value is None else repr(float(value) + 0.0)  # + 0.0: -0 becomes 0


def _order(facts: list[str], edges: list[list[Edge]]) -> list[int]:
    """The nodes in an order independent of their numbering."""
    readers: list[list[Edge]] = [[] for _ in edges]
    for i, reads in enumerate(edges):
        for s, role in reads:
            readers[s].append((i, role))
    nodes = range(len(edges))
    colours = [_digest(fact, []) for fact in facts]
    parted, work = len(set(colours)), 0
    while parted < len(nodes) and work < _WORK:
        for i in nodes:
            colours[i] = _digest(colours[i], [f"{role} {colours[s]}" for s, role in edges[i]])
        for i in reversed(nodes):
            colours[i] = _digest(colours[i], [f"{role} {colours[r]}" for r, role in readers[i]])
        work += len(nodes)
        before, parted = parted, len(set(colours))
        if parted == before:
            twin = min(colour for colour, n in Counter(colours).items() if n > 1)
            first = colours.index(twin)
            colours[first] = _digest(twin, ["first"])
            parted += 1
    return sorted(nodes, key=lambda i: colours[i])


def _digest(own: str, around: list[str]) -> str:
    around.sort()
    return blake2b("\n".join((own, *around)).encode(), digest_size=16).hexdigest()
