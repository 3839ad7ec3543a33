"""Compiles the kernels of a cell for a device that this process does not use, into Triton's cache on disk.

A launch looks up its kernel by a name computed from the text, from properties of the arguments that Triton
distinguishes, and from the kind of device. Here kernels are requested in the same way, with a driver that
reports a kind of device but has no device, so the names are equal.
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
        """The number in Triton's keys of compiled kernels."""
        return 0

    def get_current_stream(self, device: int) -> int:
        """A stream without launches."""
        return 0


@contextmanager
def compiling_for(capability: int) -> Iterator[None]:
    """A context that compiles kernels for devices of a compute capability. Inside it this process cannot
    launch kernels."""
    from triton.runtime import driver

    before = driver._active
    driver.set_active(NoDevice(capability))
    try:
        yield
    finally:
        driver._active = before


def variants(function: Function, widths: Iterable[int]) -> list[int]:
    """One hidden width per compiled kernel: tiles have few sizes, and Triton distinguishes widths only by
    being 1 and by being a multiple of 16."""
    found = {(tile(function, hidden), hidden % 16 == 0, hidden == 1): hidden for hidden in widths}
    return list(found.values())


def stages(plan: Plan, above: frozenset[int], dtype: str, widths: Iterable[int]) -> list[Any]:
    """The compiled stages of a layer whose states `above` are read by the layer above it, for hidden widths.
    Call it in `compiling_for`."""
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
    """Compiles the softmax over a vocabulary, with its gradient and without."""
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
    """True, after compiling the C code that launches a kernel: Triton 3.6 needs one per list of argument
    types."""
    with suppress(Exception):  # later versions have none, and it cannot be linked without NVIDIA's driver
        from triton.backends.nvidia.driver import CudaLauncher

        CudaLauncher(compiled.src, compiled.metadata)
    return True
