r"""A cell as LaTeX: its equations in an `align` environment, for use with \input.

It needs only the package amsmath. Vectors are columns as in papers, so W is the transpose of the stored
weight, which is applied as x W. Symbols: W for a matrix from x, U for any other, p for a peephole, b for a
bias or a learned vector, beta for a learned scalar; h_{t-1} is the last value of a state, h_t its new one.
Names have only letters, digits and escaped underscores, so they cannot contain a command.
"""

from dataclasses import dataclass

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.initial import Drawn
from cellsearch.dsl.limits import NAME
from cellsearch.dsl.nodes import Affine, Before, Connection, Constant, Input, Node, input_wide
from cellsearch.dsl.ops import CALL, OPS, PRODUCT, SUM, UNARY
from cellsearch.dsl.parts import equations, name_of
from cellsearch.dsl.printer import initial, number
from cellsearch.dsl.weights import bracket_names, spelled
from cellsearch.exporters import header

_ENCLOSED = -1  # arguments of a function need no further parentheses


@dataclass(frozen=True, slots=True)
class _Formula:
    """A piece of a formula, and its precedence."""

    text: str
    binds: int = CALL

    def within(self, binds: int) -> str:
        return self.text if self.binds > binds else rf"\left({self.text}\right)"


def latex(cell: Cell, provenance: header.Provenance | None = None) -> str:
    """The file: comments, then one `align`. Raises CellError if two weights would share a name."""
    lines = [*header.lines(cell, "LaTeX equations", provenance), "", r"Needs \usepackage{amsmath}."]
    body = " \\\\\n".join(f"  {row}" for row in rows(cell))
    comments = "\n".join(f"% {line}".rstrip() for line in [*lines, *_notes(cell)])
    return f"{comments}\n\\begin{{align}}\n{body}\n\\end{{align}}\n"


def rows(cell: Cell) -> list[str]:
    """The equations, one row of an `align` each, and rows that define a clock."""
    return [*(_equation(cell, label, index) for label, index in equations(cell)), *_where(cell)]


def _equation(cell: Cell, label: str, index: int) -> str:
    named = cell.labels[index] == label
    left = _symbol(label.removesuffix("'"), _time(0))
    right = _body(cell, index, 0) if named else _use(cell, index, 0)
    return f"{left} &= {right.text}"


def _where(cell: Cell) -> list[str]:
    """Lines that define the clock and the matrix structures."""
    periods = ", ".join(map(str, cell.clock))
    found = []
    if Input("tick", "tick") in cell.nodes:
        found.append(
            rf"\mathrm{{tick}}_t &= \left[t \bmod P = 0\right], \quad P \in \left\{{{periods}\right\}}"
        )
    used = {c.row.name: c.row for _, c in _connections(cell) if c.row.where}
    return [*found, *(row.where.format(periods=periods) for row in used.values())]


def _notes(cell: Cell) -> list[str]:
    """Comments on facts that the equations do not show: initial values, the layer below, the output."""
    found = [f"{s.name}_0 = {number(s.initial)}" for s in cell.states if s.initial]
    names = bracket_names(cell)
    for i, c in _connections(cell):
        source = name_of(cell, c.source) or "an expression"
        if c.eye:
            found.append(f"{names[i]}: the matrix from {source} starts with {number(c.eye)} on its diagonal")
        if c.row.note:
            found.append(f"{names[i]}: the matrix from {source} {c.row.note.format(n=c.part)}")
    for i, node in enumerate(cell.nodes):
        if isinstance(node, Affine) and (isinstance(node.bias, Drawn) or node.bias):
            found.append(f"{names[i]}: {'the scalar' if node.scalar else 'b'} starts at {initial(node.bias)}")
    if any(isinstance(n, Input) and n.kind == "below" for n in cell.nodes):
        found.append(r"(\ell-1) is the layer below; zero at the lowest")
    if any(isinstance(n, Before) for n in cell.nodes):
        found.append("Before the start all values are zero.")
    if cell.output != cell.new[0]:
        found.append(f"the output is {name_of(cell, cell.output)}")
    return found


def _connections(cell: Cell) -> list[tuple[int, Connection]]:
    return [(i, c) for i, n in enumerate(cell.nodes) if isinstance(n, Affine) for c in n.connections]


# ---- names


def _tex(name: str) -> str:
    """A name of the language (letters, digits and underscores) as a symbol."""
    assert NAME.match(name)
    return name if len(name) == 1 and name != "_" else r"\mathit{" + name.replace("_", r"\_") + "}"


def _symbol(name: str, below: str, above: str = "") -> str:
    return _indexed(_tex(name), below) + (f"^{{{above}}}" if above else "")


