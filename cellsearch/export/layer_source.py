"""One layer of a cell as Python code: the statements of its loop over time, one for each equation.

What does not depend on a state is computed for all steps at once, before the loop: whole equations (`z = sigmoid[x]`), and
of the others the parts with a matrix (`i_in = x @ self.i.x + self.i.bias`). An expression that does not fit on its line
gives its longer part a name.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import torch

from cellsearch.compiler import formula
from cellsearch.compiler.plan import plan
from cellsearch.dsl.graph import Affine, Cell, Connection, Constant, Input, equations, name_of, sources
from cellsearch.dsl.ops import CALL, OPS, PRODUCT, SUM, UNARY, Op
from cellsearch.dsl.text.printer import equation, number
from cellsearch.dsl.weights import bracket_names, spelled, weights
from cellsearch.export import layout, operators
from cellsearch.export.names import MAX_LOCAL, Locals, is_plain, is_taken, parameter, submodule

#: What the code of a layer calls by these names.
_RESERVED = ("self", "torch", "nn", "Tensor", "range", "getattr", "t", "_", "outputs", "start", "steps", "slower")
_BEFORE, _INSIDE = 8, 12  # how far the lines before the loop and inside it are indented
_ATOM = MAX_LOCAL + 3  # characters of the longest name in an expression: a local variable and its [t]


class Extent(IntEnum):
    """The shape of a value; where two meet, the larger wins."""

    NUMBER = 0  # a Python number
    ONE = 1  # [1]: a learned scalar
    VECTOR = 2  # [H]: made of weights alone
    SEQUENCE = 3  # [T, B, H] ([T, B, D] for x): does not wait for the loop
    STEP = 4  # [B, H]


@dataclass(frozen=True, slots=True)
class Code:
    """A Python expression, and how tightly it binds."""

    text: str
    binds: int = CALL

    def within(self, binds: int) -> str:
        """The text where only what binds more tightly than `binds` needs no parentheses."""
        return self.text if self.binds > binds else f"({self.text})"


@dataclass
class _Place:
    """Where a statement is being written: its lines, and the name that it assigns."""

    lines: list[str]
    indent: int
    target: str
    spilled: int = 0

    @property
    def room(self) -> int:
        """How long an expression may be; the names of its parts are up to four characters longer than its own."""
        return layout.LINE - self.indent - len(self.target) - len(" = ") - 4

    @property
    def in_loop(self) -> bool:
        return self.indent == _INSIDE


@dataclass(frozen=True)
class LayerCode:
    """What a layer's forward method takes, does and gives."""

    input: str  # the variable of x
    states: tuple[str, ...]
    below: tuple[str, ...]  # the variables of the states of the layer below
    ticks: bool  # whether it needs the number of the first step, `start`
    before: tuple[str, ...]  # lines before the loop
    inside: tuple[str, ...]  # lines of the loop
    kept: tuple[tuple[str, str], ...]  # states that the layer above reads, and the list of their values
    helpers: tuple[Op, ...]  # ops that need a function of their own


def layer_code(cell: Cell) -> LayerCode:
    """The code of one layer of `cell`."""
    return _Writer(cell).code()


