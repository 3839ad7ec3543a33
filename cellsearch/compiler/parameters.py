"""Where the weights of a layer lie: one flat row for each member, so that clipping and the update are a few
kernels.

A row holds, for every product of the plan, its fused matrix [in, count*H]; then the biases of all gathering
slots [A*H]; then peepholes, learned vectors and scalars. `named` gives views by the names of the language.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from cellsearch.compiler.plan import Plan, is_vector
from cellsearch.dsl.graph import Affine
from cellsearch.dsl.weights import Weight, unit_periods, weights


@dataclass(frozen=True, eq=False)  # one layout per plan and widths: `layout` keeps them
class Layout:
    """Offsets within the row of one layer at input width D (`width`) and hidden width H."""

    plan: Plan
    width: int
    hidden: int
    products: tuple[int, ...]  # offset of each product's matrix
    bias: int
    vectors: tuple[int, ...]  # offset by weight index; -1 where the weight is part of a matrix or the bias
    size: int

    def inputs(self, product: int) -> int:
        """The width of a product's source."""
        return self.width if self.plan.products[product].source == 0 else self.hidden


@lru_cache(maxsize=4096)
def layout(plan: Plan, width: int, hidden: int) -> Layout:
    """The layout of a layer's row."""
    at = 0
    products = []
    for p in plan.products:
        products.append(at)
        at += (width if p.source == 0 else hidden) * p.count * hidden
    bias = at
    at += len(plan.affines) * hidden
    vectors = []
    for w in weights(plan.cell):
        alone = w.kind in ("peephole", "scalar") or is_vector(plan.cell.nodes[w.node])
        vectors.append(at if alone else -1)
        at += (1 if w.kind == "scalar" else hidden) if alone else 0
    return Layout(plan, width, hidden, tuple(products), bias, tuple(vectors), at)


def matrix(lay: Layout, row: Tensor, product: int) -> Tensor:
    """The fused matrix of a product: a view [K, in, count*H] of rows [K, P]."""
    rows, columns = lay.inputs(product), lay.plan.products[product].count * lay.hidden
    start = lay.products[product]
    return row[:, start : start + rows * columns].unflatten(1, (rows, columns))


def bias(lay: Layout, row: Tensor) -> Tensor:
    """The biases of all gathering slots: a view [K, A*H]."""
    return row[:, lay.bias : lay.bias + len(lay.plan.affines) * lay.hidden]


def vector(lay: Layout, row: Tensor, index: int) -> Tensor:
    """A peephole or learned vector [K, H], or a scalar [K, 1]: a view, by the index in `weights(cell)`."""
    size = 1 if weights(lay.plan.cell)[index].kind == "scalar" else lay.hidden
    return row[:, lay.vectors[index] : lay.vectors[index] + size]


def named(lay: Layout, row: Tensor) -> dict[str, Tensor]:
    """All weights by name, views of rows [K, P]: [K, in, H], [K, H] or [K, 1]."""
    return {w.name: view(lay, row, k, w) for k, w in enumerate(weights(lay.plan.cell))}


def view(lay: Layout, row: Tensor, index: int, weight: Weight) -> Tensor:
    """One weight as a view of rows [K, P]."""
    if lay.vectors[index] >= 0:
        return vector(lay, row, index)
    slot = lay.plan.slot_of(weight.node)
    if weight.term < 0:
        return bias(lay, row).unflatten(1, (-1, lay.hidden))[:, slot]
    k, first = _product_of(lay.plan, weight, slot)
    return matrix(lay, row, k)[:, :, (slot - first) * lay.hidden : (slot - first + 1) * lay.hidden]


def assemble(lay: Layout, parameters: Mapping[str, Tensor]) -> Tensor:
    """One row [1, P] from weights by name ([in, H], [H] or [1]); differentiable."""
    cell = lay.plan.cell
    by_term = {(w.node, w.term): parameters[w.name] for w in weights(cell)}
    some = next(iter(parameters.values()))
    parts: list[Tensor] = []
    for p in lay.plan.products:
        blocks = []
        for i in lay.plan.affines[p.first : p.first + p.count]:
            node = cell.nodes[i]
            assert isinstance(node, Affine)
            term = next(k for k, c in enumerate(node.connections) if c.source == p.source and not c.peephole)
            blocks.append(by_term[i, term])
        parts.append(torch.cat(blocks, dim=1).reshape(-1))
    parts += [by_term.get((i, -1), some.new_zeros(lay.hidden)) for i in lay.plan.affines]
    parts += [parameters[w.name] for k, w in enumerate(weights(cell)) if lay.vectors[k] >= 0]
    row = torch.cat(parts)
    mask = trainable(lay)
    return (row if mask is None else row * mask.to(row))[None]


@lru_cache(maxsize=4096)
def trainable(lay: Layout) -> Tensor | None:
    """A 0/1 row [P]: 0 where an entry is always zero (`@slower`, a bracket without a bias); None where all
    are free."""
    cell = lay.plan.cell
    row = torch.ones(1, lay.size)
    periods = torch.tensor(unit_periods(cell.clock, lay.hidden))
    present = {(w.node, w.term) for w in weights(cell)}
    for k, w in enumerate(weights(cell)):
        node = cell.nodes[w.node]
        assert isinstance(node, Affine)
        if w.kind == "full" and node.connections[w.term].structure == "slower":
            view(lay, row, k, w).copy_(periods[:, None] >= periods[None, :])
    for slot, i in enumerate(lay.plan.affines):
        if (i, -1) not in present:
            bias(lay, row)[:, slot * lay.hidden : (slot + 1) * lay.hidden] = 0
    return None if bool(row.all()) else row[0]


def initialise(lay: Layout, row: Tensor, bound: float, generator: torch.Generator) -> None:
    """Fill rows [K, P] in place: matrices and peepholes from U[-bound, bound], plus `@eye(a)` on the
    diagonal; biases and learned vectors at their initial values. Numbers are drawn weight by weight in the
    order of their names, so that they do not depend on how the plan fuses matrices."""
    cell = lay.plan.cell
    row.zero_()
    for k, w in enumerate(weights(cell)):
        node = cell.nodes[w.node]
        assert isinstance(node, Affine)
        target = view(lay, row, k, w)
        if w.term < 0:
            assert node.bias is not None
            target.fill_(node.bias)
            continue
        drawn = torch.rand(target.shape, generator=generator, dtype=torch.float64)
        target.copy_((2 * drawn - 1) * bound)
        eye = node.connections[w.term].eye
        if eye is not None:
            target.diagonal(dim1=-2, dim2=-1).add_(eye)
    mask = trainable(lay)
    if mask is not None:
        row.mul_(mask.to(row))


@lru_cache(maxsize=65536)
def _product_of(plan: Plan, weight: Weight, slot: int) -> tuple[int, int]:
    """The product that holds a full connection, and its first slot."""
    node = plan.cell.nodes[weight.node]
    assert isinstance(node, Affine)
    source = node.connections[weight.term].source
    for k, p in enumerate(plan.products):
        if p.source == source and p.first <= slot < p.first + p.count:
            return k, p.first
    raise AssertionError(f"no product holds {weight.name}")
