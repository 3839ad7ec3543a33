"""Softmax, loss and its gradient over the logits of the output layer: what torch does in a dozen passes, in
four, and bit for bit the same."""

import ctypes

import torch
from torch import Tensor

from cellsearch.compiler.native import toolchain

_LONG, _POINTER = ctypes.c_long, ctypes.c_void_p


def softmax(logits: Tensor, targets: Tensor, batch: int, back: bool) -> tuple[Tensor, Tensor]:
    """Losses in nats and which are right, each [k, n], for logits [k, n, V] that lie side by side and targets
    [n]; of equal logits the first is the guess.

    What `logits` holds is lost, and with `back` its place is taken by the gradient, divided by `batch`.
    """
    members, positions, vocabulary = logits.shape
    library = toolchain.output(str(logits.dtype).removeprefix("torch."))
    top, chosen = logits.new_empty(2, members, positions)
    right = torch.empty(members, positions, dtype=torch.bool)
    sizes = [_LONG(n) for n in (members * positions, positions, vocabulary)]
    places = [_POINTER(t.data_ptr()) for t in (logits, targets)]
    library.highest(*sizes, *places, *(_POINTER(t.data_ptr()) for t in (top, chosen, right)))
    total = logits.exp_().sum(-1)
    if back:
        real = ctypes.c_float if logits.dtype == torch.float32 else ctypes.c_double
        library.slopes(*sizes, *places, _POINTER(total.data_ptr()), real(batch))
    return total.log() + top - chosen, right
