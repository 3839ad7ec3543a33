"""Pointwise kernels of a plan, as formulas of the op table's arithmetic; no tensors. This module derives the
forward pass, `backward` the backward pass.

A kernel computes each unit independently, or is one op over the units: it loads values from their locations
(`Ref`), computes, and stores. Engines turn kernels into torch calls or into C.

The meaning of a `Ref` at the current step:

    slot j      gathering or kept value j of the tape      dslot j     gradient of a gathering slot
    old s       state s before the step                    dold s      its gradient, for the step before
    new s       state s after the step                     dnew s      its gradient, from the step after
    x           the input, where it has width H            dx          its gradient from outside brackets
    past d      the input d steps ago                      dpast d     its gradient
    below n     state n of the layer below                 dbelow n    its gradient
    tick        1 where the unit's clock ticks, else 0     dnode i     gradient of node i, from later stages
    weight w    a peephole, learned vector or scalar       dvector i   gradient of a learned vector, per step
    dout        gradient of the layer's output             dabove s    gradient of new s from the layer above
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cellsearch.compiler.plan.schedule import Plan, Stage, is_vector
from cellsearch.compiler.run.kept import kept
from cellsearch.dsl.formulas.form import Formula, Number, Variable, add, multiply, substitute, variables
from cellsearch.dsl.formulas.sharing import share
from cellsearch.dsl.nodes import Affine, Apply, Constant, Input
from cellsearch.dsl.ops import OPS


@dataclass(frozen=True, slots=True)
class Ref:
    """The location of a value; see the module's table."""

    kind: str
    index: int = 0
    outer: bool = False  # in the outer part, if it has separate rows; see `input_table`


@dataclass(frozen=True, slots=True)
class Let:
    """variable = formula, over variables and numbers."""

    name: str
    formula: Formula


@dataclass(frozen=True, slots=True)
class Store:
    """A store of a value to `ref`, accumulated with `add`."""

    ref: Ref
    formula: Formula
    add: bool = False


@dataclass(frozen=True)
class Kernel:
    """loads, then lets, then stores. With `units` formulas may call the reductions."""

    loads: tuple[tuple[str, Ref], ...]
    lets: tuple[Let, ...]
    stores: tuple[Store, ...]
    units: bool = False
    kept: dict[Any, Any] = field(init=False, repr=False, compare=False, default_factory=dict)


def kernel(
    loads: Mapping[str, Ref], lets: Iterable[Let], stores: Iterable[Store], *, units: bool = False
) -> Kernel:
    """A kernel with folded constants, shared subexpressions, and no unused loads."""
    stores = tuple(stores)
    shared, results = share(((let.name, let.formula) for let in lets), (store.formula for store in stores))
    read = set().union(*map(variables, results))
    needed: list[Let] = []
    for name, formula in reversed(shared):
        if name in read:
            needed.insert(0, Let(name, formula))
            read |= variables(formula)
    return Kernel(
        tuple((name, ref) for name, ref in loads.items() if name in read),
        tuple(needed),
        tuple(Store(store.ref, result, store.add) for store, result in zip(stores, results, strict=True)),
        units,
    )


@kept
def forward(plan: Plan) -> tuple[tuple[tuple[Kernel, ...], ...], tuple[tuple[Kernel, ...], ...]]:
    """The kernels of every outer and of every inner stage, in the order in which they run."""
    outer = tuple(_forward_stage(plan, stage, inner=False, last=False) for stage in plan.outer)
    final = len(plan.inner) - 1
    inner = tuple(_forward_stage(plan, s, inner=True, last=k == final) for k, s in enumerate(plan.inner))
    if not inner:
        inner = (_forward_stage(plan, Stage((), ()), inner=True, last=True),)
    return outer, inner


def location(plan: Plan, i: int) -> Ref:
    """The location of the value of node i."""
    node, cell = plan.cell.nodes[i], plan.cell
    if isinstance(node, Input):
        if node.kind == "x":
            return Ref("x")
        if node.kind == "state":
            return Ref("old", i - 1)
        if node.kind == "past":
            return Ref("past", int(node.name))
        return Ref("tick") if node.kind == "tick" else Ref("below", i)
    if is_vector(node):
        return Ref("weight", weight_index(plan, i, -1))
    if plan.home[i] >= 0:
        return Ref("slot", plan.home[i])
    return Ref("new", cell.new.index(i))


