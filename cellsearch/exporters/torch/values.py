"""How the code of a layer spells the values of a cell's nodes.

In: a cell. Out: an expression for each node where another one reads it, before the loop over time or in it. A
node has a variable if it is an input or a named equation; others stand where they are used, except the parts
that `layer_source` computes before the loop.
"""

from collections.abc import Sequence

from cellsearch.dsl.formulas.evaluate import fold
from cellsearch.dsl.formulas.form import Number, substitute
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.nodes import Affine, Apply, Before, Connection, Constant, Input, input_wide, sources
from cellsearch.dsl.ops import CALL, OPS, PRODUCT, SUM, UNARY, Kind, Op
from cellsearch.dsl.weights import spelled
from cellsearch.exporters.names import Locals
from cellsearch.exporters.torch import operators
from cellsearch.exporters.torch.expressions import Code, Extent, Place, at_step, literal


class Values:
    """The values of one cell. `weights`, `parts`, `terms` and `earlier` are filled in by the writer of the
    layer, before it asks for an expression that needs them."""

    def __init__(self, cell: Cell, free: Locals) -> None:
        self.cell = cell
        self.wide = input_wide(cell.nodes)
        self.extents = self._extents()
        self.is_outer = [extent < Extent.STEP for extent in self.extents]
        self.names = self._names(free)
        self.weights: dict[tuple[int, int], list[str]] = {}  # node, term -> how its weights are reached
        self.parts: dict[int, str] = {}  # node without a name -> variable that holds it for all steps
        self.terms: dict[int, Code] = {}  # bracket -> its terms that were computed before the loop, in it
        self.earlier: dict[int, str] = {}  # Before node -> variable of what it looks back at
        self.helpers: dict[str, Op] = {}

    def _extents(self) -> list[Extent]:
        found: list[Extent] = []
        for i, node in enumerate(self.cell.nodes):
            extent = max((found[s] for s in sources(node)), default=Extent.NUMBER)
            match node:
                case Input("state"):
                    extent = Extent.STEP
                case Input():
                    extent = Extent.SEQUENCE
                case Before():
                    extent = Extent.SEQUENCE if i in self.wide else Extent.STEP
                case Affine(scalar=scalar):
                    extent = max(extent, Extent.ONE if scalar else Extent.VECTOR)
                case Apply(op) if OPS[op].kind is Kind.UNITS:
                    extent = max(extent, Extent.VECTOR)
            found.append(extent)
        return found

    def _names(self, free: Locals) -> dict[int, str]:
        found: dict[int, str] = {}
        for i, node in enumerate(self.cell.nodes):
            if isinstance(node, Input):
                found[i] = free.fresh(f"below_{node.name}" if node.kind == "below" else node.name)
        for i, label in enumerate(self.cell.labels):
            if label:
                found[i] = free.fresh(spelled(label))
        return found

    def inside(self, i: int) -> tuple[int, ...]:
        """The nodes that stand in the expression of a node: those that it reads at this step."""
        return () if isinstance(self.cell.nodes[i], Before) else sources(self.cell.nodes[i])

    # ---- expressions

    def use(self, i: int, place: Place) -> Code:
        """A node where another one reads it."""
        name = self.names.get(i) or self.earlier.get(i)
        if name is None and place.in_loop:
            name = self.parts.get(i)
        if name is None:
            return self.body(i, place)
        return at_step(name, self.extents[i]) if place.in_loop else Code(name)

    def whole(self, i: int, place: Place) -> Code:
        """A node in the loop, at the shape of a state [B, H]."""
        code, like = self.use(i, place), self.names[1]
        if self.extents[i] == Extent.NUMBER:
            return Code(f"torch.full_like({like}, {code.text})")
        return code if self.extents[i] >= Extent.SEQUENCE else Code(f"{code.within(UNARY)}.expand_as({like})")

    def body(self, i: int, place: Place) -> Code:
        """The expression of a node."""
        node = self.cell.nodes[i]
        if self.extents[i] == Extent.NUMBER:
            return literal(self._number(i))
        if isinstance(node, Before):
            return at_step(self.earlier[i], self.extents[i]) if place.in_loop else Code(self.earlier[i])
        if isinstance(node, Affine):
            if i not in self.terms:
                return self.sum(i, range(len(node.connections)), place)
            inner = [k for k, c in enumerate(node.connections) if not self.is_outer[c.source]]
            return self.sum(i, inner, place, self.terms[i])
        assert isinstance(node, Apply)
        op = OPS[node.op]
        form = operators.template(op)
        read = self._row if op.kind is Kind.UNITS else self.use if form else self._tensor
        args = [read(s, place) for s in node.args]
        if form is None:
            self.helpers[op.name] = op
        needs = [0] * op.arity
        if op.symbol:
            needs = [op.binds] if op.arity == 1 else [op.binds - 1, op.binds]
        return place.join(operators.call(op), args, needs, op.binds if op.symbol else CALL)

    def sum(self, i: int, terms: Sequence[int], place: Place, first: Code | None = None) -> Code:
        """Terms of a bracket: after `first`, or with its bias behind them."""
        node = self.cell.nodes[i]
        assert isinstance(node, Affine)
        total = first
        for k in terms:
            term = self._term(i, k, node.connections[k], place)
            total = term if total is None else place.join("{0} + {1}", [total, term], [SUM - 1, SUM], SUM)
        if first is None and node.bias is not None:
            bias = Code(self.weights[i, -1][0])
            total = bias if total is None else place.join("{0} + {1}", [total, bias], [SUM - 1, SUM], SUM)
        assert total is not None
        return total

    def _term(self, i: int, k: int, c: Connection, place: Place) -> Code:
        source = self.use(c.source, place)
        needs = [UNARY, PRODUCT]  # parentheses also where Python could do without: (r * h) @ W
        if c.peephole:
            return place.join("{0} * {1}", [source, Code(self.weights[i, k][0])], needs, PRODUCT)
        same = self.extents[c.source] <= Extent.ONE  # the same number in every unit
        form = "{0} * {1}.sum(0)" if same else "{0} @ {1}"
        for factor in self.weights[i, k]:
            source = place.join(form, [source, Code(factor)], needs, PRODUCT)
            form = "{0} @ {1}"
        return source

    def _row(self, i: int, place: Place) -> Code:
        """A node as an op over the units reads it: with an axis of H units."""
        code, units = self.use(i, place), f"{self.names[1]}.shape[-1]"
        if self.extents[i] == Extent.NUMBER:
            return Code(f"{self.names[0]}.new_full(({units},), {code.text})")
        return code if self.extents[i] > Extent.ONE else Code(f"{code.within(UNARY)}.expand({units})")

    def _tensor(self, i: int, place: Place) -> Code:
        """A node as a function of its own reads it, which takes tensors alone."""
        code = self.use(i, place)
        return (
            Code(f"{self.names[0]}.new_full((), {code.text})") if self.extents[i] == Extent.NUMBER else code
        )

    def _number(self, i: int) -> float:
        """The value of a node that is made of numbers alone."""
        match self.cell.nodes[i]:
            case Constant(value):
                return value
            case Apply(op, args):
                numbers = {name: Number(self._number(a)) for name, a in zip("ab", args, strict=False)}
                folded = fold(substitute(OPS[op].value, numbers))
                assert isinstance(folded, Number)
                return folded.value
        raise AssertionError(f"node {i} is no number")
