"""Print a cell in canonical form: parse(show(cell)) == cell.

Every labelled node is an equation; every other one is printed inline. Nodes are in topological order, so the
text of a node is assembled from finished parts without recursion.
"""

from dataclasses import dataclass

from cellsearch.dsl.initial import Drawn
from cellsearch.dsl.nodes import Affine, Apply, Before, Connection, Constant, Input, Node
from cellsearch.dsl.ops import CALL, OPS, UNARY, Op
from cellsearch.dsl.parts import Parts, equations, name_of

_PLAIN = 8  # longer numbers are printed with an exponent if that is shorter


@dataclass(frozen=True, slots=True)
class _Piece:
    """A printed value: its text, its precedence, and whether `.` and `@` may be attached."""

    text: str
    binds: int = CALL
    simple: bool = True

    def within(self, binds: int) -> str:
        """The text in a context of precedence `binds`, with parentheses if needed."""
        return self.text if self.binds > binds else f"({self.text})"

    def beside(self) -> str:
        return self.text if self.simple else f"({self.text})"


def show(cell: Parts) -> str:
    """The text of `cell`: description, header, clock and equations, each on a line of its own; `parse` makes
    an equal cell of it.

        >>> print(cs.show(cs.parse("cell a(x;h)\\nh'=tanh[x,h,bias=1.0]")), end="")
        cell a(x; h)
        h' = tanh[x, h, bias=1]
    """
    comment = cell.description.split("\n") if cell.description else []
    lines = [f"# {line}" if line else "#" for line in comment]
    states = ", ".join(s.name + (f"={number(s.initial)}" if s.initial else "") for s in cell.states)
    output = "" if cell.output == cell.new[0] else f" -> {name_of(cell, cell.output)}"
    lines.append(f"cell {cell.name}({cell.input}; {states}){output}")
    if cell.clock:
        lines.append(f"clock {', '.join(map(str, cell.clock))}")
    pieces, bodies = _pieces(cell)
    for label, index in equations(cell):
        ends = cell.labels[index] == label
        lines.append(f"{label} = {bodies[index] if ends else pieces[index].text}")
    return "\n".join(lines) + "\n"


def equation(cell: Parts, index: int) -> str:
    """The right-hand side of the equation of node `index`, or the spelling of a node inside one."""
    return _pieces(cell)[1][index]


def _pieces(cell: Parts) -> tuple[list[_Piece], list[str]]:
    """The spelling of each node at its uses, and its own expression."""
    pieces: list[_Piece] = []
    bodies: list[str] = []
    for index, node in enumerate(cell.nodes):
        body = _spell(cell, node, pieces)
        bodies.append(body.text)
        named = name_of(cell, index)
        pieces.append(_Piece(named) if named else body)
    return pieces, bodies


def _spell(cell: Parts, node: Node, pieces: list[_Piece]) -> _Piece:
    if isinstance(node, Input):
        return _Piece(f"below({node.name})" if node.kind == "below" else node.name)
    if isinstance(node, Constant):
        return _Piece(number(node.value), simple=False)
    if isinstance(node, Affine):
        return _Piece(_bracket(node, pieces), simple=False)
    if isinstance(node, Before):
        return _Piece(f"before({pieces[node.source].text}{f', {node.delay}' * (node.delay != 1)})")
    op, args = OPS[node.op], [pieces[i] for i in node.args]
    if not op.symbol:
        inner = ", ".join(a.text for a in args)
        return _Piece(op.name + (inner if _opens_with_bracket(cell, node) else f"({inner})"))
    return _signed(op, args)


def _signed(op: Op, args: list[_Piece]) -> _Piece:
    """An op in operator notation."""
    if op.arity == 1:
        # A minus before a literal is part of the number, so the negative of a constant keeps its parentheses.
        literal = args[0].text.lstrip("-")[:1].isdigit()
        inner = f"({args[0].text})" if literal else args[0].within(UNARY)
        return _Piece(f"{op.symbol}{inner}", UNARY, False)
    # Operators are left-associative; a right operand of the same precedence had parentheses.
    left, right = args[0].within(op.binds - 1), args[1].within(op.binds)
    return _Piece(f"{left} {op.symbol} {right}", op.binds, False)


def _opens_with_bracket(cell: Parts, node: Apply) -> bool:
    """Whether a call is short: sigmoid[x, h] for sigmoid([x, h])."""
    return (
        len(node.args) == 1 and isinstance(cell.nodes[node.args[0]], Affine) and not cell.labels[node.args[0]]
    )


def _bracket(node: Affine, pieces: list[_Piece]) -> str:
    items = [_connection(c, pieces[c.source]) for c in node.connections]
    if node.bias is None:
        items.append("bias=none")
    elif node.scalar:
        items.append(f"scalar={initial(node.bias)}")
    elif node.bias or not node.connections:
        items.append(f"bias={initial(node.bias)}")
    return f"[{', '.join(items)}]"


def _connection(c: Connection, source: _Piece) -> str:
    if c.peephole:
        return f".{source.beside()}"
    if c.structure is None and c.eye is None:
        return source.text
    return f"{source.beside()}{matrix(c)}"


def matrix(c: Connection) -> str:
    """The matrix structure of a connection: "@rank(8)", "@slower@eye(1)", "" for an ordinary one."""
    part = "" if c.part is None else f"({c.part})"
    structure = "" if c.structure is None else f"@{c.structure}{part}"
    eye = "" if c.eye is None else f"@eye({number(c.eye)})"
    return f"{structure}{eye}"


def initial(value: float | Drawn) -> str:
    """An initial value: "0.5", "uniform(-0.1, 0.1)", "-log(uniform(1, 100))"."""
    return _initial(value).text


def _initial(value: float | Drawn) -> _Piece:
    if not isinstance(value, Drawn):
        return _Piece(number(value))
    args = [_initial(arg) for arg in value.args]
    op = OPS.get(value.name)
    if op is None or not op.symbol:
        return _Piece(f"{value.name}({', '.join(a.text for a in args)})")
    return _signed(op, args)


def number(value: float) -> str:
    """The shortest decimal that reads back as `value`: 1, 0.04, -1e30; -0 prints as 0."""
    if value == 0:
        return "0"
    text = repr(float(value))
    plain = text[:-2] if text.endswith(".0") else text
    mantissa, e, exponent = plain.partition("e")
    if e:
        return f"{mantissa}e{int(exponent)}"
    digits = plain.lstrip("-").replace(".", "")
    significant = digits.strip("0")
    power = len(plain.lstrip("-").partition(".")[0]) - 1 - (len(digits) - len(digits.lstrip("0")))
    point = f".{significant[1:]}" if len(significant) > 1 else ""
    short = f"{'-' if value < 0 else ''}{significant[0]}{point}e{power}"
    return short if len(plain) > _PLAIN and len(short) < len(plain) else plain
