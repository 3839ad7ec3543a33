"""One layer of a cell as Python code: the statements of its loop over time, one for each equation.

State-independent values are computed for all steps at once, before the loop: whole equations (`z =
sigmoid[x]`), and parts of others with a matrix (`i_in = x @ self.i.x + self.i.bias`). Values read by
`before(...)` are carried from step to step like states.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from cellsearch.compiler.plan.delays import lower
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.initial import Drawn, parts
from cellsearch.dsl.nodes import Affine, Before, Input, sources
from cellsearch.dsl.ops import OPS, Op
from cellsearch.dsl.parts import equations, name_of
from cellsearch.dsl.printer import equation
from cellsearch.dsl.structures import TABLE, Structure
from cellsearch.dsl.weights import Weight, bracket_names, spelled, weights
from cellsearch.exporters.names import MAX_LOCAL, Locals, is_plain, is_taken, parameter, submodule
from cellsearch.exporters.torch import layout, operators, structures
from cellsearch.exporters.torch.expressions import ATOM, Extent, Place, at_step
from cellsearch.exporters.torch.values import Values

#: Reserved names in the code of a layer.
_RESERVED = frozenset(
    "self torch nn Tensor len range getattr t _ outputs start steps earlier past seen".split()
)
_TICK = Input("tick", "tick")


@dataclass(frozen=True)
class LayerCode:
    """Arguments, statements and results of a layer's forward method."""

    input: str  # the variable of x
    states: tuple[str, ...]
    below: tuple[tuple[str, str], ...]  # states of the layer below, and their variables
    ticks: bool  # whether it needs the number of the first step, `start`
    periods: str  # the buffer with the clock period of each unit; "" where none is read
    earlier: str  # the list of what is looked back at after the last step, as `Recurrent` carries it
    carried: int  # how many values of the hidden width are in it
    past: int  # how many earlier values of x stand at its end
    before: tuple[str, ...]  # lines before the loop
    inside: tuple[str, ...]  # lines of the loop
    kept: tuple[tuple[str, str], ...]  # states that the layer above reads, and the list of their values
    helpers: tuple[Op, ...]  # ops that need a function of their own
    matrices: tuple[Structure, ...]  # structures that its matrices have

    @property
    def looks(self) -> int:
        """How many tensors what is looked back at is made of."""
        return self.carried + (self.past > 0)


def layer_code(cell: Cell) -> LayerCode:
    """The code of one layer of `cell`. Raises CellError if two weights would share a name."""
    return _Writer(cell).code()


@dataclass(frozen=True, slots=True)
class _Chain:
    """Values that one value had at earlier steps, the last one first: a variable, or a list of several."""

    name: str
    first: int  # the state of the lowered cell that holds the last one
    depth: int


