"""The output layer in C: logits, softmax, loss and all gradients, member by member.

Positions of a member are processed in blocks, to bound the memory of logits; so the order of sums over
positions depends only on their number.
"""

import ctypes

import torch
from torch import Tensor

from cellsearch.compiler.engines.native import toolchain
from cellsearch.compiler.engines.native.one_by_one import OUTPUT, OneByOne, address, run_now
from cellsearch.compiler.run.order import Together

_LONG, _POINTER = ctypes.c_long, ctypes.c_void_p

#: Maximal columns of a panel of packed matrices, and panels of a block of symbols; see product.c
#: and output.c.
_PANEL, _PANELS = 32, 8
#: Minimal symbols of a block, except the last: with panels of 4 columns.
_NARROWEST = 32
#: Maximal positions of a block. A panel of their gradients takes half of the first cache; the time of a step
#: is flat from 176 to 354 (10,000 symbols, 200 units).
_BLOCK = 240
#: Numbers in a cache line: every part of the workspace takes whole lines.
_LINE, _PIECES = 16, 14


class _Call(ctypes.Structure):
    """See output.c."""

    _fields_ = (
        ("n", _LONG * 11),
        ("batch", ctypes.c_double),
        *((name, _POINTER) for name in ("seen", "where", "rows", "targets", "loss", "right")),
        *((name, _POINTER) for name in ("d_rows", "d_seen", "space")),
    )


def output(
    rows: Tensor,  # [K, P]
    seen: Tensor,  # [K, N, H]: outputs of the layers
    positions: Tensor | None,  # [n]: the scored positions of N; None: all
    targets: Tensor,  # [n]
    vocabulary: int,
    matrix: int,  # offset of the matrix [H, V] in a row
    batch: int,
    gradient: Tensor | None = None,  # [K, P]: written here if given
    d_seen: Tensor | None = None,  # [K, N, H], also written, at the scored positions
    order: Together | None = None,
) -> tuple[Tensor, Tensor]:
    """The loss in nats and the number of correct guesses, each a sum over the positions [K]; among equal
    logits the first is the guess. The gradient is that of the loss divided by `batch`. The bias [V] follows
    the matrix."""
    members, hidden, count = len(seen), seen.shape[2], len(targets)
    dtype = str(rows.dtype).removeprefix("torch.")
    library = toolchain.products(dtype)
    assert seen.stride(2) == 1 or hidden == 1
    for indices in (targets, positions):
        assert indices is None or (indices.dtype == torch.int64 and indices.is_contiguous())
    order = order or Together(members)
    loss = rows.new_empty(members)
    right = torch.empty(members, dtype=torch.int64)
    strides = (seen.stride(0), seen.stride(1), rows.stride(0))
    of_gradients = [0 if t is None else t.stride(0) for t in (gradient, d_seen)]
    sizes = (count, hidden, vocabulary, *strides, *of_gradients)
    numbers = (_LONG * 11)(*sizes, matrix, matrix + hidden * vocabulary, block(count))
    space = rows.new_empty(room(count, hidden, vocabulary))
    tensors = (seen, positions, rows, targets, loss, right, gradient, d_seen, space)
    what = _Call(numbers, batch, *(None if t is None else t.data_ptr() for t in tensors))
    function = address(library.output)
    if isinstance(order, OneByOne):
        order.call(function, what, tensors, OUTPUT)
    else:
        run_now(members, function, what, rows.dtype)
    return loss, right


def block(count: int) -> int:
    """The number of positions of each block of `count` scored ones: as few blocks as possible, as even as
    possible."""
    blocks = max(1, -(-count // _BLOCK))
    return max(1, -(-count // blocks))


def room(count: int, hidden: int, vocabulary: int) -> int:
    """The maximal size of the workspace of a member with `count` scored positions, in numbers. For a block of
    positions: outputs and their gradient, and the outputs in strips; logits; the highest ones of each block
    of symbols; a panel of gradients, five numbers of each row; and a packed panel of the matrix."""
    wide = _PANEL * _PANELS
    logits = (
        vocabulary + min(vocabulary, wide) + _PANEL
    )  # whole panels, and whole blocks if there are several
    row = 3 * hidden + logits + vocabulary // _NARROWEST + 1 + _PANEL + 5
    return block(count) * row + _PANEL * max(hidden, wide) + _LINE * _PIECES
