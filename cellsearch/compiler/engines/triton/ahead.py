"""Compiles the kernels of a cell for a device that this process does not touch, into Triton's cache on disk.

A launch looks for its kernel under a name that follows from the text, from what Triton distinguishes of the
arguments, and from the kind of device. Here kernels are asked for in the same way, with a driver that says
which kind of device there is and has none, so that the names are the same.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch

from cellsearch.compiler.engines.triton import output, toolchain
from cellsearch.compiler.engines.triton.loop import OPTIONS, tile
from cellsearch.compiler.engines.triton.source import Function, source
from cellsearch.compiler.engines.triton.writer import strides
from cellsearch.compiler.plan.schedule import Plan


@dataclass(frozen=True)
class NoDevice:
    """A driver of Triton for compute capability `capability` (90 is 9.0) that has no device."""

    capability: int

    def get_current_target(self) -> Any:
        """The kind of device."""
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", self.capability, 32)

    def get_current_device(self) -> int:
        """The number under which Triton keeps what it compiles."""
        return 0

    def get_current_stream(self, device: int) -> int:
        """A stream, in which nothing is ever started."""
        return 0


@contextmanager
def compiling_for(capability: int) -> Iterator[None]:
    """Where kernels are compiled for devices of a compute capability. In this process none can be started
    meanwhile."""
    from triton.runtime import driver

    before = driver._active
    driver.set_active(NoDevice(capability))
    try:
        yield
    finally:
        driver._active = before


def variants(function: Function, widths: Iterable[int]) -> list[int]:
    """One of the hidden widths for each kernel that is compiled for them: tiles are of few sizes, and Triton
    asks whether a width is 1 and whether it is a multiple of 16."""
    found = {(tile(function, hidden), hidden % 16 == 0, hidden == 1): hidden for hidden in widths}
    return list(found.values())


def stages(plan: Plan, above: frozenset[int], dtype: str, widths: Iterable[int]) -> list[Any]:
    """The compiled stages of a layer whose states `above` are read by the layer above it, for hidden widths.
    To be called in `compiling_for`."""
    real, widths, found = getattr(torch, dtype), tuple(widths), []
    for function in dict.fromkeys(source(plan, above, dtype).functions):
        kernel = toolchain.functions(function.text, False)[function.name]
        numbers = sum(len(strides(ref)) for ref in function.arrays) + len(function.slots)
        for hidden in variants(function, widths):
            height, units = tile(function, hidden)
            # Triton does not distinguish the values of slots, S and A, then t (in the loop), K, T and B.
            others = [3] * (numbers + 2 + (3 if function.steps else 4))
            found.append(
                kernel.warmup(
                    *[real] * len(function.arrays), *others, hidden, R=height, W=units, grid=(1,), **OPTIONS
                )
            )
    return [*filter(_with_launcher, found)]


def softmax(vocabulary: int, dtype: str, masked: bool) -> list[Any]:
    """Likewise the softmax over a vocabulary, with its gradient and without."""
    real, count = getattr(torch, dtype), torch.bool if masked else torch.int64
    kernel = output.kernel(False)
    height, width, options = output.tile(vocabulary)
    found = [
        kernel.warmup(
            real, torch.int64, count, real, torch.int32, 3, 3, vocabulary, 3,
            R=height, W=width, MASKED=masked, BACK=back, grid=(1,), **options,
        )
        for back in (False, True)
    ]  # fmt: skip
    return [*filter(_with_launcher, found)]


def _with_launcher(compiled: Any) -> bool:
    """True, once the C code that starts a kernel is compiled too: Triton 3.6 makes one for each list of types
    of arguments."""
    with suppress(Exception):  # later ones have none, and without a driver of NVIDIA it cannot be linked
        from triton.backends.nvidia.driver import CudaLauncher

        CudaLauncher(compiled.src, compiled.metadata)
    return True
