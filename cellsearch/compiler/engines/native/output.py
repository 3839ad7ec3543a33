"""The output layer in C: logits, their softmax and loss, and with them all gradients, member after member.

The positions of a member go through it in blocks, which bounds the memory that logits take; so the order of
the sums over the positions follows from their number.
"""

import ctypes

import torch
from torch import Tensor

from cellsearch.compiler.engines.native import toolchain
from cellsearch.compiler.engines.native.one_by_one import OUTPUT, OneByOne, address, run_now
from cellsearch.compiler.run.order import Together

_LONG, _POINTER = ctypes.c_long, ctypes.c_void_p

#: Panels of packed matrices have at most so many columns, and blocks of symbols so many panels; see product.c
#: and output.c.
_PANEL, _PANELS = 32, 8
#: A block of symbols has at least so many, but the last: where panels are of 4 columns.
_NARROWEST = 32
#: Positions of a block, at most. A panel of their gradients takes half of the first cache; the time of a step
#: is flat from 176 to 354 (10,000 symbols, 200 units).
_BLOCK = 240
#: Every piece of the space takes whole lines of the cache, of so many numbers.
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
    seen: Tensor,  # [K, N, H]: what the layers gave
    positions: Tensor | None,  # [n]: those of N that are scored; None where all are
    targets: Tensor,  # [n]
    vocabulary: int,
    matrix: int,  # where the matrix [H, V] starts in a row
    batch: int,
    gradient: Tensor | None = None,  # [K, P]: written here where it is given
    d_seen: Tensor | None = None,  # likewise [K, N, H], at the scored positions
    order: Together | None = None,
) -> tuple[Tensor, Tensor]:
    """Loss in nats and how many are right, each a sum over the positions [K]; of equal logits the first is
    the guess. The gradient is that of the loss divided by `batch`. The bias [V] stands behind the matrix."""
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
    """Positions of each block, of `count` that are scored: as few blocks as possible, as even as possible."""
    blocks = max(1, -(-count // _BLOCK))
    return max(1, -(-count // blocks))


def room(count: int, hidden: int, vocabulary: int) -> int:
    """Numbers that a member with `count` scored positions takes beside what is given, at most. For a block of
    positions: outputs and their gradient, and the outputs in strips; logits; the highest ones of each
    block of symbols; a panel of gradients, five numbers of each row; and a packed panel of the matrix."""
    wide = _PANEL * _PANELS
    logits = (
        vocabulary + min(vocabulary, wide) + _PANEL
    )  # whole panels, and whole blocks where there are several
    row = 3 * hidden + logits + vocabulary // _NARROWEST + 1 + _PANEL + 5
    return block(count) * row + _PANEL * max(hidden, wide) + _LINE * _PIECES