def _indexed(symbol: str, index: str) -> str:
    return f"{symbol}_{index}" if len(index) == 1 else f"{symbol}_{{{index}}}"


def _time(ago: int) -> str:
    return f"t-{ago}" if ago else "t"


def _input(node: Input, ago: int) -> str:
    match node.kind:
        case "state":
            return _symbol(node.name, _time(ago + 1))
        case "below":
            return _symbol(node.name, _time(ago), r"(\ell-1)")
        case "tick":
            return _indexed(r"\mathrm{tick}", _time(ago))
    return _symbol(node.name, _time(ago))


def _bracket(cell: Cell, index: int) -> str:
    """The index of a bracket's weights: its equation, and its number if that has several."""
    root = index
    while not cell.labels[root]:
        root = cell.users[root][0]
    label = cell.labels[root]
    numbered = bracket_names(cell)[index].removeprefix(spelled(label)).lstrip("_")
    name = _tex(label.removesuffix("'"))
    return _indexed(name, numbered) if numbered else name


def _weight(cell: Cell, index: int, letter: str, position: int) -> str:
    node = cell.nodes[index]
    assert isinstance(node, Affine)
    bracket, source = _bracket(cell, index), _source(cell, node.connections[position].source, position)
    short = len(bracket) == 1 and len(source.rstrip("'")) == 1
    return f"{letter}_{{{bracket}{'' if short else ','}{source}}}"


def _source(cell: Cell, index: int, position: int) -> str:
    """The index of a weight for the value that it multiplies."""
    node = cell.nodes[index]
    if isinstance(node, Input) and node.kind == "below":
        return rf"{_tex(node.name)}^{{(\ell-1)}}"
    if isinstance(node, Before) and not cell.labels[index]:
        return f"{{{_source(cell, node.source, position)}}}_{{-{node.delay}}}"
    name = name_of(cell, index)
    if not name:
        return str(position + 1)
    return f"{_tex(name[:-1])}'" if name.endswith("'") else _tex(name)


# ---- formulas


def _use(cell: Cell, index: int, ago: int) -> _Formula:
    """A node as an operand of another one, `ago` steps earlier."""
    node = cell.nodes[index]
    if isinstance(node, Input):
        return _Formula(_input(node, ago))
    if cell.labels[index]:
        return _Formula(_symbol(cell.labels[index].removesuffix("'"), _time(ago)))
    return _body(cell, index, ago)


def _body(cell: Cell, index: int, ago: int) -> _Formula:
    node: Node = cell.nodes[index]
    if isinstance(node, Input):
        return _use(cell, index, ago)
    if isinstance(node, Before):
        return _use(cell, node.source, ago + node.delay)
    if isinstance(node, Constant):
        return _number(node.value)
    if isinstance(node, Affine):
        return _affine(cell, index, node, ago)
    op, args = OPS[node.op], [_use(cell, a, ago) for a in node.args]
    needs = [_ENCLOSED] * op.arity
    if op.symbol:
        needs = [op.binds] if op.arity == 1 else [op.binds - 1, op.binds]
    parts = [a.within(n) for a, n in zip(args, needs, strict=True)]
    if op.symbol and op.arity == 2 and parts[1].startswith("-"):  # two signs would be adjacent
        parts[1] = rf"\left({parts[1]}\right)"
    return _Formula(op.latex.format(*parts), op.binds)


def _affine(cell: Cell, index: int, node: Affine, ago: int) -> _Formula:
    bracket = _bracket(cell, index)
    if not node.connections:
        return _Formula(_indexed(r"\beta" if node.scalar else "b", bracket))
    wide = input_wide(cell.nodes)
    terms = []
    for k, c in enumerate(node.connections):
        value = _use(cell, c.source, ago).within(UNARY)
        if c.peephole:
            terms.append(rf"{_weight(cell, index, 'p', k)} \odot {value}")
        else:
            matrix = _weight(cell, index, "W" if c.source in wide else "U", k)
            terms.append(f"{c.row.latex.format(matrix)} {value}")
    if node.bias is not None:
        terms.append(_indexed("b", bracket))
    binds = SUM if len(terms) > 1 else PRODUCT
    return _Formula(" + ".join(terms), binds)


def _number(value: float) -> _Formula:
    mantissa, e, exponent = number(value).partition("e")
    text = mantissa
    if e:
        factor = {"1": "", "-1": "-"}.get(mantissa, rf"{mantissa} \cdot ")
        text = f"{factor}10^{{{exponent}}}"
    # A minus before a number would follow another sign, as in a + -1.
    return _Formula(text, 0 if value < 0 else PRODUCT if r"\cdot" in text else CALL)
