"""Subnormal numbers: results below the normal range, which starts at 1.2e-38 for float32. States that decay
and gates that saturate produce them, and a CPU is many times slower on them (results/findings/subnormal).
"""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

_LEAST = (
    sys.float_info.min
)  # read at run time: a constant expression would be folded by the compiler of Python


def flushes() -> bool:
    """Whether operations of this thread count subnormal numbers as zero."""
    return _LEAST * 0.5 == 0.0


@contextmanager
def flushed() -> Iterator[None]:
    """A context in which operations of this thread count subnormal numbers as zero, on processors that can.
    JAX does the same on a CPU. The former mode returns at the end."""
    before = flushes()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def flushed_on(device: torch.device) -> AbstractContextManager[None]:
    """`flushed` for the steps of a training on a CPU; nothing on an accelerator."""
    return flushed() if device.type == "cpu" else nullcontext()
