"""The pointwise kernels of the backward pass, derived from the derivatives in the op table; no tensors.

Values read by a derivative are loaded from the tape, so the plan keeps exactly these.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cellsearch.compiler.plan.kernels import Kernel, Reader, Ref, Store, gradient, kernel, weight_index
from cellsearch.compiler.plan.schedule import Plan, Stage
from cellsearch.compiler.run.kept import kept
from cellsearch.dsl.formulas.form import Formula, Variable, add, multiply, substitute, variables
from cellsearch.dsl.nodes import Affine, Apply, Input
from cellsearch.dsl.ops import OPS


@dataclass(frozen=True)
class Backward:
    """The backward pass of one step: for every stage its kernels, in the order in which they run; the
    gradients that get a value; and for every product whether its gradient is added to the result of earlier
    kernels and products (else it is stored)."""

    inner: tuple[tuple[Kernel, ...], ...]  # by stage index; run from the last to the first
    outer: tuple[tuple[Kernel, ...], ...]
    adds: dict[int, bool]  # index of the product in plan.products -> add
    written: frozenset[Ref]


@kept
def backward_kernels(plan: Plan, above: frozenset[int] = frozenset()) -> Backward:
    """The kernels of the backward pass, derived from the op table. `above` are the states whose new values
    the layer above reads through below(...), so they have a gradient from there."""
    writer = _Writer(plan, above)
    inner_stages = plan.inner or (Stage((), ()),)
    inner = [
        writer.stage(inner_stages[k], True, last=k == len(inner_stages) - 1) for k in _down(inner_stages)
    ]
    outer = [writer.stage(plan.outer[k], False, last=False) for k in _down(plan.outer)]
    return Backward(tuple(reversed(inner)), tuple(reversed(outer)), writer.adds, frozenset(writer.written))


def _down(stages: Sequence[Stage]) -> range:
    return range(len(stages) - 1, -1, -1)


class _Writer:
    """Derives the backward kernels stage by stage, in the order in which they run, and tracks written
    gradients."""

    def __init__(self, plan: Plan, above: frozenset[int]) -> None:
        self.plan, self.above = plan, above
        self.written: set[Ref] = set()
        self.adds: dict[int, bool] = {}

    def stage(self, stage: Stage, inner: bool, *, last: bool) -> tuple[Kernel, ...]:
        plan, cell = self.plan, self.plan.cell
        reader = Reader(plan)  # reads only kept values
        mine = {*stage.nodes, *stage.units}
        gathered: dict[int, list[Formula]] = {}  # node -> gradients that reach it
        if inner:
            self.receive(reader, mine, last, gathered)
        for i in reversed(stage.nodes):
            ref = gradient(plan, i)
            if ref is None:
                continue
            if ref in self.written:
                gathered.setdefault(i, []).append(reader.load(f"e{i}", ref))
            reader.let(f"g{i}", add(*gathered.pop(i)))
            self.pass_on(reader, i, gathered)
            if isinstance(cell.nodes[i], Affine):
                gathered[-1 - i] = [Variable(f"g{i}")]  # stored below, under a separate key
        found = [kernel(reader.loads, reader.lets, self.stores(gathered))]
        for i in reversed(stage.units):
            reader, gathered = Reader(plan), {}
            reader.let(f"g{i}", reader.load(f"e{i}", Ref("dnode", i)))
            self.pass_on(reader, i, gathered)
            found.append(kernel(reader.loads, reader.lets, self.stores(gathered), units=True))
        for p in reversed(stage.products):
            target = gradient(self.plan, p.source)
            if target is not None:
                self.adds[plan.index[p]] = target in self.written
                self.written.add(target)
        return tuple(found)

    def stores(self, gathered: dict[int, list[Formula]]) -> tuple[Store, ...]:
        """Stores remaining gradients to their gathering places."""
        stores = []
        for key, parts in gathered.items():
            ref = gradient(self.plan, -1 - key if key < 0 else key)
            if ref is None:
                continue
            stores.append(Store(ref, add(*parts), add=key >= 0 and ref in self.written))
            self.written.add(ref)
        return tuple(stores)

    def receive(self, reader: Reader, mine: set[int], last: bool, gathered: dict[int, list[Formula]]) -> None:
        """The gradients of new values and of the output from outside the step."""
        plan, cell = self.plan, self.plan.cell

        def here(i: int) -> bool:
            return i in mine or (last and (plan.is_outer[i] or isinstance(cell.nodes[i], Input)))

        for s, i in enumerate(cell.new):
            if here(i) and not plan.is_constant[i]:
                gathered.setdefault(i, []).append(reader.load(f"n{s}", Ref("dnew", s)))
                if s in self.above:
                    gathered[i].append(reader.load(f"u{s}", Ref("dabove", s)))
        if here(cell.output) and not plan.is_constant[cell.output]:
            gathered.setdefault(cell.output, []).append(reader.load("o", Ref("dout")))

    def pass_on(self, reader: Reader, i: int, gathered: dict[int, list[Formula]]) -> None:
        """Propagate the gradient of node i to its arguments by the derivatives of the table."""
        cell = self.plan.cell
        node = cell.nodes[i]
        if isinstance(node, Affine):
            for k, c in enumerate(node.connections):
                if c.peephole and gradient(self.plan, c.source) is not None:
                    weight = reader.load(f"p{i}_{k}", Ref("weight", weight_index(self.plan, i, k)))
                    gathered.setdefault(c.source, []).append(multiply(Variable(f"g{i}"), weight))
            return
        assert isinstance(node, Apply)
        op = OPS[node.op]
        for k, (s, derivative) in enumerate(zip(node.args, op.gradients, strict=True)):
            if gradient(self.plan, s) is None:
                continue
            values: dict[str, Formula] = {"g": Variable(f"g{i}")}
            for name in sorted(variables(derivative) - {"g"}):
                values[name] = reader.value(i if name == "y" else node.args["ab".index(name)])
            gathered.setdefault(s, []).append(reader.let(f"d{i}_{k}", substitute(derivative, values)))
