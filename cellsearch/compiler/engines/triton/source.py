"""From a plan to the Triton kernels of its stages.

All kernels of a stage become one function: values stored by one kernel and read by a later one stay in
registers. A program computes a tile of R rows (members and sequences of one step, or of all steps outside the
loop) and W units. The tensors of a layer are arguments as whole arrays: pointers, and strides only if they do
not follow from the sizes K, T, B and H, so a kernel is compiled for a few kinds of sizes, not for each size.
Slots of the tape are arguments too, by number.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from cellsearch.compiler.engines.triton.writer import PARTS, Writer, helpers
from cellsearch.compiler.plan import kernels
from cellsearch.compiler.plan.backward import backward_kernels
from cellsearch.compiler.plan.kernels import Kernel, Ref, Store
from cellsearch.compiler.plan.schedule import Plan
from cellsearch.compiler.run.kept import kept
from cellsearch.dsl.formulas.form import Number


@dataclass(frozen=True)
class Function:
    """A kernel with its text. The text depends only on the formulas of the stage, so equal stages of
    different cells are one kernel, which Triton compiles once."""

    name: str
    text: str
    arrays: tuple[Ref, ...]  # used arrays, in the order of its pointers
    slots: tuple[Ref, ...]  # used slots, in the order of their arguments
    unspecialized: tuple[str, ...]
    whole: bool  # a tile must hold all units
    steps: bool  # its rows are the rows of all steps


@dataclass(frozen=True)
class Source:
    """The kernels of a plan by stage, None if a stage has no work."""

    forward_outer: tuple[Function | None, ...]
    forward_inner: tuple[Function | None, ...]
    backward_outer: tuple[Function | None, ...]
    backward_inner: tuple[Function | None, ...]

    @property
    def functions(self) -> tuple[Function, ...]:
        """All kernels, in the order of a training step."""
        stages = (*self.forward_outer, *self.forward_inner, *self.backward_inner, *self.backward_outer)
        return tuple(function for function in stages if function is not None)


@kept
def source(plan: Plan, above: frozenset[int], dtype: str) -> Source:
    """The Triton kernels of a plan whose states `above` are read by the layer above, for float32 or
    float64."""
    outer, inner = kernels.forward(plan)
    back = backward_kernels(plan, above)
    unread = [s for s in range(len(plan.cell.states)) if Ref("dold", s) not in back.written]
    cleared = Kernel((), (), tuple(Store(Ref("dold", s), Number(0.0)) for s in unread))
    last = len(back.inner) - 1  # the first stage to run
    turned = [(*group, cleared) if k == last else group for k, group in enumerate(back.inner)]

    def stages(name: str, groups: Iterable[tuple[Kernel, ...]], steps: bool) -> tuple[Function | None, ...]:
        return tuple(stage(plan, dtype, name, group, steps) for group in groups)

    return Source(
        forward_outer=stages("forward_outer", outer, True),
        forward_inner=stages("forward_inner", inner, False),
        backward_outer=stages("backward_outer", back.outer, True),
        backward_inner=stages("backward_inner", turned, False),
    )


def stage(plan: Plan, dtype: str, name: str, group: Iterable[Kernel], steps: bool) -> Function | None:
    """The kernels of one stage as one function; None if nothing is stored."""
    writer = Writer(plan, dtype)
    for kernel in group:
        writer.add(kernel)
    if not writer.stores:
        return None
    lines = [
        "r = tl.program_id(0) * R + tl.arange(0, R)[:, None]",
        "h = tl.program_id(1) * W + tl.arange(0, W)[None, :]",
        "b = r % B",
    ]
    if steps:
        lines += ["k = (r // (T * B)).to(tl.int64)", "t = (r // B) % T", "ok = (r < K * T * B) & (h < H)"]
    else:
        lines += ["k = (r // B).to(tl.int64)", "ok = (r < K * B) & (h < H)"]
    lines += ["at = (k * T + t) * B + b", *writer.lines, *writer.storing()]
    sizes = [*([] if steps else ["t"]), "K", "T", "B"]
    apart = (*writer.unspecialized(), *sizes)
    text = definition(name, [*writer.arguments(), *sizes, "H"], ["R", "W"], apart, lines)
    return Function(
        name,
        "\n".join([PARTS, helpers(dtype), text]),
        tuple(writer.arrays),
        tuple(writer.slots),
        apart,
        writer.whole,
        steps,
    )


def definition(
    name: str, arguments: Iterable[str], constants: Iterable[str], apart: Iterable[str], lines: Iterable[str]
) -> str:
    """The text of a kernel; Triton compiles it for each value of `constants`, and once for all values of
    `apart`."""
    given = ", ".join([*arguments, *(f"{c}: tl.constexpr" for c in constants)])
    marked = ", ".join(f'"{a}"' for a in apart)
    return "\n".join(["", f"@kernel([{marked}])", f"def {name}({given}):", *(f"    {x}" for x in lines), ""])
