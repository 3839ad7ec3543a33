"""From a plan to C text: the functions `forward` and `backward` of a layer, with the macros of layer.h. The
text consists of rows of the op table, node numbers and numbers; it contains no name of a user.

A call computes one member, from its inputs to its last state, or back to the gradients of its matrices. The
outer part may have separate rows, one per symbol; the loop copies from them and adds to them (see
`input_table`), and kernels read values there that only they read. Every tensor that the functions use is a
row of one table. Gradients that live for one step have no stride along T; the gradients of the states swap
two rows at every step.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from cellsearch.compiler.engines.native.pointwise import function
from cellsearch.compiler.plan import kernels
from cellsearch.compiler.plan.backward import Backward, backward_kernels
from cellsearch.compiler.plan.input_table import copied, copied_in_c, filled, parted, summed
from cellsearch.compiler.plan.kernels import Kernel, Ref
from cellsearch.compiler.plan.schedule import Plan, Product
from cellsearch.compiler.run.kept import kept

#: The timed parts of an instrumented library.
PARTS = (
    "x part",
    "step products, forward",
    "pointwise, forward",
    "step products, backward",
    "pointwise, backward",
    "x part, backward",
    "weight gradients",
    "gradients of biases",
)
_X, _PRODUCTS, _POINTWISE, _BACK_PRODUCTS, _BACK_POINTWISE, _BACK_X, _MATRICES, _BIASES = range(len(PARTS))

PRELUDE = '#include "layer.h"'
#: Prefix for an instrumented build.
CLOCKED = "#define CLOCKED\n"


@dataclass(frozen=True)
class Source:
    """The C text of a plan, and the refs whose tensors are the rows of its table."""

    text: str
    refs: tuple[Ref, ...]


@kept
def source(plan: Plan, above: frozenset[int]) -> Source:
    """The C text of a plan whose states `above` are read by the layer above."""
    return _Writer(plan, above).source()


class _Writer:
    """Writes the text and numbers the refs in order of use."""

    def __init__(self, plan: Plan, above: frozenset[int]) -> None:
        self.plan = plan
        self.outer, self.inner = kernels.forward(plan)
        self.back: Backward = backward_kernels(plan, above)
        self.left = summed(plan, above)
        self.stages = [stage.products for stage in plan.inner] or [()]
        self.rows: dict[Ref, int] = {}

    def source(self) -> Source:
        groups = {"fo": self.outer, "fi": self.inner, "bo": self.back.outer, "bi": self.back.inner}
        every = [
            (f"{name}{k}_{j}", kernel)
            for name, stages in groups.items()
            for k, group in enumerate(stages)
            for j, kernel in enumerate(group)
            if kernel.stores
        ]
        lines = [PRELUDE]
        plan = self.plan
        steps = {slot for first, count in copied_in_c(plan) for slot in range(first, first + count)}
        elsewhere = {s for first, count in copied(plan).slots for s in range(first, first + count)} - steps
        for name, kernel in every:
            refs, outer = kernels.references(kernel), name[1] == "o"
            by_symbol = {r for r in refs if not outer and r.kind == "slot" and r.index in elsewhere}
            rows = {ref: self.row(_outer(ref) if outer or ref in by_symbol else ref) for ref in refs}
            ahead = {"fi": "+", "bi": "-"}.get(name[:2], "")
            lines.append(function(plan, name, kernel, rows, ahead, by_symbol))
        for name, body in (("forward", self.forward()), ("backward", self.backward())):
            lines += [f"BEGIN({name}, {len(self.plan.products)})", *body, "END"]
        return Source("\n".join(lines), tuple(self.rows))

    def row(self, ref: Ref) -> int:
        return self.rows.setdefault(ref, len(self.rows))

    def value(self, p: Product) -> int:
        """The row of the source of a product."""
        return self.row(read(self.plan, p))

    def forward(self) -> Iterator[str]:
        """The forward pass of one member, from its inputs to its last state."""
        plan, index = self.plan, self.plan.index
        outer = filled(plan)
        for slot in plan.uninitialised:
            i = self.row(Ref("slots", slot, slot in outer))
            copy = f"memcpy(MEMBER({i}) + r * ROW({i}), BIAS({slot}), H * sizeof(real));"
            yield f"for (long r = 0; r < {'OUTER_ROWS' if slot in outer else 'T * B'}; r++) {copy}"
        for k, stage in enumerate(plan.outer):
            for p in stage.products:
                # the first product of a slot adds its bias
                bias, add = (f"BIAS({p.first})", 0) if p in plan.initialising else ("0", 1)
                c = self.row(Ref("slots", p.first, outer=True))
                yield f"FORWARD({index[p]}, {p.count}, {self.value(p)}, {c}, {bias}, {add});"
            yield _every_step(f"fo{k}", self.outer[k])
        yield f"LAP({_X})"
        yield from self.packing(p for products in self.stages for p in products)
        yield "for (long t = 0; t < T; t++) {"
        copies = (
            f"COPY({self.row(Ref('slots', first, outer=True))}, {self.row(Ref('slots', first))}, {count});"
            for first, count in copied_in_c(plan)
        )
        yield f"if (symbols) {{ {' '.join(copies)} }}"
        yield f"LAP({_X})"
        for k, products in enumerate(self.stages):
            for p in products:
                a, c = self.value(p), self.row(Ref("slots", p.first))
                yield f"AHEAD({index[p]}, {p.count}, {a}, {c});"
            yield f"LAP({_PRODUCTS})"
            yield from _calls(f"fi{k}", self.inner[k])
            yield f"LAP({_POINTWISE})"
        yield "}"

    def backward(self) -> Iterator[str]:
        """The backward pass of one member, from its last state to the gradients of its matrices."""
        plan, index, back = self.plan, self.plan.index, self.back
        targets = {p: kernels.gradient(plan, p.source) for p in plan.products}
        yield from self.packing((p for products in self.stages for p in products if targets[p]), turned=True)
        yield "for (long t = T - 1; t >= 0; t--) {"
        states = range(len(plan.cell.states))
        for ref in (Ref("dold", s) for s in states):
            if ref not in back.written:
                clear = f"memset(MEMBER({self.row(ref)}) + b * ROW({self.row(ref)}), 0, H * sizeof(real));"
                yield f"for (long b = 0; b < B; b++) {clear}"
        for k in reversed(range(len(back.inner))):
            yield from _calls(f"bi{k}", back.inner[k])
            yield f"LAP({_BACK_POINTWISE})"
            for p in reversed(self.stages[k]):
                if target := targets[p]:
                    a, c, add = self.row(target), self.row(Ref("dslots", p.first)), int(back.adds[index[p]])
                    yield f"BEHIND({index[p]}, {p.count}, {c}, {a}, {add});"
            yield f"LAP({_BACK_PRODUCTS})"
        sums = [(Ref("dslots", first), count) for first, count in self.left.slots]
        sums += [(ref, 1) for ref in self.left.others]
        adding = (f"ADD({self.row(ref)}, {self.row(_outer(ref))}, {count});" for ref, count in sums)
        yield f"if (symbols) {{ {' '.join(adding)} }}"
        yield f"LAP({_BACK_X})"
        swap = " ".join(f"SWAP({self.row(Ref('dnew', s))}, {self.row(Ref('dold', s))})" for s in states)
        yield f"if (t > 0) {{ {swap} }} }}"
        yield f"if ((T - 1) & 1) {{ {swap} }}"  # every member starts from the same buffers
        for k in reversed(range(len(plan.outer))):
            yield _every_step(f"bo{k}", back.outer[k])
            for p in reversed(plan.outer[k].products):
                if target := targets[p]:
                    a, c = self.row(_outer(target)), self.row(Ref("dslots", p.first, outer=True))
                    add = int(back.adds[index[p]])
                    asked = "if (n[6]) " if target.kind == "dx" else ""
                    yield f"{asked}BACKWARD({index[p]}, {p.count}, {c}, {a}, {add});"
        yield f"LAP({_BACK_X})"
        yield f"memset(D_BIAS(0), 0, {len(plan.affines)} * H * sizeof(real));"
        for outer, runs in zip((True, False), parted(plan, self.left.outer), strict=True):
            for first, count in runs:
                c = self.row(Ref("dslots", first, outer))
                yield f"SUM({'OUTER_ROWS' if outer else 'T * B'}, {count}, {c}, D_BIAS({first}));"
        yield f"LAP({_BIASES})"
        together: dict[tuple[int, int], list[Product]] = {}  # by slots: the products that fill them
        for p in plan.products:
            together.setdefault((p.first, p.count), []).append(p)
        for (first, count), products in together.items():
            ours = [p for p in products if plan.is_outer[p.source]]
            others = [p for p in products if not plan.is_outer[p.source]]
            if ours and others:  # they share the packed operand, unless they have separate rows
                yield "if (symbols) {"
                yield self.gradients(first, count, ours, outer=True)
                yield self.gradients(first, count, others, outer=False)
                yield "} else"
            yield self.gradients(first, count, products, outer=bool(ours))
        yield f"LAP({_MATRICES})"

    def gradients(self, first: int, count: int, products: Sequence[Product], *, outer: bool) -> str:
        """The gradients of matrices whose products fill the same slots."""
        places = ", ".join(f"PLACE({self.plan.index[p]}, {count}, {self.value(p)})" for p in products)
        widths = ", ".join(f"width[{self.plan.index[p]}]" for p in products)
        g, rows = self.row(Ref("dslots", first, outer)), "OUTER_ROWS" if outer else "T * B"
        return (
            f"{{ const long places[] = {{{places}}}, widths[] = {{{widths}}};"
            f" GRADIENTS({rows}, {count}, {g}, {len(products)}); }}"
        )

    def packing(self, products: Iterable[Product], turned: bool = False) -> Iterator[str]:
        """The matrices of the loop, packed once for all steps."""
        for p in products:
            inner, n = (f"{p.count} * H", "H") if turned else ("H", f"{p.count} * H")
            j = self.plan.index[p]
            yield f"f->pack({inner}, {n}, MATRIX({j}), {p.count} * H, {int(turned)}, packed + at[{j}]);"


def read(plan: Plan, p: Product) -> Ref:
    """The source of a product."""
    ref = kernels.location(plan, p.source)
    return _outer(ref) if plan.is_outer[p.source] else ref


def _calls(name: str, group: tuple[Kernel, ...], batch: str = "B") -> list[str]:
    """The calls of a stage's kernels, in order, at one step of one member."""
    return [
        f"{name}_{j}({batch}, H, p, s, symbols, k, t);" for j, kernel in enumerate(group) if kernel.stores
    ]


def _every_step(name: str, group: tuple[Kernel, ...]) -> str:
    calls = " ".join(_calls(name, group, "outer_B"))
    return f"for (long t = 0; t < outer_T; t++) {{ {calls} }}" if calls else ""


def _outer(ref: Ref) -> Ref:
    """The ref in the outer part; weights and tensors from outside are the same in both."""
    return ref if ref.kind in ("weight", "tick", "below", "past") else replace(ref, outer=True)
