"""Gradients of weights outside matrices: peepholes, learned vectors and scalars."""

from torch import Tensor

from cellsearch.compiler.plan import kernels
from cellsearch.compiler.plan.input_table import summed
from cellsearch.compiler.plan.kernels import Ref
from cellsearch.compiler.plan.schedule import is_vector
from cellsearch.compiler.run.buffers import Buffers
from cellsearch.compiler.run.layout import vector
from cellsearch.compiler.run.order import some
from cellsearch.dsl.nodes import Affine


def apart(where: Buffers, above: frozenset[int]) -> frozenset[Ref]:
    """The gradients in the outer part, if it has separate rows."""
    return frozenset() if where.outer is where else summed(where.lay.plan, above).outer


def vector_gradients(where: Buffers, above: frozenset[int], d_row: Tensor) -> None:
    """The gradients of all weights outside matrices."""
    lay, plan, summed_there = where.lay, where.lay.plan, apart(where, above)
    found: list[tuple[int, Tensor, Tensor | None]] = []  # weights, and the factors of their gradients
    for k, w in enumerate(lay.weights):
        if w.kind not in ("peephole", "scalar") and not is_vector(plan.cell.nodes[w.node]):
            continue
        node = plan.cell.nodes[w.node]
        assert isinstance(node, Affine)
        if w.kind == "peephole":
            here = where.outer if plan.is_outer[w.node] else where
            value = here.whole(kernels.location(plan, node.connections[w.term].source))
            found.append((k, here.d_slots(plan.slot_of(w.node), 1), value))
        else:
            ref = Ref("dvector", w.node)
            found.append((k, (where.outer if ref in summed_there else where).whole(ref), None))

    def sum_up(members: slice) -> None:
        for k, d, value in found:
            gradient = some(d, members) if value is None else some(d, members) * some(value, members)
            gradient = gradient.sum((1, 2))
            gradient = gradient.sum(-1, keepdim=True) if lay.weights[k].kind == "scalar" else gradient
            vector(lay, d_row[members], k).copy_(gradient)

    if found:
        where.order.work(sum_up)
