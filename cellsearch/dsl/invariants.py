"""The invariants of a cell, checked by its constructor."""

import math
from collections.abc import Callable

from cellsearch.dsl.initial import Drawn, parts, wrong
from cellsearch.dsl.limits import (
    MAX_DELAY,
    MAX_DEPTH,
    MAX_GROUPS,
    MAX_NAME,
    MAX_NESTING,
    MAX_NODES,
    MAX_PART,
    MAX_PERIOD,
    MAX_TEXT,
    NAME,
    check_name,
)
from cellsearch.dsl.nodes import (
    Affine,
    Apply,
    Before,
    Connection,
    Constant,
    Input,
    Node,
    depths,
    input_wide,
    sources,
    users,
)
from cellsearch.dsl.ops import OPS
from cellsearch.dsl.parts import Parts
from cellsearch.dsl.printer import show
from cellsearch.dsl.structures import STRUCTURES
from cellsearch.errors import CellError

Need = Callable[[bool, str], None]
_WORD = 128


def check(cell: Parts) -> None:
    """Raise CellError unless every invariant of a cell holds."""

    def need(holds: bool, message: str) -> None:
        if not holds:
            raise CellError(f"cell {cell.name}: {message}")

    count, nodes = len(cell.nodes), cell.nodes
    need(NAME.match(cell.name) is not None and len(cell.name) <= MAX_NAME, "its name is not legal")
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
    need(len(set(nodes[: _inputs(cell)])) == _inputs(cell), "an input appears twice among the nodes")
    need(max(depths(nodes)) <= MAX_DEPTH, f"more than {MAX_DEPTH} nodes in one chain")
    for line in cell.description.split("\n"):
        need(line.replace("\t", " ").isprintable(), "its description has a character that cannot be printed")
    _check_labels(cell, need)
    _check_text(cell, need)


def _check_node(cell: Parts, i: int, node: Node, need: Need) -> None:
    if isinstance(node, Input):
        need(i < _inputs(cell), "inputs must precede all other nodes")
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
        if node.bias is not None:
            need(not (problem := wrong(node.bias)), problem)
        need(bool(node.connections) or node.bias is not None, "a bracket is empty")
        need(not node.scalar or not node.connections, "a learned scalar has no connections")
        seen = [(c.source, c.peephole) for c in node.connections]
        need(len(seen) == len(set(seen)), "a bracket connects one value twice in the same way")
        for c in node.connections:
            need(c.eye is None or math.isfinite(c.eye), "eye(...) must be finite")
            _check_matrix(cell, c, need)


def _check_matrix(cell: Parts, c: Connection, need: Need) -> None:
    bare = c.eye is None and c.structure is None and c.part is None
    need(not c.peephole or bare, "a peephole has no matrix structure")
    if c.structure is None:
        need(c.part is None, "a number needs a matrix structure")
        return
    need(c.structure in STRUCTURES, f"unknown matrix structure {c.structure!r}")
    kind = STRUCTURES[c.structure]
    need((c.part is not None) == bool(kind.number), f"@{c.structure} takes {kind.number or 'no number'}")
    need(
        c.part is None or 1 <= c.part <= MAX_PART, f"the {kind.number} is a whole number from 1 to {MAX_PART}"
    )
    need(kind.eye or c.eye is None, f"@{c.structure} cannot be combined with @eye")
    need(
        not kind.square or c.source not in input_wide(cell.nodes), f"@{c.structure} needs a source of width H"
    )
    need(not kind.clock or bool(cell.clock), f"@{c.structure} needs a clock")


def _check_labels(cell: Parts, need: Need) -> None:
    labels = [label for label in cell.labels if label]
    need(len(labels) == len(set(labels)), "two equations have the same name")
    inputs = [n.name for n in cell.nodes[: 1 + len(cell.states)] if isinstance(n, Input)]
    need(len(inputs) == len(set(inputs)), "two inputs have the same name")
    right = {f"{s.name}'": i for s, i in zip(cell.states, cell.new, strict=True)}
    for i, (node, label) in enumerate(zip(cell.nodes, cell.labels, strict=True)):
        if isinstance(node, Input):
            need(not label, "an input has no label")
            continue
        if label.endswith("'"):
            need(right.get(label) == i, f"{label} does not label the new value of that state")
        elif label:
            need(not check_name(label), check_name(label))
            need(label not in inputs, f"{label} is an input")
    read = users(cell.nodes)
    for i, node in enumerate(cell.nodes):
        if isinstance(node, Input):
            if i > len(cell.states):
                need(bool(read[i]) or i in (*cell.new, cell.output), "an input is never used")
            continue
        ends = i in cell.new or i == cell.output
        need(bool(read[i]) or ends, f"{cell.labels[i] or f'node {i}'} is never used")
        need(
            bool(cell.labels[i]) or (len(read[i]) == 1 and not ends),
            f"node {i} is used twice and has no name",
        )


def _check_text(cell: Parts, need: Need) -> None:
    """Check that the text of a cell can be parsed. Prints it only if the size of the graph leaves doubt."""
    long = f"its text would be longer than {MAX_TEXT // 1024} KiB"
    need(_words(cell) <= MAX_TEXT, long)
    # a node opens at most one bracket and one parenthesis around it
    if _text_bound(cell) > MAX_TEXT or 2 * max(depths(cell.nodes)) + 2 > MAX_NESTING:
        text = show(cell)
        need(len(text.encode()) <= MAX_TEXT, long)
        nested = most = 0
        for sign in "".join(line for line in text.split("\n") if line[:1] != "#"):
            nested += (sign in "([") - (sign in ")]")
            most = max(most, nested)
        need(
            most <= MAX_NESTING,
            f"more than {MAX_NESTING} nested parentheses and brackets",
        )


def _text_bound(cell: Parts) -> int:
    """An upper bound on the bytes of the cell's text: each definition or use needs less than `_WORD` beside
    the name."""
    names = (cell.name, cell.input, *(state.name for state in cell.states), *cell.labels)
    comment = 4 * len(cell.description) + 2 * cell.description.count("\n")
    drawn = [n.bias for n in cell.nodes if isinstance(n, Affine) and isinstance(n.bias, Drawn)]
    starts = _WORD * sum(1 for value in drawn for _ in parts(value))
    return comment + 9 * len(cell.clock) + starts + _words(cell) * (max(map(len, names)) + _WORD)


def _words(cell: Parts) -> int:
    return 2 + 2 * len(cell.states) + sum(1 + len(sources(node)) for node in cell.nodes)


def _inputs(cell: Parts) -> int:
    return sum(isinstance(node, Input) for node in cell.nodes)