def gradient(plan: Plan, i: int) -> Ref | None:
    """The location that accumulates the gradient of node i outside its own kernel, or None."""
    node = plan.cell.nodes[i]
    if plan.is_constant[i]:
        return None
    if isinstance(node, Input):
        if node.kind == "past":
            return Ref("dpast", int(node.name))
        where = {"x": Ref("dx"), "state": Ref("dold", i - 1), "below": Ref("dbelow", i)}
        return where.get(node.kind)
    if is_vector(node):
        return Ref("dvector", i)
    return Ref("dslot", plan.slot_of(i)) if isinstance(node, Affine) else Ref("dnode", i)


def references(kernel: Kernel) -> list[Ref]:
    """The refs of a kernel: its loads, then its stores."""
    return [ref for _, ref in kernel.loads] + [s.ref for s in kernel.stores]


@kept
def weight_index(plan: Plan, node: int, term: int) -> int:
    """The index in `plan.cell.weights` of one term of an affine."""
    return next(k for k, w in enumerate(plan.cell.weights) if (w.node, w.term) == (node, term))


class Reader:
    """Collects the loads of a kernel: each value once."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.loads: dict[str, Ref] = {}
        self.lets: list[Let] = []
        self.known: set[int] = set()  # nodes whose variable is computed in this kernel

    def load(self, name: str, ref: Ref) -> Variable:
        self.loads[name] = ref
        return Variable(name)

    def let(self, name: str, formula: Formula) -> Variable:
        self.lets.append(Let(name, formula))
        return Variable(name)

    def value(self, i: int) -> Formula:
        """The variable or number that holds node i."""
        plan, node = self.plan, self.plan.cell.nodes[i]
        if isinstance(node, Constant):
            return Number(node.value)
        if plan.is_constant[i] and i not in self.known:
            self.compute(i)
        if i in self.known or plan.is_constant[i]:
            return Variable(f"v{i}")
        return self.load(f"v{i}", location(plan, i))

    def compute(self, i: int) -> None:
        """Emit the value of node i."""
        plan, node = self.plan, self.plan.cell.nodes[i]
        if isinstance(node, Constant):
            formula: Formula = Number(node.value)
        elif isinstance(node, Apply):
            args = dict(zip("ab", (self.value(s) for s in node.args), strict=False))
            formula = substitute(OPS[node.op].value, args)
        else:
            assert isinstance(node, Affine)
            terms: list[Formula] = [self.load(f"s{i}", Ref("slot", plan.slot_of(i)))]
            for k, c in enumerate(node.connections):
                if c.peephole:
                    weight = self.load(f"p{i}_{k}", Ref("weight", weight_index(plan, i, k)))
                    terms.append(multiply(weight, self.value(c.source)))
            formula = add(*terms)
        self.let(f"v{i}", formula)
        self.known.add(i)


def _units_kernel(plan: Plan, i: int) -> Kernel:
    """An op over the units: one value in, one out."""
    node = plan.cell.nodes[i]
    assert isinstance(node, Apply)
    lets = (Let("y", OPS[node.op].value),)
    stores = (Store(location(plan, i), Variable("y")),)
    return kernel({"a": location(plan, node.args[0])}, lets, stores, units=True)


def _forward_stage(plan: Plan, stage: Stage, *, inner: bool, last: bool) -> tuple[Kernel, ...]:
    reader, cell = Reader(plan), plan.cell
    mine = {*stage.nodes, *stage.units}
    for i in stage.nodes:
        reader.compute(i)
    stores: list[Store] = []
    for i in stage.nodes:
        node = cell.nodes[i]
        slot = plan.home[i]
        bare = isinstance(node, Affine) and not any(c.peephole for c in node.connections)
        kept = _overwritten(plan, i)
        if slot >= 0 and not bare and not kept:
            stores.append(Store(Ref("slot", slot), Variable(f"v{i}")))
    if inner:
        for s, i in enumerate(cell.new):
            if i in mine or (last and (plan.is_outer[i] or isinstance(cell.nodes[i], Input))):
                stores.append(Store(Ref("new", s), reader.value(i)))
    pointwise = kernel(reader.loads, reader.lets, stores)
    return (*(_units_kernel(plan, i) for i in stage.units), pointwise)


def _overwritten(plan: Plan, i: int) -> bool:
    """Whether another node reuses the slot of affine i, so that its own value is not stored."""
    users = plan.cell.users[i]
    return isinstance(plan.cell.nodes[i], Affine) and len(users) == 1 and plan.home[users[0]] == plan.home[i]