class _Writer:
    """Writes the lines of one layer, equation by equation."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.before: list[str] = []
        self.inside: list[str] = []
        self.locals = Locals(
            _RESERVED | structures.NAMES | {operators.function_name(op) for op in OPS.values()}
        )
        self.values = Values(cell, self.locals)
        self.periods = Locals(bracket_names(cell).values()).fresh("periods")
        self.lowered = lower(cell)
        self._clock()
        self.chains = self._look_back()
        self._bind_weights()

    def code(self) -> LayerCode:
        """All lines of the layer."""
        cell, values = self.cell, self.values
        first = len(self.before)
        new = self._equations()
        carry = self._carry()
        if len(self.before) > first:
            self.before.insert(first, "        # What does not wait for the loop, for all steps at once:")
        self.inside.append(f"            outputs.append({self._whole(cell.output)})")
        below = [node for node in cell.nodes if isinstance(node, Input) and node.kind == "below"]
        kept = []
        for state, value in zip(cell.states, new, strict=True):
            if Input("below", state.name) in below:
                kept.append((state.name, self.locals.fresh(f"{state.name}_steps")))
                self.inside.append(f"            {kept[-1][1]}.append({value})")
        states = tuple(values.names[1 + k] for k in range(len(cell.states)))
        # The states come last: what is carried reads their old values.
        self.inside += [*carry, *layout.parallel(12, states, new)]
        return LayerCode(
            input=values.names[0],
            states=states,
            below=tuple((node.name, values.names[cell.nodes.index(node)]) for node in below),
            ticks=_TICK in cell.nodes,
            periods=self.periods if any(f"self.{self.periods}" in line for line in self.before) else "",
            earlier=self._looked_back(),
            carried=sum(chain.depth for chain in self.chains),
            past=self.lowered.past,
            before=tuple(self.before),
            inside=tuple(self.inside),
            kept=tuple(kept),
            helpers=tuple(sorted(values.helpers.values(), key=list(OPS.values()).index)),
            matrices=tuple(row for row in TABLE if any(w.row is row for w in weights(cell))),
        )

    # ---- what stands first: the clock, what is looked back at, weights that an expression cannot name

    def _clock(self) -> None:
        x, cell = self.values.names[0], self.cell
        if _TICK in cell.nodes:
            tick = self.values.names[cell.nodes.index(_TICK)]
            self.before += [
                f"        steps = start + torch.arange({x}.shape[0], device={x}.device)[:, None]  # [T, B]",
                f"        {tick} = (steps[:, :, None] % self.{self.periods} == 0).to({x}.dtype)  # [T, B, H]",
            ]

    def _look_back(self) -> list[_Chain]:
        """Variables for what `before(...)` looks at: values of earlier steps, which the loop carries, in
        the order of `lower`; and slices of x, which need no loop."""
        lowered, own, x = self.lowered, len(self.cell.states), self.values.names[0]
        chains: list[_Chain] = []
        at: dict[int, str] = {}  # state of the lowered cell -> how it is read
        for first, depth in _runs(lowered.new, own, len(lowered.states)):
            name = self.locals.fresh(f"before_{self._label(lowered.new[first])[: MAX_LOCAL - 12]}")
            chains.append(_Chain(name, first, depth))
            start = first - own
            taken = f"earlier[{start}]" if depth == 1 else f"earlier[{start or ''}:{start + depth}]"
            self.before.append(f"        {name} = {taken}")
            at |= {first + d: name if depth == 1 else f"{name}[{d}]" for d in range(depth)}
        if lowered.past:
            self.before += [
                f"        seen = torch.cat((earlier[-1], {x}))  # [{lowered.past} + T, B, D]",
                f"        past = seen[-{lowered.past}:]",
            ]
        for i, node in enumerate(self.cell.nodes):
            there = lowered.nodes[lowered.at[i]]
            if isinstance(node, Before) and isinstance(there, Input) and there.kind == "past":
                steps = int(there.name)
                name = self.locals.fresh(f"before_{x[: MAX_LOCAL - 12]}{f'_{steps}' if steps > 1 else ''}")
                self.before.append(f"        {name} = seen[{lowered.past - steps or ''}:-{steps}]")
                self.values.earlier[i] = name
            elif isinstance(node, Before):
                self.values.earlier[i] = at[lowered.at[i] - 1]
        return chains

    def _looked_back(self) -> str:
        """The list of all values that are carried to be looked back at."""
        single = {chain.name for chain in self.chains if chain.depth == 1} | {"past"}
        names = [*(chain.name for chain in self.chains), *(["past"] if self.lowered.past else [])]
        runs = groupby(names, key=lambda name: name in single)
        return " + ".join(f"[{', '.join(run)}]" if one else " + ".join(run) for one, run in runs)

    def _label(self, there: int) -> str:
        """What a node of the lowered cell is called; "value" where it has no name."""
        of = {node: i for i, node in reversed(list(enumerate(self.lowered.at)))}
        name = name_of(self.cell, of[there]) or "value"
        return spelled(name).replace("(", "_").replace(")", "")

    def _bind_weights(self) -> None:
        """How each weight is reached; a matrix that is made of weights gets a variable."""
        owners: dict[str, str] = {}
        found: list[str] = []  # of one connection
        for node in self.cell.nodes:  # what first values need
            drawn = parts(node.bias) if isinstance(node, Affine) and node.bias is not None else ()
            ops = [OPS[p.name] for p in drawn if isinstance(p, Drawn) and p.name in OPS]
            self.values.helpers |= {op.name: op for op in ops if operators.template(op) is None}
        for w in weights(self.cell):
            bracket, _, weight = w.name.partition(".")
            if bracket not in owners:
                owners[bracket] = submodule("self", bracket)
                if not is_plain(bracket) or is_taken(bracket) or len(owners[bracket]) > MAX_LOCAL:
                    owner = self.locals.fresh(f"{bracket[:8].strip('_')}_weights")
                    self.before.append(f"        {owner} = {owners[bracket]}")
                    owners[bracket] = owner
            found.append(parameter(owners[bracket], weight))
            if w.row is not None and w.place < len(w.row.pieces) - 1:
                continue
            values = self._factors(w, found)
            for k, text in enumerate(values):
                own = f"{w.connection}{w.row.suffix(k)}" if w.row and len(values) > 1 else w.name
                short = is_plain(weight) and not is_taken(weight)
                if text not in found or not short or len(text) > ATOM:
                    values[k] = self._variable(bracket, own.partition(".")[2], text)
            self.values.weights[w.node, w.term] = values
            found = []

    def _variable(self, bracket: str, weight: str, value: str) -> str:
        """A variable for a weight, assigned before the loop."""
        room = max(3, layout.LINE - len(f"        1234 = {value}"))
        name = self.locals.fresh(f"{bracket[:10].strip('_')}_{weight[:12].strip('_')}"[:room])
        self.before.append(f"        {name} = {value}")
        return name

    def _factors(self, weight: Weight, texts: list[str]) -> list[str]:
        """The matrices that a connection is, or its one weight."""
        node = self.cell.nodes[weight.node]
        assert isinstance(node, Affine)
        if weight.row is None:
            return list(texts)
        x, h = self.values.names[0], self.values.names[1]
        sizes = {"rows": f"{x if weight.from_x else h}.shape[-1]", "units": f"{h}.shape[-1]"}
        sizes["periods"] = f"self.{self.periods}"
        return structures.factors(node.connections[weight.term], texts, sizes)

    # ---- the equations

    def _equations(self) -> list[str]:
        """Writes all equations; the new value of each state, as the end of a step reads it."""
        cell, values = self.cell, self.values
        second: dict[str, str] = {}
        for label, index in equations(cell):
            if cell.labels[index] == label:
                self._equation(values.names[index], index, f"{label} = {equation(cell, index)}")
            else:  # a second name for a value, as in h' = c'
                second[label] = self.locals.fresh(spelled(label))
                self.inside += layout.comment(12, f"{label} = {name_of(cell, index)}")
                self.inside.append(f"            {second[label]} = {self._whole(index)}")
        return [
            second.get(f"{state.name}'") or self._whole(index)
            for state, index in zip(cell.states, cell.new, strict=True)
        ]

    def _carry(self) -> list[str]:
        """The lines at the end of a step that move what is carried by one step."""
        of = {node: i for i, node in reversed(list(enumerate(self.lowered.at)))}
        lines: list[str] = []
        for chain in reversed(self.chains):  # one may read what an earlier one held before
            source = of[self.lowered.new[chain.first]]
            if source not in self.values.names and source not in self.values.earlier:
                name = self.locals.fresh(f"new_{chain.name}")
                self._equation(name, source, equation(self.cell, source))
                self.values.names[source] = name
            value = self._whole(source)
            if chain.depth > 1:  # torch.jit.script has no [a, *b]
                value = f"[{value}] + {chain.name}[:-1]"
            lines.append(f"            {chain.name} = {value}")
        return lines

    def _equation(self, name: str, index: int, text: str) -> None:
        """The statements for the equation `text`, whose value is node `index`."""
        values = self.values
        if self._is_folded(index):
            self.before += layout.comment(8, text)
        elif values.is_outer[index]:
            self._assign(False, name, index, text)
        else:
            self._parts(name, index)
            self._assign(True, name, index, text)

    def _parts(self, name: str, index: int) -> None:
        """What of an equation in the loop can be computed before it."""
        parts = self._find_parts(index)
        base = f"{name.removesuffix('_new')}_in"
        for k, part in enumerate(parts, 1):
            variable = self.locals.fresh(base if len(parts) == 1 else f"{base}_{k}")
            place = Place(False, variable, self.locals, [])
            if self.values.is_outer[part]:
                code = self.values.body(part, place)
                self.values.parts[part] = variable
            else:
                node = self.cell.nodes[part]
                assert isinstance(node, Affine)
                outer = [k for k, c in enumerate(node.connections) if self.values.is_outer[c.source]]
                code = self.values.sum(part, outer, place)
                extent = max(self.values.extents[node.connections[k].source] for k in outer)
                self.values.terms[part] = at_step(variable, extent)
            self.before += [*place.lines, f"        {variable} = {code.text}"]

    def _find_parts(self, root: int) -> list[int]:
        """Nodes without a name that own a matrix and do not depend on a state, and brackets with such
        terms; in the order of the text."""
        found, stack = [], [root]
        while stack:
            i = stack.pop()
            if i != root and i in self.values.names:
                continue
            if self.values.is_outer[i]:
                if self._owns(i):
                    found.append(i)
                continue
            inside = list(self.values.inside(i))
            if isinstance(self.cell.nodes[i], Affine):
                inner = [s for s in inside if not self.values.is_outer[s]]
                if len(inner) < len(inside):
                    found.append(i)
                inside = inner
            stack.extend(reversed(inside))
        return found

    def _owns(self, root: int) -> bool:
        """Whether a bracket with connections stands in the expression of a node."""
        stack = [root]
        while stack:
            i = stack.pop()
            if isinstance(self.cell.nodes[i], Affine) and sources(self.cell.nodes[i]):
                return True
            stack.extend(s for s in self.values.inside(i) if s not in self.values.names)
        return False

    def _is_folded(self, i: int) -> bool:
        """Whether a number is a part of other numbers alone, which are written as their values."""
        ends = i in self.cell.new or i == self.cell.output
        return not ends and all(self.values.extents[j] == Extent.NUMBER for j in (i, *self.cell.users[i]))

    # ---- statements

    def _assign(self, in_loop: bool, name: str, index: int, text: str) -> None:
        """A statement under the equation `text`, unless both read alike."""
        place = Place(in_loop, name, self.locals, [])
        line = f"{name} = {self.values.body(index, place).text}"
        lines = self.inside if in_loop else self.before
        if place.lines or line != text:
            lines += layout.comment(place.indent, text)
        lines += [*place.lines, f"{' ' * place.indent}{line}"]

    def _whole(self, index: int) -> str:
        """A named node at the shape of a state, in the loop."""
        return self.values.whole(index, Place(True, "", self.locals, [])).text


def _runs(new: Sequence[int], first: int, end: int) -> list[tuple[int, int]]:
    """The chains among the states first ... end of a lowered cell: where each starts, and how long it is.
    A state whose new value is the state before it stands behind that one (node k + 1 is state k)."""
    found: list[tuple[int, int]] = []
    for k in range(first, end):
        if found and new[k] == k:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((k, 1))
    return found
