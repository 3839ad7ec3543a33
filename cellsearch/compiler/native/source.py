"""From a plan to C text: the functions `forward` and `backward` of a layer, in the words of layer.h. The text
is made of rows of the op table, node numbers and numbers; no name of a user enters it.

Members are computed one after another, each from its inputs to its last state, and back to the gradients of
its matrices. Every tensor the functions touch is a row of one table. Gradients that live for one step alone
have no stride along T; the gradients of the states swap two rows at every step.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from cellsearch.compiler import kernels
from cellsearch.compiler.backward import Backward, backward_kernels
from cellsearch.compiler.kernels import Kernel, Ref
from cellsearch.compiler.native.pointwise import function
from cellsearch.compiler.plan import Plan, Product

#: What a clocked library tells apart.
PARTS = (
    "x part",
    "step products, forward",
    "pointwise, forward",
    "step products, backward",
    "pointwise, backward",
    "x part, backward",
    "weight gradients",
)
_X, _PRODUCTS, _POINTWISE, _BACK_PRODUCTS, _BACK_POINTWISE, _BACK_X, _MATRICES = range(len(PARTS))

PRELUDE = '#include "layer.h"'
#: In front of a text it makes a clocked library.
CLOCKED = "#define CLOCKED\n"


@dataclass(frozen=True)
class Source:
    """The C text of a plan, and the refs whose tensors are the rows of its table."""

    text: str
    refs: tuple[Ref, ...]


@lru_cache(maxsize=1024)
def source(plan: Plan, above: frozenset[int]) -> Source:
    """The C text of a plan whose states `above` are read by the layer above."""
    return _Writer(plan, above).source()


class _Writer:
    """Writes the text and numbers the refs as they come."""

    def __init__(self, plan: Plan, above: frozenset[int]) -> None:
        self.plan = plan
        self.outer, self.inner = kernels.forward(plan)
        self.back: Backward = backward_kernels(plan, above)
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
        for _, kernel in every:
            for ref in kernels.references(kernel):
                self.row(ref)
        lines = [PRELUDE, *(function(self.plan, name, kernel, self.rows) for name, kernel in every)]
        for name, body in (("forward", self.forward()), ("backward", self.backward())):
            lines += [f"BEGIN({name}, {len(self.plan.products)})", *body, "END"]
        return Source("\n".join(lines), tuple(self.rows))

    def row(self, ref: Ref) -> int:
        return self.rows.setdefault(ref, len(self.rows))

    def value(self, p: Product) -> int:
        """The row of what a product reads."""
        return self.row(kernels.location(self.plan, p.source))

    def forward(self) -> Iterator[str]:
        """One member, from its inputs to its last state."""
        plan, index = self.plan, self.plan.index
        begun = {slot for p in plan.beginners for slot in range(p.first, p.first + p.count)}
        for slot in sorted(set(range(len(plan.affines))) - begun):  # slots start at their biases
            i = self.row(Ref("slots", slot))
            copy = f"memcpy(MEMBER({i}) + r * ROW({i}), BIAS({slot}), H * sizeof(real));"
            yield f"for (long r = 0; r < T * B; r++) {copy}"
        for k, stage in enumerate(plan.outer):
            for p in stage.products:
                # the first product of a slot brings its bias along
                bias, add = (f"BIAS({p.first})", 0) if p in plan.beginners else ("0", 1)
                c = self.row(Ref("slots", p.first))
                yield f"FORWARD({index[p]}, {p.count}, {self.value(p)}, {c}, {bias}, {add});"
            yield _every_step(f"fo{k}", self.outer[k])
        yield f"LAP({_X})"
        yield from self.packing(p for products in self.stages for p in products)
        yield "for (long t = 0; t < T; t++) {"
        for k, products in enumerate(self.stages):
            for p in products:
                a, c = self.value(p), self.row(Ref("slots", p.first))
                yield f"AHEAD({index[p]}, {p.count}, {a}, {c});"
            yield f"LAP({_PRODUCTS})"
            yield from _calls(f"fi{k}", self.inner[k])
            yield f"LAP({_POINTWISE})"
        yield "}"

    def backward(self) -> Iterator[str]:
        """One member, from its last state to the gradients of its matrices."""
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
        swap = " ".join(f"SWAP({self.row(Ref('dnew', s))}, {self.row(Ref('dold', s))})" for s in states)
        yield f"if (t > 0) {{ {swap} }} }}"
        yield f"if ((T - 1) & 1) {{ {swap} }}"  # every member starts from the same buffers
        for k in reversed(range(len(plan.outer))):
            yield _every_step(f"bo{k}", back.outer[k])
            for p in reversed(plan.outer[k].products):
                if target := targets[p]:
                    a, c, add = self.row(target), self.row(Ref("dslots", p.first)), int(back.adds[index[p]])
                    asked = "if (n[7]) " if target.kind == "dx" else ""
                    yield f"{asked}BACKWARD({index[p]}, {p.count}, {c}, {a}, {add});"
        yield f"LAP({_BACK_X})"
        sums: dict[tuple[int, int], list[Product]] = {}  # by slots: what was multiplied to them
        for p in plan.products:
            sums.setdefault((p.first, p.count), []).append(p)
        for (first, count), products in sums.items():
            places = ", ".join(f"PLACE({index[p]}, {count}, {self.value(p)})" for p in products)
            widths = ", ".join(f"width[{index[p]}]" for p in products)
            g = self.row(Ref("dslots", first))
            yield f"{{ const long places[] = {{{places}}}, widths[] = {{{widths}}};"
            yield f"GRADIENTS({count}, {g}, {len(products)}); }}"
        yield f"LAP({_MATRICES})"

    def packing(self, products: Iterable[Product], turned: bool = False) -> Iterator[str]:
        """The matrices of the loop, packed once for all steps."""
        for p in products:
            inner, n = (f"{p.count} * H", "H") if turned else ("H", f"{p.count} * H")
            j = self.plan.index[p]
            yield f"f->pack({inner}, {n}, MATRIX({j}), {p.count} * H, {int(turned)}, packed + at[{j}]);"


def _calls(name: str, group: tuple[Kernel, ...]) -> list[str]:
    """The calls of a stage's kernels, in order, at one step of one member."""
    return [f"{name}_{j}(B, H, p, s, k, t);" for j, kernel in enumerate(group) if kernel.stores]


def _every_step(name: str, group: tuple[Kernel, ...]) -> str:
    calls = " ".join(_calls(name, group))
    return f"for (long t = 0; t < T; t++) {{ {calls} }}" if calls else ""
