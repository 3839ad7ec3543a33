"""A copy of a cell with some nodes replaced, simplified where a replacement is a number."""

from collections.abc import Callable, Mapping

from cellsearch.dsl.graph import Cell, build
from cellsearch.dsl.nodes import Apply, Constant, Input, Node, sources, with_sources


class Substitution:
    """A copy under construction: every node is copied on first use, except those that `changed` replaces. A
    gate that becomes a number is folded into its op."""

    def __init__(self, cell: Cell, changed: Mapping[int, "Change"]) -> None:
        self.cell, self.changed = cell, changed
        self.nodes: list[Node] = list(cell.nodes[: 1 + len(cell.states)])
        self.labels: list[str] = [""] * len(self.nodes)
        self.at: dict[int, Value] = {i: i for i in range(len(self.nodes))}
        self.opened: set[int] = set()  # the operand of a gate at 1

    def put(self, node: Node, label: str = "") -> int:
        self.nodes.append(node)
        self.labels.append(label)
        return len(self.nodes) - 1

    def use(self, i: int) -> int:
        """The new index of node i of the cell."""
        return self.place(self.value(i))

    def place(self, value: "Value") -> int:
        """A value as a node."""
        return self.put(Constant(value)) if isinstance(value, float) else value

    def value(self, i: int) -> "Value":
        """The same, or its number."""
        if i not in self.at:
            self.at[i] = self.made(i)
            place = self.at[i]
            if isinstance(place, int) and not isinstance(self.nodes[place], Input):
                self.labels[place] = self.labels[place] or self.cell.labels[i]
        return self.at[i]

    def made(self, i: int) -> "Value":
        change = self.changed.get(i)
        if isinstance(change, float):
            return change
        if callable(change):
            return change(self)
        node = self.cell.nodes[i] if change is None else change
        values = [self.value(s) for s in sources(node)]
        if isinstance(node, Apply) and node.op in ("add", "sub", "mul"):
            simpler = _simplified(self, node.op, values)
            if simpler is not None:
                return simpler
        return self.put(with_sources(node, [self.place(v) for v in values]))


Value = int | float  # a node of the draft, or a number
Change = float | Node | Callable[[Substitution], int]


def substitute(cell: Cell, changed: Mapping[int, Change]) -> Cell:
    """The cell with some nodes replaced by a number, another node, or the result of a function."""
    draft = Substitution(cell, changed)
    for i in range(len(cell.nodes)):
        draft.value(i)
    new = [draft.use(i) for i in cell.new]
    output = new[cell.new.index(cell.output)] if cell.output in cell.new else draft.use(cell.output)
    return build(cell.name, cell.states, draft.nodes, draft.labels, new, output, cell.clock, cell.description)


def _simplified(draft: Substitution, op: str, values: list[Value]) -> Value | None:
    """The simplified op if one of its operands became a number, or if a mixing gate left `a + (b - a)`; None
    if it stays."""
    left, right = values
    numbers = [_number(draft.nodes, v) for v in values]
    if any(isinstance(v, float) for v in values):
        a, b = numbers
        if a is not None and b is not None:
            return {"add": a + b, "sub": a - b, "mul": a * b}[op]
        if op == "mul" and 0.0 in numbers:
            return 0.0
        idle = 1.0 if op == "mul" else 0.0
        if idle in numbers:
            rest = right if a == idle else left
            if op == "mul" and isinstance(rest, int):
                draft.opened.add(rest)
            return draft.put(Apply("neg", (draft.place(right),))) if op == "sub" and a == idle else rest
    elif op == "add":
        for whole, difference in ((left, right), (right, left)):
            node = draft.nodes[int(difference)]
            if difference in draft.opened and isinstance(node, Apply) and node.op == "sub":
                if node.args[1] == whole:
                    return node.args[0]
    return None


def _number(nodes: list[Node], value: Value) -> float | None:
    node = Constant(value) if isinstance(value, float) else nodes[value]
    return node.value if isinstance(node, Constant) else None
