"""The layout of a layer's weights: one flat row per member, so that clipping and the update are a few
kernels.

A row holds, for every product of the plan, its fused matrix [in, count*H]; then the biases of all gathering
slots [A*H]; then, one by one, peepholes, learned vectors and scalars, and the weights of composed matrices
(see `structures`). `named` gives views by the names of the language.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from cellsearch.compiler.plan.schedule import Plan, is_vector
from cellsearch.compiler.run.kept import kept
from cellsearch.dsl.nodes import Affine, Connection
from cellsearch.dsl.weights import Weight


@dataclass(frozen=True, eq=False)  # one for a plan and widths, while it is in use
class Layout:
    """Offsets within the row of one layer at input width D (`width`) and hidden width H."""

    plan: Plan
    width: int
    hidden: int
    products: tuple[int, ...]  # offset of each product's matrix
    bias: int
    alone: tuple[int, ...]  # offset by weight index; -1 if the weight is part of a matrix or the bias
    size: int
    kept: dict[Any, Any] = field(init=False, repr=False, default_factory=dict)  # see `kept`

    @property
    def weights(self) -> tuple[Weight, ...]:
        """All weights, in the order of their names."""
        return self.plan.cell.weights

    def inputs(self, product: int) -> int:
        """The width of a product's source."""
        return self.width if self.plan.products[product].source in self.plan.cell.wide else self.hidden


def layout(plan: Plan, width: int, hidden: int) -> Layout:
    """The layout of a layer's row."""
    known = _layouts(plan)
    found = known.get((width, hidden))
    if found is None:
        found = known[width, hidden] = _layout(plan, width, hidden)
    return found


@kept
def _layouts(plan: Plan) -> WeakValueDictionary[tuple[int, int], Layout]:
    """The layouts of a plan in use, by widths: a layout holds its plan, not the plan its layouts."""
    return WeakValueDictionary()


def _layout(plan: Plan, width: int, hidden: int) -> Layout:
    at = 0
    products = []
    for p in plan.products:
        products.append(at)
        at += (width if p.source in plan.cell.wide else hidden) * p.count * hidden
    bias = at
    at += len(plan.affines) * hidden
    alone = []
    for w in plan.cell.weights:
        apart = w.kind in ("peephole", "scalar") or is_vector(plan.cell.nodes[w.node])
        apart = apart or (w.row is not None and w.row.made)
        alone.append(at if apart else -1)
        at += prod(w.shape(width, hidden)) if apart else 0
    return Layout(plan, width, hidden, tuple(products), bias, tuple(alone), at)


def connection(plan: Plan, weight: Weight) -> Connection | None:
    """The connection that a weight belongs to; None for a bias, a learned vector or scalar."""
    node = plan.cell.nodes[weight.node]
    assert isinstance(node, Affine)
    return None if weight.term < 0 else node.connections[weight.term]


def matrix(lay: Layout, row: Tensor, product: int) -> Tensor:
    """The fused matrix of a product: a view [K, in, count*H] of rows [K, P]."""
    rows, columns = lay.inputs(product), lay.plan.products[product].count * lay.hidden
    start = lay.products[product]
    return row[:, start : start + rows * columns].unflatten(1, (rows, columns))


def block(lay: Layout, row: Tensor, weight: Weight) -> Tensor:
    """The part of a fused matrix that belongs to a full connection: a view [K, in, H]."""
    slot = lay.plan.slot_of(weight.node)
    c = connection(lay.plan, weight)
    assert c is not None
    for k, p in enumerate(lay.plan.products):
        if p.source == c.source and p.first <= slot < p.first + p.count:
            first = (slot - p.first) * lay.hidden
            return matrix(lay, row, k)[:, :, first : first + lay.hidden]
    raise AssertionError(f"no product holds {weight.name}")


def bias(lay: Layout, row: Tensor) -> Tensor:
    """The biases of all gathering slots: a view [K, A*H]."""
    return row[:, lay.bias : lay.bias + len(lay.plan.affines) * lay.hidden]


def vector(lay: Layout, row: Tensor, index: int) -> Tensor:
    """A weight outside fused matrices: a view [K, *its shape] by its index among the weights."""
    shape = lay.weights[index].shape(lay.width, lay.hidden)
    return row[:, lay.alone[index] : lay.alone[index] + prod(shape)].unflatten(1, shape)


def named(lay: Layout, row: Tensor) -> dict[str, Tensor]:
    """All weights by name, views of rows [K, P]: [K, *shape of the weight]."""
    return {w.name: view(lay, row, k) for k, w in enumerate(lay.weights)}


def view(lay: Layout, row: Tensor, index: int) -> Tensor:
    """One weight as a view of rows [K, P], by its index among the weights."""
    if lay.alone[index] >= 0:
        return vector(lay, row, index)
    weight = lay.weights[index]
    if weight.term < 0:
        return bias(lay, row).unflatten(1, (-1, lay.hidden))[:, lay.plan.slot_of(weight.node)]
    return block(lay, row, weight)


def assemble(lay: Layout, parameters: Mapping[str, Tensor]) -> Tensor:
    """One row [1, P] from weights by name, each of the shape of its weight; differentiable."""
    nodes = lay.plan.cell.nodes
    by_term = {(w.node, w.term): parameters[w.name] for w in lay.weights}
    some = next(iter(parameters.values())) if parameters else torch.zeros(0)
    parts: list[Tensor] = [some.new_zeros(0)]
    for k, p in enumerate(lay.plan.products):
        blocks = []
        for i in lay.plan.affines[p.first : p.first + p.count]:
            node = nodes[i]
            assert isinstance(node, Affine)
            term = next(t for t, c in enumerate(node.connections) if c.source == p.source and not c.peephole)
            made = node.connections[term].row.made
            blocks.append(some.new_zeros(lay.inputs(k), lay.hidden) if made else by_term[i, term])
        parts.append(torch.cat(blocks, dim=1).reshape(-1))
    parts += [by_term.get((i, -1), some.new_zeros(lay.hidden)) for i in lay.plan.affines]
    parts += [parameters[w.name].reshape(-1) for k, w in enumerate(lay.weights) if lay.alone[k] >= 0]
    return torch.cat(parts)[None]
