"""One layer of a cell as Python code: the statements of its loop over time, one for each equation.

What does not depend on a state is computed for all steps at once, before the loop: whole equations
(`z = sigmoid[x]`), and of the others the parts with a matrix (`i_in = x @ self.i.x + self.i.bias`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from cellsearch.compiler import formula
from cellsearch.dsl.graph import Affine, Apply, Cell, Connection, Constant, Input, equations, name_of, sources
from cellsearch.dsl.ops import CALL, OPS, PRODUCT, SUM, UNARY, Kind, Op
from cellsearch.dsl.text.printer import equation
from cellsearch.dsl.weights import Weight, bracket_names, spelled, weights
from cellsearch.export import layout, operators
from cellsearch.export.expressions import ATOM, Code, Extent, Place, literal, step_of
from cellsearch.export.names import MAX_LOCAL, Locals, is_plain, is_taken, parameter, submodule

#: What the code of a layer calls by these names.
_RESERVED = (
    "self",
    "torch",
    "nn",
    "Tensor",
    "range",
    "getattr",
    "t",
    "_",
    "outputs",
    "start",
    "steps",
    "slower",
)
_BEFORE, _INSIDE = 8, 12  # how far the lines before the loop and inside it are indented


@dataclass(frozen=True)
class LayerCode:
    """What a layer's forward method takes, does and gives."""

    input: str  # the variable of x
    states: tuple[str, ...]
    below: tuple[tuple[str, str], ...]  # states of the layer below, and their variables
    ticks: bool  # whether it needs the number of the first step, `start`
    periods: str  # the buffer with the clock period of each unit; "" where none is read
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
        self.cell = cell
        self.before: list[str] = []
        self.inside: list[str] = []
        self.helpers: dict[str, Op] = {}
        self.locals = Locals((*_RESERVED, *(operators.function_name(op) for op in OPS.values())))
        self.brackets = bracket_names(cell)
        self.extents = self._extents()
        self.is_outer = [extent < Extent.STEP for extent in self.extents]
        self.names = self._names()
        self.parts: dict[
            int, Code
        ] = {}  # nodes without a name that are computed before the loop: how the loop reads them
        self.terms: dict[int, Code] = {}  # likewise for brackets: all terms that are computed before the loop
        self.weights: dict[tuple[int, int, str], str] = {}  # node, term and kind: how the weight is reached
        self.periods = Locals(self.brackets.values()).fresh("periods")
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
            over_units = isinstance(node, Apply) and OPS[node.op].kind is Kind.UNITS
            found.append(max(extent, Extent.VECTOR) if over_units else extent)
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
                f"        {name} = (steps[:, :, None] % self.{self.periods} == 0).to({x}.dtype)  # [T, B, H]",
            ]
        if any(c.structure == "slower" for _, _, c in self._connections()):
            self.before += [
                "        # A unit hears units of its own or of a longer period alone.",
                f"        slower = self.{self.periods}[:, None] >= self.{self.periods}",
            ]

    def _bind_weights(self) -> None:
        owners: dict[str, str] = {}
        for w in weights(self.cell):
            bracket, _, weight = w.name.partition(".")
            if bracket not in owners:
                owners[bracket] = submodule("self", bracket)
                if not is_plain(bracket) or is_taken(bracket) or len(owners[bracket]) > MAX_LOCAL:
                    owner = self.locals.fresh(f"{bracket[:12].strip('_')}_weights")
                    self._assign_before(owner, owners[bracket])
                    owners[bracket] = owner
            text = parameter(owners[bracket], weight)
            matrix = self._matrix(w, text)
            if matrix != text or not is_plain(weight) or is_taken(weight) or len(text) > ATOM:
                text = self.locals.fresh(f"{bracket[:10].strip('_')}_{weight[:12].strip('_')}")
                self._assign_before(text, matrix)
            self.weights[w.node, w.term, w.kind] = text

    def _matrix(self, weight: Weight, text: str) -> str:
        """The matrix that a weight stands for."""
        node = self.cell.nodes[weight.node]
        assert isinstance(node, Affine)
        c = node.connections[weight.term] if weight.kind == "full" else None
        match c and c.structure:
            case "slower":
                return f"{text} * slower"
            case "blocks":
                assert c is not None
                return f"blocks({text}, {c.part})"
            case "skew":
                return f"{text} - {text}.T"
        return text

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
                self._assign(
                    self.inside, _INSIDE, new[state], f"{label} = {name_of(cell, index)}", self._whole(index)
                )
        if len(self.before) > self.bound:
            self.before.insert(
                self.bound, "        # What does not wait for the loop is computed for all steps at once."
            )
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
            periods=self.periods if any(f"self.{self.periods}" in line for line in self.before) else "",
            before=tuple(self.before),
            inside=tuple(self.inside),
            kept=tuple(kept),
            helpers=tuple(sorted(self.helpers.values(), key=list(OPS.values()).index)),
        )

    def _equation(self, label: str, index: int) -> None:
        name, text = self.names[index], f"{label} = {equation(self.cell, index)}"
        if self._is_folded(index):
            self.before += layout.comment(_BEFORE, text)
            return
        if self.is_outer[index]:
            self._assign(self.before, _BEFORE, name, text, index)
            return
        parts = self._find_parts(index)
        base = f"{label.rstrip(chr(39))}_in"
        for k, part in enumerate(parts, 1):
            variable = self.locals.fresh(base if len(parts) == 1 else f"{base}_{k}")
            place = Place(self.before, _BEFORE, variable, self.locals)
            if self.is_outer[part]:
                code, extent, target = self._body(part, place), self.extents[part], self.parts
            else:
                code, extent, target = *self._outer_terms(part, place), self.terms
            self.before.append(f"        {variable} = {code.text}")
            target[part] = step_of(variable, extent)
        self._assign(self.inside, _INSIDE, name, text, index)

    def _is_folded(self, i: int) -> bool:
        """Whether a number is a part of other numbers alone, which are written as their values."""
        ends = i in self.cell.new or i == self.cell.output
        return not ends and all(self.extents[j] == Extent.NUMBER for j in (i, *self.cell.users[i]))

    def _assign(self, lines: list[str], indent: int, target: str, text: str, value: int | Code) -> None:
        """A statement under the equation `text`, unless both read alike."""
        place = Place([], indent, target, self.locals)
        code = value if isinstance(value, Code) else self._body(value, place)
        line = f"{target} = {code.text}"
        if place.lines or line != text:
            lines += layout.comment(indent, text)
        lines += [*place.lines, f"{' ' * indent}{line}"]

    def _find_parts(self, root: int) -> list[int]:
        """What of an equation in the loop can be computed before it: nodes without a name that own a matrix and
        do not depend on a state, and brackets that have such terms; in the order of the text."""
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

    def _use(self, i: int, place: Place) -> Code:
        """A node where another one reads it."""
        if i in self.names:
            return step_of(self.names[i], self.extents[i]) if place.indent == _INSIDE else Code(self.names[i])
        if i in self.parts and place.indent == _INSIDE:
            return self.parts[i]
        return self._body(i, place)

    def _whole(self, i: int) -> Code:
        """A named node in the loop at the shape of a state, [B, H]."""
        code = step_of(self.names[i], self.extents[i])
        if self.extents[i] == Extent.NUMBER:
            return Code(f"torch.full_like({self.names[1]}, {code.text})")
        return code if self.extents[i] >= Extent.SEQUENCE else Code(f"{code.text}.expand_as({self.names[1]})")

    def _body(self, i: int, place: Place) -> Code:
        """The expression of a node."""
        node = self.cell.nodes[i]
        if self.extents[i] == Extent.NUMBER:
            return literal(self._number(i))
        if isinstance(node, Affine):
            inner = [
                k
                for k, c in enumerate(node.connections)
                if i not in self.terms or not self.is_outer[c.source]
            ]
            first = [self.terms[i]] if i in self.terms else []
            return self._sum(i, first, inner, node.bias is not None and not first, place)
        assert not isinstance(node, Input | Constant)
        op = OPS[node.op]
        args = [(self._wide if op.kind is Kind.UNITS else self._use)(s, place) for s in node.args]
        form = operators.template(op)
        if form is None:
            self.helpers[op.name] = op
            form = f"{operators.function_name(op)}({', '.join(('{0}', '{1}')[: op.arity])})"
        if not op.symbol:
            return place.join(form, args, [0] * op.arity, CALL)
        return place.join(form, args, [op.binds] if op.arity == 1 else [op.binds - 1, op.binds], op.binds)

    def _outer_terms(self, i: int, place: Place) -> tuple[Code, Extent]:
        """The terms of a bracket that do not wait for the loop, and its bias."""
        node = self.cell.nodes[i]
        assert isinstance(node, Affine)
        outer = [k for k, c in enumerate(node.connections) if self.is_outer[c.source]]
        extent = max(Extent.VECTOR, *(self.extents[node.connections[k].source] for k in outer))
        return self._sum(i, [], outer, node.bias is not None, place), extent

    def _sum(self, i: int, first: list[Code], terms: Sequence[int], bias: bool, place: Place) -> Code:
        """Terms of a bracket and perhaps its bias, after those in `first`."""
        node = self.cell.nodes[i]
        assert isinstance(node, Affine)
        total = first[0] if first else None
        for k in [*terms, *([-1] if bias else [])]:
            term = self._term(i, k, node.connections[k], place) if k >= 0 else self._bias(i)
            total = term if total is None else place.join("{0} + {1}", [total, term], [SUM - 1, SUM], SUM)
        assert total is not None
        return total

    def _bias(self, i: int) -> Code:
        return Code(self.weights.get((i, -1, "bias")) or self.weights[i, -1, "scalar"])

    def _term(self, i: int, k: int, c: Connection, place: Place) -> Code:
        source = self._use(c.source, place)
        needs = [UNARY, PRODUCT]  # parentheses also where Python could do without: (r * h) @ W
        if c.peephole:
            return place.join("{0} * {1}", [source, Code(self.weights[i, k, "peephole"])], needs, PRODUCT)
        same = self.extents[c.source] <= Extent.ONE  # the same number in every unit
        form = "{0} * {1}.sum(0)" if same else "{0} @ {1}"
        if c.structure != "rank":
            return place.join(form, [source, Code(self.weights[i, k, "full"])], needs, PRODUCT)
        down = place.join(form, [source, Code(self.weights[i, k, "down"])], needs, PRODUCT)
        return place.join(
            "{0} @ {1}", [down, Code(self.weights[i, k, "up"])], [PRODUCT - 1, PRODUCT], PRODUCT
        )

    def _wide(self, i: int, place: Place) -> Code:
        """A node as an op over the units reads it."""
        code, units = self._use(i, place), f"{self.names[1]}.shape[-1]"
        if self.extents[i] == Extent.NUMBER:
            return Code(f"{self.names[0]}.new_full(({units},), {code.text})")
        return code if self.extents[i] > Extent.ONE else Code(f"{code.within(UNARY)}.expand({units})")

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
