"""The output layer in C: logits, their softmax and loss, and with them all gradients, member after member."""

import ctypes

import torch
from torch import Tensor

from cellsearch.compiler.engines.native import toolchain

_LONG, _POINTER = ctypes.c_long, ctypes.c_void_p

#: Logits of a position take whole strips of so many numbers; see pointwise.h.
_STRIP = 16
#: Panels of packed matrices have at most so many columns; see product.c.
_PANEL = 32


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
) -> tuple[Tensor, Tensor]:
    """Loss in nats and how many are right, each a sum over the positions [K]; of equal logits the first is
    the guess. The gradient is that of the loss divided by `batch`. The bias [V] stands behind the matrix."""
    members, hidden, count = len(seen), seen.shape[2], len(targets)
    dtype = str(rows.dtype).removeprefix("torch.")
    library = toolchain.products(dtype)
    for indices in (targets, positions):
        assert indices is None or (indices.dtype == torch.int64 and indices.is_contiguous())
    if seen.stride(2) != 1 and hidden > 1:
        seen = seen.contiguous()
    loss = rows.new_empty(members)
    right = torch.empty(members, dtype=torch.int64)
    strides = (seen.stride(0), seen.stride(1), rows.stride(0))
    of_gradients = [0 if t is None else t.stride(0) for t in (gradient, d_seen)]
    sizes = (members, count, hidden, vocabulary, *strides, *of_gradients)
    numbers = (_LONG * 11)(*sizes, matrix, matrix + hidden * vocabulary)
    space = rows.new_empty(room(count, hidden, vocabulary))
    library.output(
        numbers,
        *(_at(t) for t in (seen, positions, rows, targets)),
        ctypes.c_double(batch),
        *(_at(t) for t in (loss, right, gradient, d_seen, space)),
    )
    return loss, right


def room(count: int, hidden: int, vocabulary: int) -> int:
    """Numbers that a member with `count` scored positions takes beside what is given: what is scored, logits
    and the sums over them, and a packed matrix or a panel of gradients."""
    width = _whole(vocabulary, _STRIP)
    matrices = _whole(vocabulary, _PANEL) * hidden, _whole(hidden, _PANEL) * vocabulary
    return count * hidden + (count + 1) * width + max(*matrices, count * _PANEL)


def _whole(numbers: int, parts: int) -> int:
    return -(-numbers // parts) * parts


def _at(t: Tensor | None) -> ctypes.c_void_p:
    return _POINTER(None if t is None else t.data_ptr())
