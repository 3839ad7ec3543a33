"""The whole loop over time as one Triton kernel forward and one backward: states stay in registers, and the
matrices of a member on chip, for all T steps.

A program computes R sequences of one member, all their units, step by step; a value computed and read in one
step stays in registers. For members with small matrices: see `HELD`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from cellsearch.compiler.engines.triton.source import definition
from cellsearch.compiler.engines.triton.writer import PARTS, Writer, helpers
from cellsearch.compiler.plan import kernels
from cellsearch.compiler.plan.backward import backward_kernels
from cellsearch.compiler.plan.kernels import Ref
from cellsearch.compiler.plan.schedule import Plan, Product
from cellsearch.compiler.run.kept import kept

#: Numbers of matrices that a program can keep; half as many if ops over the units need room too. As
#: compiled for compute capability 9.0, such cells take up to 224 of 227 KiB of shared memory.
HELD = 1 << 14


@dataclass(frozen=True)
class Loop:
    """A kernel of the text."""

    name: str
    arrays: tuple[Ref, ...]  # in the order of its pointers
    slots: tuple[Ref, ...]  # in the order of their arguments
    products: tuple[int, ...]  # in plan.products: the offsets of their matrices in a row are arguments
    matrices: int  # of H x H numbers
    over_units: bool  # some op works over the units

    def fits(self, units: int) -> bool:
        """Whether a program can keep the matrices, each with `units` rows and columns."""
        return self.matrices * units**2 <= (HELD // 2 if self.over_units else HELD)


@dataclass(frozen=True)
class Loops:
    """The loops of a plan and their text."""

    text: str
    forward: Loop
    backward: Loop


@kept
def loops(plan: Plan, above: frozenset[int], dtype: str) -> Loops:
    """The loops of a plan whose states `above` are read by the layer above."""
    ahead, ahead_text = _forward(plan, dtype)
    behind, behind_text = _backward(plan, above, dtype)
    return Loops("\n".join([PARTS, helpers(dtype), ahead_text, behind_text]), ahead, behind)


def _forward(plan: Plan, dtype: str) -> tuple[Loop, str]:
    step = _Step(plan, dtype, "old", turned=False)
    for k, group in enumerate(kernels.forward(plan)[1]):
        for p in plan.inner[k].products if plan.inner else ():
            source = step.load(kernels.location(plan, p.source))
            for j in range(p.count):
                slot = Ref("slot", p.first + j)
                step.put(slot, f"{step.load(slot)} + {step.times(source, p, j)}")
        for kernel in group:
            step.add(kernel)
    new = [step.load(Ref("new", s)) for s in range(len(plan.cell.states))]
    return step.kernel("f_loop", "for t in range(0, T):", [], new, ())


def _backward(plan: Plan, above: frozenset[int], dtype: str) -> tuple[Loop, str]:
    code = backward_kernels(plan, above)
    step = _Step(plan, dtype, "dnew", turned=True)
    for k in reversed(range(len(code.inner))):
        for kernel in code.inner[k]:
            step.add(kernel)
        for p in reversed(plan.inner[k].products if plan.inner else ()):
            target = kernels.gradient(plan, p.source)
            if target is None:
                continue
            terms = [step.times(step.load(Ref("dslot", p.first + j)), p, j) for j in range(p.count)]
            if code.adds[plan.index[p]]:
                terms.insert(0, step.load(target))
            step.put(target, " + ".join(terms))
    states = range(len(plan.cell.states))
    old = [step.load(Ref("dold", s)) if Ref("dold", s) in code.written else "0.0" for s in states]
    left = [Ref("dold", s) for s in states]
    return step.kernel("b_loop", "for u in range(0, T):", ["t = T - 1 - u"], old, left)


class _Step(Writer):
    """The lines of one step. Before them are the loads of a member's weights and of the values carried from
    step to step."""

    def __init__(self, plan: Plan, dtype: str, carried: str, turned: bool) -> None:
        super().__init__(plan, dtype)
        self.turned = turned
        self.before: list[str] = []
        self.matrices: dict[tuple[int, int], str] = {}
        self.masked: dict[str, str] = {}
        self.carried = [Ref(carried, s) for s in range(len(plan.cell.states))]
        for s, ref in enumerate(self.carried):
            self.here[ref] = f"c{s}"

    def load(self, ref: Ref) -> str:
        """The value at a ref; weights are loaded before the loop."""
        if ref.kind == "weight" and ref not in self.here:
            name = f"p{ref.index}"
            self.before.append(f"{name} = tl.load({self.place(ref)}, mask=ok, other=0.0)")
            self.here[ref] = name
        return super().load(ref)

    def put(self, ref: Ref, formula: str) -> None:
        """A new value at a ref."""
        self.here[ref] = self.stores[ref] = self.let(formula)

    def times(self, value: str, p: Product, j: int) -> str:
        """A value times the matrix of slot j of a product, or times its transpose. Lanes without a unit hold
        arbitrary values, which must not be multiplied by the zeros of the matrix."""
        if value not in self.masked:
            self.masked[value] = self.let(f"tl.where(ok, {self.full(value)}, 0.0)")
        matrix = self.matrix(p, j)
        return f"tl.dot({self.masked[value]}, {matrix}, input_precision=EXACT, out_dtype=tl.{self.dtype})"

    def matrix(self, p: Product, j: int) -> str:
        """A matrix [W, W], loaded before the loop."""
        index = self.plan.index[p]
        name = f"w{index}_{j}"
        if (index, j) not in self.matrices:
            self.matrices[index, j] = name
            i, n = ("h", "i") if self.turned else ("i", "h")
            row = f"a{self.array(Ref('row'))} + m * s{self.array(Ref('row'))}k + q{index}"
            load = f"{name} = tl.load({row} + {i} * ({p.count} * H) + {j} * H + {n}, mask=both, other=0.0)"
            self.before.append(load)
        return name

    def kernel(
        self, name: str, head: str, first: list[str], carried: list[str], left: Iterable[Ref]
    ) -> tuple[Loop, str]:
        """The kernel: `head` begins the loop, `carried` are the values passed to the next step, and `left` is
        the location of the values of the last step."""
        local = {"dold", "dnew"}
        kept = {
            ref: value
            for ref, value in self.stores.items()
            if ref.kind not in local and not (ref.kind == "dnode" and not self.plan.is_outer[ref.index])
        }
        self.stores = kept
        body = [*first, "at = (k * T + t) * B + b", *self.lines, *self.storing()]
        body += [f"n{s} = {self.full(value)}" for s, value in enumerate(carried)]
        body += [f"c{s} = n{s}" for s in range(len(carried))]
        begin = []
        for s, ref in enumerate(self.carried):
            place = "(k * ((T + 1) * B) + b) * H + h" if ref.kind == "old" else "(k * B + b) * H + h"
            begin.append(f"c{s} = tl.load(a{self.array(ref)} + {place}, mask=ok, other=0.0)")
        end = [f"tl.store({self.place(ref)}, c{s}, mask=ok)" for s, ref in enumerate(left)]
        lines = [
            "m = tl.program_id(0).to(tl.int64)",
            "b = tl.program_id(1) * R + tl.arange(0, R)[:, None]",
            "h = tl.arange(0, W)[None, :]",
            "i = tl.arange(0, W)[:, None]",
            "k = m + 0 * b",
            "ok = (b < B) & (h < H)",
            "both = (i < H) & (h < H)",
            *self.before, *begin, head, *(f"    {line}" for line in body), *end,
        ]  # fmt: skip
        products = tuple(sorted({index for index, _ in self.matrices}))
        offsets = [f"q{index}" for index in products]
        apart = [*self.unspecialized(), *offsets, "B"]
        arguments = [*self.arguments(), *offsets, "B", "H"]
        text = definition(name, arguments, ["T", "R", "W", "EXACT"], apart, lines)
        arrays, slots = tuple(self.arrays), tuple(self.slots)
        return Loop(name, arrays, slots, products, len(self.matrices), self.whole), text
