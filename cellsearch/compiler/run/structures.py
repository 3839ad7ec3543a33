"""Structured matrices: masks, materialisation, and initial values.

A matrix with entries that are always zero (`@slower`, `@blocks`) is stored in full and masked. A matrix
composed of other weights (`@rank`, `@skew`) has a reserved place among the products of the row: `materialize`
fills it before a pass and `backprop` propagates its gradient to its weights afterwards.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from cellsearch.compiler import matrices
from cellsearch.compiler.engines.formula import apply
from cellsearch.compiler.run.kept import kept
from cellsearch.compiler.run.layout import Layout, bias, block, vector, view
from cellsearch.dsl.initial import DISTRIBUTIONS, Drawn
from cellsearch.dsl.nodes import Affine
from cellsearch.dsl.ops import OPS
from cellsearch.dsl.structures import Sizes, evaluate
from cellsearch.dsl.weights import Weight


def _sizes(lay: Layout, w: Weight) -> Sizes:
    return w.sizes(lay.width, lay.hidden, lay.plan.cell.clock)


@kept
def free(lay: Layout) -> Tensor | None:
    """A 0/1 row [P]: 0 for an entry that is always zero or unused; None if all entries are free."""
    row = torch.ones(1, lay.size)
    present = {(w.node, w.term) for w in lay.weights}
    for k, w in enumerate(lay.weights):
        if w.row is not None and w.piece.free:
            view(lay, row, k).copy_(matrices.free(w.piece, _sizes(lay, w)))
        if w.row is not None and w.row.made:
            block(lay, row, w).zero_()
    for slot, i in enumerate(lay.plan.affines):
        if (i, -1) not in present:
            bias(lay, row)[:, slot * lay.hidden : (slot + 1) * lay.hidden] = 0
    return None if bool(row.all()) else row[0]


@kept
def makes(lay: Layout) -> bool:
    """Whether a layer has matrices to materialise before each pass."""
    return any(w.row is not None and w.row.made for w in lay.weights)


def clean(lay: Layout, row: Tensor) -> None:
    """Set the entries of rows [K, P] that are not free to zero, in place."""
    mask = _mask(lay, row.device, row.dtype)
    if mask is not None:
        row.mul_(mask)


@kept
def _mask(lay: Layout, device: torch.device, dtype: torch.dtype) -> Tensor | None:
    """The row of `free`, copied to a device once, because a copy synchronises. The layout owns it, and a
    captured step holds the layout."""
    mask = free(lay)
    return None if mask is None else mask.to(device, dtype)


@kept
def _constants(lay: Layout, k: int, device: torch.device) -> dict[str, Any]:
    """The inputs of the formulas of the matrix of weight `k`, besides weights: copied to a device once."""
    w = lay.weights[k]
    assert w.row is not None
    return matrices.constants(w.row, _sizes(lay, w), device)


def _made(lay: Layout) -> Iterator[tuple[int, Weight, range]]:
    """The composed matrices: the index of the first weight of each, that weight, and all indices."""
    for k, w in enumerate(lay.weights):
        if w.row is not None and w.row.made and w.place == 0:
            yield k, w, range(k, k + len(w.row.pieces))


def materialize(lay: Layout, row: Tensor) -> Tensor:
    """Rows [K, P] with all matrices materialised; `row` itself if there are none."""
    if not makes(lay):
        return row
    full = row.clone()
    for k, w, own in _made(lay):
        assert w.row is not None
        weights = [vector(lay, row, i) for i in own]
        block(lay, full, w).copy_(matrices.make(w.row, weights, _constants(lay, k, row.device)))
    return full


def backprop(lay: Layout, row: Tensor, d_row: Tensor) -> None:
    """Turn the gradient of materialized rows [K, P] into that of the parameters, in place."""
    for k, w, own in _made(lay) if makes(lay) else ():
        assert w.row is not None
        weights, values = [vector(lay, row, i) for i in own], _constants(lay, k, row.device)
        for i, d in zip(own, matrices.hand_back(w.row, weights, values, block(lay, d_row, w)), strict=True):
            vector(lay, d_row, i).copy_(d)
    clean(lay, d_row)


def initialise(lay: Layout, row: Tensor, bound: float, generator: torch.Generator | None = None) -> None:
    """Fill rows [K, P] in place: matrices and peepholes from U[-bound, bound], plus `@eye(a)` on the
    diagonal; biases and learned vectors at their initial values; `@orthogonal` by its row. If entries of a
    matrix are sums, as with `@rank`, the range of its weights gives them the variance of the entries of a
    full matrix. Numbers are drawn weight by weight in the order of their names, so they do not depend on the
    plan's fusion of matrices."""
    row.zero_()
    for k, w in enumerate(lay.weights):
        node = lay.plan.cell.nodes[w.node]
        assert isinstance(node, Affine)
        target = view(lay, row, k)
        if w.term < 0:
            assert node.bias is not None
            target.copy_(_drawn(node.bias, target, generator))
            continue
        if w.row is not None and w.piece.orthogonal:
            target.copy_(_orthogonal(target, generator))
            continue
        drawn = torch.rand(target.shape, generator=generator, dtype=torch.float64, device=row.device)
        values = {**_sizes(lay, w)._asdict(), "bound": bound}
        wide = bound if w.row is None else evaluate(w.piece.bound, values, torch)
        target.copy_((2 * drawn - 1) * wide)
        eye = node.connections[w.term].eye
        if eye is not None and w.row is not None and w.piece.eye:
            target.add_(evaluate(w.piece.eye, values, torch).to(target), alpha=eye)
    clean(lay, row)


def _orthogonal(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Matrices [K, rows, units] in float64 with orthonormal columns, or rows if there are fewer, uniformly
    distributed (Mezzadri 2007: with the signs of R)."""
    tall = like.shape[-2] >= like.shape[-1]
    shape = like.shape if tall else like.mT.shape
    normal = torch.randn(shape, generator=generator, dtype=torch.float64, device=like.device)
    q, r = torch.linalg.qr(normal)
    q = q * r.diagonal(dim1=-2, dim2=-1).sign()[..., None, :]
    return q if tall else q.mT


def _drawn(value: float | Drawn, like: Tensor, generator: torch.Generator | None) -> Tensor:
    """An initial value in float64, of the shape of `like`; distributions are drawn in the order of its
    text."""
    if not isinstance(value, Drawn):
        return torch.full(like.shape, value, dtype=torch.float64, device=like.device)
    row = DISTRIBUTIONS.get(value.name)
    if row is None:
        return apply(OPS[value.name], *(_drawn(arg, like, generator) for arg in value.args))
    draw = torch.randn if row.normal else torch.rand
    drawn: Tensor = draw(like.shape, generator=generator, dtype=torch.float64, device=like.device)
    return row.of(drawn, *value.args)
