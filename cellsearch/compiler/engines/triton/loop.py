"""Runs the Triton kernels of a plan on the tensors of a layer. Matrix products are those of the eager engine,
batched over all members."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from cellsearch.compiler.engines import eager
from cellsearch.compiler.engines.triton import toolchain, whole
from cellsearch.compiler.engines.triton.resources import resources
from cellsearch.compiler.engines.triton.source import Function, Source, source
from cellsearch.compiler.engines.triton.writer import STRIDED, strides
from cellsearch.compiler.plan.kernels import Ref
from cellsearch.compiler.plan.schedule import Plan
from cellsearch.compiler.run.buffers import Buffers
from cellsearch.compiler.run.kept import kept

#: Numbers in a tile: 4 for each of the 128 threads of a program.
TILE = 512
#: Units in a tile that may hold fewer than all: 128 bytes in float32.
UNITS = 32

#: How stages are compiled.
OPTIONS = {"enable_fp_fusion": True}

#: Numbers of warps for a program that runs a whole loop, in order of preference.
WARPS = (8, 16)

#: Sizes of the sides of a tile in a product.
LEAST = 16


@kept
def _functions(plan: Plan, text: str, interpreted: bool) -> Mapping[str, Any]:
    """The kernels of a text. The plan owns them, and a recorded step holds the plan; equal texts of other
    plans share the kernels."""
    return toolchain.functions(text, interpreted)


class Runner(eager.Runner):
    """The kernels of one layer as functions of the step."""

    def __init__(self, where: Buffers, above: frozenset[int]) -> None:
        super().__init__(where, above)
        self.interpreted = where.row.device.type == "cpu"
        self.dtype = str(where.row.dtype).removeprefix("torch.")
        self.source: Source = source(where.lay.plan, above, self.dtype)

    def forward_outer(self, stage: int) -> None:
        """An outer kernel of the forward pass."""
        with toolchain.on(self.where.row.device):
            self._call(self.source.forward_outer[stage])(0)

    def backward_outer(self, stage: int) -> None:
        """An outer kernel of the backward pass."""
        with toolchain.on(self.where.row.device):
            self._call(self.source.backward_outer[stage])(0)

    def forward_loop(self) -> None:
        """The inner stages, step by step."""
        with toolchain.on(self.where.row.device):
            super().forward_loop()

    def backward_loop(self) -> None:
        """The inner stages backward; the result lies in `where.old`."""
        with toolchain.on(self.where.row.device):
            super().backward_loop()

    def forward_step(self, stage: int) -> Callable[[int], None]:
        """An inner kernel of the forward pass, as a function of the step."""
        return self._call(self.source.forward_inner[stage])

    def backward_step(self, stage: int) -> Callable[[int], None]:
        """An inner kernel of the backward pass, for the current roles of the state gradients."""
        return self._call(self.source.backward_inner[stage])

    def clear(self, state: int) -> Callable[[int], None]:
        """Does nothing: the first kernel of a step clears the gradient of a state that no kernel writes."""
        return lambda t: None

    def _call(self, function: Function | None) -> Callable[[int], None]:
        if function is None:
            return lambda t: None
        where, hidden = self.where, self.where.lay.hidden
        tensors = [self._array(ref) for ref in function.arrays]
        arguments: list[Any] = [*tensors, *self._strides(function.arrays, tensors)]
        arguments += self._slots(function.slots)
        sizes = (where.members, where.steps_count, where.batch, hidden)
        height, units = tile(function, hidden)
        rows = where.members * where.batch * (where.steps_count if function.steps else 1)
        grid = (-(-rows // height), -(-hidden // units))
        kernel = _functions(where.lay.plan, function.text, self.interpreted)[function.name][grid]
        options: dict[str, Any] = {"R": height, "W": units} | ({} if self.interpreted else OPTIONS)
        if function.steps:
            return lambda t: kernel(*arguments, *sizes, **options)
        return lambda t: kernel(*arguments, t, *sizes, **options)

    def _strides(self, arrays: Sequence[Ref], tensors: Sequence[Tensor]) -> list[int]:
        """The strides passed to kernels, array by array."""
        where = self.where
        found: list[int] = []
        for ref, tensor in zip(arrays, tensors, strict=True):
            if ref.kind == "row":
                found.append(tensor.stride(0))
            elif strides(ref):
                sizes = (where.members, where.steps_count, where.batch, where.lay.hidden)
                found += tensor.expand(*sizes).stride()[: len(strides(ref))]
        return found

    def _slots(self, slots: Sequence[Ref]) -> list[int]:
        """The slots passed to a kernel, by number, and their count."""
        plan = self.where.lay.plan
        return [*(ref.index for ref in slots), plan.slots, len(plan.affines)]

    def _array(self, ref: Ref) -> Tensor:
        """The whole array at the pointer of a ref, with contiguous units."""
        where = self.where
        if ref.kind == "row":
            return where.row
        if ref.kind in ("slots", "old"):
            # The forward pass writes to its own arrays; the backward pass may get any layout.
            return (where.tape.slots if ref.kind == "slots" else where.tape.states[ref.index]).contiguous()
        tensor = where.whole(ref)
        if ref.kind in ("dout", "dabove") or (tensor.stride(-1) != 1 and ref.kind in STRIDED):
            return tensor.contiguous()
        return tensor


class WholeRunner(Runner):
    """The kernels of one layer, with the whole loop in one kernel if a member's matrices are small enough."""

    def __init__(self, where: Buffers, above: frozenset[int]) -> None:
        super().__init__(where, above)
        self.loops = whole.loops(where.lay.plan, above, self.dtype)
        self.units = max(LEAST, _power(where.lay.hidden))
        self.kernels = _functions(where.lay.plan, self.loops.text, self.interpreted)

    def fits(self, loop: whole.Loop) -> bool:
        """Whether a program can hold the matrices; on a GPU tiles are multiplied only in float32."""
        return loop.fits(self.units) and (self.interpreted or self.dtype == "float32")

    def forward_loop(self) -> None:
        """All steps."""
        if not self._whole(self.loops.forward):
            super().forward_loop()

    def backward_loop(self) -> None:
        """All steps backward; the result lies in `where.old`."""
        if not self._whole(self.loops.backward):
            super().backward_loop()

    def _whole(self, loop: whole.Loop) -> bool:
        """Runs a loop as one kernel, if it fits on the chip and spills no registers."""
        if not self.fits(loop):
            return False
        where, lay = self.where, self.where.lay
        tensors = [self._array(ref) for ref in loop.arrays]
        arguments: list[Any] = [*tensors, *self._strides(loop.arrays, tensors), *self._slots(loop.slots)]
        arguments += [*(lay.products[index] for index in loop.products), where.batch, lay.hidden]
        options: dict[str, Any] = {"R": LEAST, "W": self.units, "EXACT": toolchain.precision()}
        options["T"] = where.steps_count
        kernel = self.kernels[loop.name]
        with toolchain.on(where.row.device):
            if not self.interpreted:
                options["enable_fp_fusion"] = True
                warps = _warps(lay.plan, loop.name, self.loops.text, kernel, tuple(arguments), options)
                if warps is None:
                    return False
                options["num_warps"] = warps
            kernel[(where.members, -(-where.batch // LEAST))](*arguments, **options)
        return True


def _warps(
    plan: Plan, name: str, text: str, kernel: Any, arguments: tuple[Any, ...], options: dict[str, Any]
) -> int | None:
    """The number of warps with which a loop spills no registers, or None; known only after compiling. The
    result is kept on the plan."""
    key = (_warps, name, text, arguments[-1] % 16 == 0, *options.items())
    if key not in plan.kept:
        plan.kept[key] = None
        for warps in WARPS:
            made = kernel.warmup(*arguments, grid=(1,), num_warps=warps, **options)
            if not resources(made).spilled:
                plan.kept[key] = warps
                break
    found: int | None = plan.kept[key]
    return found


def tile(function: Function, hidden: int) -> tuple[int, int]:
    """The rows and units of a program's tile."""
    units = _power(hidden) if function.whole else min(_power(hidden), UNITS)
    return max(1, TILE // units), units


def _power(n: int) -> int:
    """The smallest power of two that is at least n."""
    return 1 << (n - 1).bit_length()
