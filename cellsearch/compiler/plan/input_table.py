"""Data passed between the outer part of a plan and its loop if the inputs are rows of a table.

The outer part depends only on the input, so steps with the same symbol compute the same values. With a table
of V rows for T*B steps it is computed once for each row, not for each step: forward the loop copies its
inputs from the row of its symbol; backward the row of a symbol sums the gradients of its steps, and the outer
part, which is linear in them, runs on the sums. A text of 50 symbols in windows of 700 steps needs a
fourteenth of these products.

`copied` and `summed` list these values for a plan; no tensors.
"""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass

from cellsearch.compiler.plan import kernels
from cellsearch.compiler.plan.backward import backward_kernels
from cellsearch.compiler.plan.kernels import Kernel, Ref
from cellsearch.compiler.plan.schedule import Plan, Product
from cellsearch.compiler.run.kept import kept
from cellsearch.dsl.nodes import Affine

Run = tuple[int, int]  # first slot and count of neighbours

#: Refs that differ between steps although they depend on no state of the layer.
_PER_STEP = {"past", "dpast", "below", "dbelow", "tick"}


@dataclass(frozen=True)
class Copied:
    """The outer values that the loop reads."""

    slots: tuple[Run, ...]
    x: bool  # the input itself


@dataclass(frozen=True)
class Summed:
    """The gradients that the loop leaves to the outer part."""

    slots: tuple[Run, ...]  # of gathering slots
    others: tuple[Ref, ...]  # of outer nodes, learned vectors and the input
    outer: frozenset[Ref]  # gradients that are then complete in the outer part, slot by slot


@kept
def separable(plan: Plan) -> bool:
    """Whether the outer part depends only on the symbol."""
    refs = _refs(kernels.forward(plan)[0]) | _refs(backward_kernels(plan).outer)
    refs |= {kernels.location(plan, p.source) for p in _outer_products(plan)}
    return not plan.cell.past and not any(ref.kind in _PER_STEP for ref in refs)


@kept
def copied(plan: Plan) -> Copied:
    """The values that the loop reads in either direction, for any reads of the layer above."""
    inner, every = kernels.forward(plan)[1], frozenset(range(len(plan.cell.states)))
    read = _refs(inner) | _refs(backward_kernels(plan, every).inner) | _step_by_step(plan)
    return Copied(_runs(_slots(read) & filled(plan)), Ref("x") in read)


@kept
def copied_in_c(plan: Plan) -> tuple[Run, ...]:
    """The slots of `copied` except those read only by kernels: in C a kernel reads the row of the symbol."""
    written = {store.ref for group in kernels.forward(plan)[1] for kernel in group for store in kernel.stores}
    every = {slot for first, count in copied(plan).slots for slot in range(first, first + count)}
    return _runs(every & _slots(_step_by_step(plan) | written))


def _step_by_step(plan: Plan) -> set[Ref]:
    """The values of every step that are read not only by kernels: the output, slots and sources of products,
    values read by the gradient of a peephole."""
    read = {kernels.location(plan, plan.cell.output)}
    read |= {Ref("slot", slot) for stage in plan.inner for p in stage.products for slot in p.slots}
    read |= {kernels.location(plan, p.source) for stage in plan.inner for p in stage.products}
    for i, node in enumerate(plan.cell.nodes):
        if isinstance(node, Affine) and not plan.is_outer[i]:
            read |= {kernels.location(plan, c.source) for c in node.connections if c.peephole}
    return read


def _slots(refs: Iterable[Ref]) -> set[int]:
    return {ref.index for ref in refs if ref.kind == "slot"}


@kept
def summed(plan: Plan, above: frozenset[int]) -> Summed:
    """The gradients left by the loop; `above` are the states that the layer above reads."""
    back = backward_kernels(plan, above)
    left = {store.ref for group in back.inner for kernel in group for store in kernel.stores}
    wanted = {ref for ref in _refs(back.outer) if ref.kind in ("dslot", "dnode", "dvector")} | {Ref("dx")}
    for p in _outer_products(plan):
        wanted |= {Ref("dslot", slot) for slot in p.slots}
        target = kernels.gradient(plan, p.source)
        wanted |= {target} if target else set()
    both = left & wanted
    others = sorted((r for r in both if r.kind != "dslot"), key=lambda r: (r.kind, r.index))
    slots = _runs(ref.index for ref in both if ref.kind == "dslot")
    return Summed(slots, tuple(others), frozenset(wanted))


@kept
def filled(plan: Plan) -> frozenset[int]:
    """The slots that the outer part computes or initialises."""
    found = {ref.index for ref in _refs(kernels.forward(plan)[0]) if ref.kind == "slot"}
    found |= {slot for p in _outer_products(plan) for slot in p.slots}
    return frozenset(found | {slot for slot, i in enumerate(plan.affines) if plan.is_outer[i]})


def parted(plan: Plan, outer: Set[Ref]) -> tuple[tuple[Run, ...], tuple[Run, ...]]:
    """The gathering slots whose gradients are among `outer`, and the others."""
    inside = {ref.index for ref in outer if ref.kind == "dslot"}
    return _runs(inside), _runs(set(range(len(plan.affines))) - inside)


def _outer_products(plan: Plan) -> list[Product]:
    return [p for stage in plan.outer for p in stage.products]


def _refs(groups: Iterable[Sequence[Kernel]]) -> set[Ref]:
    return {ref for group in groups for kernel in group for ref in kernels.references(kernel)}


def _runs(slots: Iterable[int]) -> tuple[Run, ...]:
    found: list[Run] = []
    for slot in sorted(slots):
        if found and slot == sum(found[-1]):
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((slot, 1))
    return tuple(found)