class _Writer:
    """Writes the lines of one layer, equation by equation."""

    def __init__(self, cell: Cell) -> None:
        self.cell, self.is_outer = cell, plan(cell).is_outer
        self.before: list[str] = []
        self.inside: list[str] = []
        self.helpers: dict[str, Op] = {}
        self.locals = Locals((*_RESERVED, *(operators.function_name(op) for op in OPS.values())))
        self.brackets = bracket_names(cell)
        self.weight_names = {(w.node, w.term): w.name for w in weights(cell)}
        self.extents = self._extents()
        self.names = self._names()
        self.parts: dict[int, Code] = {}  # nodes without a name that are computed before the loop: how the loop reads them
        self.terms: dict[int, Code] = {}  # likewise for brackets: all terms that are computed before the loop
        self.weights: dict[tuple[int, int], str] = {}  # how each weight is reached
        self._bind_clock()
        self._bind_weights()
        self.bound = len(self.before)

    # ---- what each node is

    def _extents(self) -> list[Extent]:
        found: list[Extent] = []
        for i, node in enumerate(self.cell.nodes):
            if isinstance(node, Input):
                extent = Extent.STEP if node.kind == "state" else Extent.SEQUENCE
            elif isinstance(node, Affine):
                least = Extent.ONE if node.scalar else Extent.VECTOR
                extent = max([least, *(found[s] for s in sources(node))])
            else:
                extent = max([Extent.NUMBER, *(found[s] for s in sources(node))])
            assert (extent < Extent.STEP) == self.is_outer[i]
            found.append(extent)
        return found

    def _names(self) -> dict[int, str]:
        """The variables of inputs and of named equations."""
        found: dict[int, str] = {}
        for i, node in enumerate(self.cell.nodes):
            if isinstance(node, Input):
                found[i] = self.locals.fresh(f"below_{node.name}" if node.kind == "below" else node.name)
        for i, label in enumerate(self.cell.labels):
            if label:
                found[i] = self.locals.fresh(spelled(label))
        return found

    # ---- what stands first: the clock, and weights that an expression cannot name

    def _bind_clock(self) -> None:
        tick = Input("tick", "tick")
        if tick in self.cell.nodes:
            x, name = self.names[0], self.names[self.cell.nodes.index(tick)]
            self.before += [
                f"        steps = start + torch.arange({x}.shape[0], device={x}.device)[:, None]  # [T, B]",
                f"        {name} = (steps[:, :, None] % self.periods == 0).to({x}.dtype)  # [T, B, H]",
            ]
        if any(c.structure == "slower" for _, _, c in self._connections()):
            self.before += [
                "        # A unit hears units of its own or of a longer period alone.",
                "        slower = self.periods[:, None] >= self.periods",
            ]

    def _bind_weights(self) -> None:
        slower = {(i, k) for i, k, c in self._connections() if c.structure == "slower"}
        owners: dict[str, str] = {}
        for key, name in self.weight_names.items():
            bracket, _, weight = name.partition(".")
            if bracket not in owners:
                owners[bracket] = submodule("self", bracket)
                if len(owners[bracket]) > MAX_LOCAL:
                    owner = self.locals.fresh(f"{bracket[:12].strip('_')}_weights")
                    self._assign_before(owner, owners[bracket])
                    owners[bracket] = owner
            text = parameter(owners[bracket], weight)
            plain = is_plain(weight) and not is_taken(weight) and len(text) <= _ATOM
            if key in slower or not plain:
                variable = self.locals.fresh(f"{bracket[:10].strip('_')}_{weight[:12].strip('_')}")
                self._assign_before(variable, f"{text} * slower" if key in slower else text)
                text = variable
            self.weights[key] = text

    def _assign_before(self, name: str, text: str) -> None:
        self.before.append(f"        {name} = {text}")

    def _connections(self) -> list[tuple[int, int, Connection]]:
        affines = ((i, n) for i, n in enumerate(self.cell.nodes) if isinstance(n, Affine))
        return [(i, k, c) for i, n in affines for k, c in enumerate(n.connections)]

    # ---- the equations

    def code(self) -> LayerCode:
        """All lines of the layer."""
        cell = self.cell
        new = [self.names.get(i, "") for i in cell.new]
        for label, index in equations(cell):
            if cell.labels[index] == label:
                self._equation(label, index)
            else:  # a second name for a value, as in h' = c'
                state = [f"{s.name}'" for s in cell.states].index(label)
                new[state] = self.locals.fresh(spelled(label))
                self._assign(self.inside, _INSIDE, new[state], f"{label} = {name_of(cell, index)}", self._whole(index))
        if len(self.before) > self.bound:
            self.before.insert(self.bound, "        # What does not wait for the loop is computed for all steps at once.")
        below = [n for n in cell.nodes if isinstance(n, Input) and n.kind == "below"]
        kept = []
        self.inside.append(f"            outputs.append({self._whole(cell.output).text})")
        values = []
        for k, state in enumerate(cell.states):
            own = cell.labels[cell.new[k]] == f"{state.name}'"
            values.append(self._whole(cell.new[k]).text if own else new[k])
            if Input("below", state.name) in below:
                kept.append((state.name, self.locals.fresh(f"{state.name}_steps")))
                self.inside.append(f"            {kept[-1][1]}.append({values[-1]})")
        states = tuple(self.names[1 + k] for k in range(len(cell.states)))
        self.inside += layout.parallel(_INSIDE, states, values)
        return LayerCode(
            input=self.names[0],
            states=states,
            below=tuple((n.name, self.names[cell.nodes.index(n)]) for n in below),
            ticks=Input("tick", "tick") in cell.nodes,
            before=tuple(self.before),
            inside=tuple(self.inside),
            kept=tuple(kept),
            helpers=tuple(sorted(self.helpers.values(), key=list(OPS.values()).index)),
        )

    def _equation(self, label: str, index: int) -> None:
        name, text = self.names[index], f"{label} = {equation(self.cell, index)}"
        if self.is_outer[index]:
            self._assign(self.before, _BEFORE, name, text, index)
            return
        parts = self._find_parts(index)
        base = f"{label.rstrip(chr(39))}_in"
        for k, part in enumerate(parts, 1):
            variable = self.locals.fresh(base if len(parts) == 1 else f"{base}_{k}")
            place = _Place(self.before, _BEFORE, variable)
            if self.is_outer[part]:
                code, extent, target = self._body(part, place), self.extents[part], self.parts
            else:
                code, extent, target = *self._outer_terms(part, place), self.terms
            self.before.append(f"        {variable} = {code.text}")
            target[part] = _step_of(variable, extent)
        self._assign(self.inside, _INSIDE, name, text, index)

    def _assign(self, lines: list[str], indent: int, target: str, text: str, value: int | Code) -> None:
        """A statement under the equation `text`, unless both read alike."""
        place = _Place([], indent, target)
        code = value if isinstance(value, Code) else self._body(value, place)
        line = f"{target} = {code.text}"
        if place.lines or line != text:
            lines += layout.comment(indent, text)
        lines += [*place.lines, f"{' ' * indent}{line}"]

    def _find_parts(self, root: int) -> list[int]:
        """What of an equation in the loop can be computed before it: nodes without a name that own a matrix and do not
        depend on a state, and brackets that have such terms; in the order of the text."""
        found, stack = [], [root]
        while stack:
            i = stack.pop()
            node = self.cell.nodes[i]
            if i != root and i in self.names:
                continue
            if self.is_outer[i]:
                if self._owns(i):
                    found.append(i)
                continue
            inner = list(sources(node))
            if isinstance(node, Affine):
                inner = [s for s in inner if not self.is_outer[s]]
                if len(inner) < len(node.connections):
                    found.append(i)
            stack.extend(reversed(inner))
        return found

    def _owns(self, root: int) -> bool:
        """Whether a bracket with connections stands in the expression of a node."""
        stack = [root]
        while stack:
            i = stack.pop()
            if isinstance(self.cell.nodes[i], Affine) and sources(self.cell.nodes[i]):
                return True
            stack.extend(s for s in sources(self.cell.nodes[i]) if s not in self.names)
        return False

    # ---- expressions

    def _use(self, i: int, place: _Place) -> Code:
        """A node where another one reads it."""
        if i in self.names:
            return _step_of(self.names[i], self.extents[i]) if place.in_loop else Code(self.names[i])
        if i in self.parts and place.in_loop:
            return self.parts[i]
        return self._body(i, place)

    def _whole(self, i: int) -> Code:
        """A named node in the loop at the shape of a state, [B, H]."""
        code = _step_of(self.names[i], self.extents[i])
        if self.extents[i] == Extent.NUMBER:
            return Code(f"torch.full_like({self.names[1]}, {code.text})")
        return code if self.extents[i] >= Extent.SEQUENCE else Code(f"{code.text}.expand_as({self.names[1]})")

    def _body(self, i: int, place: _Place) -> Code:
        """The expression of a node."""
        node = self.cell.nodes[i]
        if self.extents[i] == Extent.NUMBER:
            return _literal(self._number(i))
        if isinstance(node, Affine):
            inner = [k for k, c in enumerate(node.connections) if i not in self.terms or not self.is_outer[c.source]]
            first = [self.terms[i]] if i in self.terms else []
            return self._sum(i, first, inner, node.bias is not None and not first, place)
        assert not isinstance(node, Input | Constant)
        op, args = OPS[node.op], [self._use(s, place) for s in node.args]
        form = operators.template(op)
        if form is None:
            self.helpers[op.name] = op
            form = f"{operators.function_name(op)}({', '.join(('{0}', '{1}')[: op.arity])})"
        if not op.symbol:
            return self._join(place, form, args, [0] * op.arity, CALL)
        return self._join(place, form, args, [op.binds] if op.arity == 1 else [op.binds - 1, op.binds], op.binds)

    def _outer_terms(self, i: int, place: _Place) -> tuple[Code, Extent]:
        """The terms of a bracket that do not wait for the loop, and its bias."""
        node = self.cell.nodes[i]
        assert isinstance(node, Affine)
        outer = [k for k, c in enumerate(node.connections) if self.is_outer[c.source]]
        extent = max(Extent.VECTOR, *(self.extents[node.connections[k].source] for k in outer))
        return self._sum(i, [], outer, node.bias is not None, place), extent

    def _sum(self, i: int, first: list[Code], terms: Sequence[int], bias: bool, place: _Place) -> Code:
        """Terms of a bracket and perhaps its bias, after those in `first`."""
        node = self.cell.nodes[i]
        assert isinstance(node, Affine)
        total = first[0] if first else None
        for k in [*terms, *([-1] if bias else [])]:
            term = Code(self.weights[i, k]) if k < 0 else self._term(i, k, node.connections[k], place)
            total = term if total is None else self._join(place, "{0} + {1}", [total, term], [SUM - 1, SUM], SUM)
        assert total is not None
        return total

    def _term(self, i: int, k: int, c: Connection, place: _Place) -> Code:
        source, weight = self._use(c.source, place), Code(self.weights[i, k])
        needs = [UNARY, PRODUCT]  # parentheses also where Python could do without: (r * h) @ W
        if c.peephole:
            return self._join(place, "{0} * {1}", [source, weight], needs, PRODUCT)
        if self.extents[c.source] <= Extent.ONE:  # the same number in every unit
            return self._join(place, "{0} * {1}.sum(0)", [source, weight], needs, PRODUCT)
        return self._join(place, "{0} @ {1}", [source, weight], needs, PRODUCT)

    def _join(self, place: _Place, form: str, parts: Sequence[Code], needs: Sequence[int], binds: int) -> Code:
        """`form` with the parts in it. Where that is too long, the longest part gets a line and a name of its own."""
        left = list(parts)
        while True:
            code = Code(form.format(*(p.within(n) for p, n in zip(left, needs, strict=True))), binds)
            k = max(range(len(left)), key=lambda k: len(left[k].text))
            if len(code.text) <= place.room or len(left[k].text) <= _ATOM:
                return code
            place.spilled += 1
            name = self.locals.fresh(f"{place.target[: MAX_LOCAL - 4]}_{place.spilled}")
            place.lines.append(f"{' ' * place.indent}{name} = {left[k].text}")
            left[k] = Code(name)

    def _number(self, i: int) -> float:
        """The value of a node that is made of numbers alone."""
        values: dict[int, torch.Tensor] = {}
        for j in range(i + 1):
            node = self.cell.nodes[j]
            if self.extents[j] == Extent.NUMBER and isinstance(node, Constant):
                values[j] = torch.tensor(node.value, dtype=torch.float64)
            elif self.extents[j] == Extent.NUMBER and not isinstance(node, Input | Affine | Constant):
                values[j] = formula.apply(OPS[node.op], *(values[a] for a in node.args))
        return float(values[i])


def _step_of(name: str, extent: Extent) -> Code:
    """A variable as the loop reads it."""
    return Code(f"{name}[t]" if extent == Extent.SEQUENCE else name)


def _literal(value: float) -> Code:
    """A number in Python."""
    if math.isnan(value):
        return Code("torch.nan")
    text = f"{'-' if value < 0 else ''}torch.inf" if math.isinf(value) else number(value)
    return Code(text, UNARY if text.startswith("-") else CALL)
