"""Kinds of matrices: which entries are free, matrices that are made of factors, and first values.

A matrix with entries that are always zero (`@slower`, `@blocks`) is stored in full and masked. A matrix that
is made of other weights (`@rank`: down @ up; `@skew`: W - W' of the entries above the diagonal) has an empty
place among the products of the row of parameters: `effective` fills it before a pass and `pull_back` hands
its gradient to the factors after it.
"""

import torch
from torch import Tensor

from cellsearch.compiler.run.kept import kept
from cellsearch.compiler.run.layout import MADE, Layout, bias, block, connection, vector, view
from cellsearch.dsl.nodes import Affine, Uniform
from cellsearch.dsl.weights import split, unit_periods


@kept
def free(lay: Layout) -> Tensor | None:
    """A 0/1 row [P]: 0 where an entry is always zero or has no meaning; None where all entries are free."""
    row = torch.ones(1, lay.size)
    periods = torch.tensor(unit_periods(lay.plan.cell.clock, lay.hidden))
    present = {(w.node, w.term) for w in lay.weights}
    for k, w in enumerate(lay.weights):
        c = connection(lay.plan, w)
        if c is None or c.peephole:
            continue
        if c.structure == "slower":
            view(lay, row, k).copy_(periods[:, None] >= periods[None, :])
        elif c.structure == "blocks":
            assert c.part is not None
            here = view(lay, row, k)
            rows, columns = (_part_of(n, c.part) for n in here.shape[1:])
            here.copy_(rows[:, None] == columns[None, :])
        elif c.structure == "skew":
            vector(lay, row, k).triu_(1)
        if c.structure in MADE:
            block(lay, row, w).zero_()
    for slot, i in enumerate(lay.plan.affines):
        if (i, -1) not in present:
            bias(lay, row)[:, slot * lay.hidden : (slot + 1) * lay.hidden] = 0
    return None if bool(row.all()) else row[0]


def _part_of(units: int, parts: int) -> Tensor:
    """For each unit the part it belongs to."""
    return torch.repeat_interleave(torch.arange(parts), torch.tensor(split(units, parts)))


@kept
def makes(lay: Layout) -> bool:
    """Whether a layer has matrices that are made before each pass."""
    return any(c is not None and c.structure in MADE for c in (connection(lay.plan, w) for w in lay.weights))


def clean(lay: Layout, row: Tensor) -> None:
    """Set the entries of rows [K, P] that are not free to zero, in place."""
    mask = _mask(lay, row.device, row.dtype)
    if mask is not None:
        row.mul_(mask)


@kept
def _mask(lay: Layout, device: torch.device, dtype: torch.dtype) -> Tensor | None:
    """The row of `free`, copied to a device once: a copy makes the host wait. It lies with the layout,
    which a recorded step holds."""
    mask = free(lay)
    return None if mask is None else mask.to(device, dtype)


def effective(lay: Layout, row: Tensor) -> Tensor:
    """Rows [K, P] in which every matrix stands as it is used; `row` itself where nothing has to be made."""
    if not makes(lay):
        return row
    full = row.clone()
    for k, w in enumerate(lay.weights):
        c = connection(lay.plan, w)
        if c is None or c.structure not in MADE:
            continue
        if w.kind == "down":
            block(lay, full, w).copy_(vector(lay, row, k) @ vector(lay, row, k + 1))
        elif w.kind == "full":
            above = vector(lay, row, k).triu(1)
            block(lay, full, w).copy_(above - above.transpose(1, 2))
    return full


def pull_back(lay: Layout, row: Tensor, d_row: Tensor) -> None:
    """Turn the gradient of effective rows [K, P] into that of the parameters, in place."""
    if makes(lay):
        for k, w in enumerate(lay.weights):
            c = connection(lay.plan, w)
            if c is None or c.structure not in MADE:
                continue
            d = block(lay, d_row, w)
            if w.kind == "down":
                vector(lay, d_row, k).copy_(d @ vector(lay, row, k + 1).transpose(1, 2))
                vector(lay, d_row, k + 1).copy_(vector(lay, row, k).transpose(1, 2) @ d)
            elif w.kind == "full":
                vector(lay, d_row, k).copy_(d - d.transpose(1, 2))
    clean(lay, d_row)


def initialise(lay: Layout, row: Tensor, bound: float, generator: torch.Generator | None = None) -> None:
    """Fill rows [K, P] in place: matrices and peepholes from U[-bound, bound], plus `@eye(a)` on the
    diagonal; biases and learned vectors at their initial values. The factors of `@rank` are drawn so wide
    that the entries of their product have the variance of those of a full matrix. Numbers are drawn weight by
    weight in the order of their names, so that they do not depend on how the plan fuses matrices."""
    row.zero_()
    for k, w in enumerate(lay.weights):
        node = lay.plan.cell.nodes[w.node]
        assert isinstance(node, Affine)
        target = view(lay, row, k)
        if w.term < 0 and not isinstance(node.bias, Uniform):
            assert node.bias is not None
            target.fill_(node.bias)
            continue
        drawn = torch.rand(target.shape, generator=generator, dtype=torch.float64, device=row.device)
        if isinstance(node.bias, Uniform) and w.term < 0:
            target.copy_(node.bias.low + (node.bias.high - node.bias.low) * drawn)
            continue
        wide = (3 * bound**2 / w.rank) ** 0.25 if w.rank else bound
        target.copy_((2 * drawn - 1) * wide)
        eye = node.connections[w.term].eye
        if eye is not None:
            target.diagonal(dim1=-2, dim2=-1).add_(eye)
    clean(lay, row)
