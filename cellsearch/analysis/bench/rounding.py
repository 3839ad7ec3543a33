"""Matrix products in less than float32: on a GPU by request, and with the same rounding of the factors on any
device, which shows the effect without a GPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

TF32, BFLOAT16 = 10, 7  # fraction bits
_FIRST = {"aten::bmm": 0, "aten::baddbmm": 1}  # by product: the positions of its two factors


@contextmanager
def tf32(asked: bool) -> Iterator[None]:
    """With or without TF32 in the matrix products of a GPU."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = asked
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


class Rounded(TorchDispatchMode):
    """Rounds the factors of batched matrix products to `bits` fraction bits; sums are float32."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        at = _FIRST.get(function.name().partition(".")[0])
        if at is not None:
            factors = (rounded(a, self.bits) for a in args[at : at + 2])
            args = (*args[:at], *factors, *args[at + 2 :])
        return function(*args, **(kwargs or {}))


def rounded(x: Tensor, bits: int) -> Tensor:
    """float32 numbers rounded to `bits` fraction bits, ties to even."""
    gone = 23 - bits
    whole = x.contiguous().view(torch.int32)
    half = (1 << (gone - 1)) - 1 + ((whole >> gone) & 1)
    return ((whole + half) & -(1 << gone)).view(torch.float32)
