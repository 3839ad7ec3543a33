"""From a plan to C text: the functions `forward` and `backward` of a layer. The text is made of rows of the
op table, node numbers and numbers; no name of a user enters it.

Members are computed one after another, each from its inputs to its last state, and back to the gradients of
its matrices. Every tensor the functions touch is a row of one table: base pointer p[i] and element strides
s[4*i .. 4*i+3] along K, T, B and H. Gradients that live for one step alone have a T stride of 0; the gradients
of the states swap two rows at every step.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from cellsearch.compiler import kernels
from cellsearch.compiler.backward import Backward, backward_kernels
from cellsearch.compiler.kernels import Kernel, Ref
from cellsearch.compiler.native.pointwise import function
from cellsearch.compiler.plan import Plan, Product

#: What `clocked` libraries tell apart, in the order of their laps.
PARTS = (
    "x part", "step products, forward", "pointwise, forward", "step products, backward", "pointwise, backward",
    "x part, backward", "weight gradients",
)  # fmt: skip
_X, _AHEAD, _POINTS, _BEHIND, _BACK_POINTS, _BACK_X, _MATRICES = range(len(PARTS))

#: In front of a text it makes the functions count the time of their parts, which `take_times` hands over.
CLOCKED = "#define CLOCKED\n"

#: `n` holds sizes, then for every product of the plan where its matrix starts in a row of weights, the width of its
#: source, and where its packed matrix starts; see `loop`.
PRELUDE = """#include "pointwise.h"
typedef struct {
    void (*pack)(long, long, const real *, long, int, real *);
    void (*product)(long, long, long, const real *, long, const real *, real *, long, int);
    void (*products)(long, long, long, long, const real *, long, long, const real *, long, long, int, const real *,
                     long, real *, long, long, int, real *);
    void (*gradients)(long, long, long, const real *, long, long, long, const long *, const long *, real *);
} functions;

#ifdef CLOCKED
#include <time.h>
static double spent[7], since;
static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec + 1e-9 * at.tv_nsec;
}
void take_times(double *to) {
    memcpy(to, spent, sizeof spent);
    memset(spent, 0, sizeof spent);
}
#define BEGIN since = now();
#define LAP(part) { const double at_ = now(); spent[part] += at_ - since; since = at_; }
#else
#define BEGIN
#define LAP(part)
#endif
"""

_HEAD = """void {name}(const long *n, real **p, const long *s, const real *rows, real *d_rows, real *packed,
        const functions *f) {{
    const long K = n[0], T = n[1], B = n[2], H = n[3], *start = n + 8, *width = start + {count}, *at = width + {count};
    real *room = packed + at[{count}];
    for (long k = 0; k < K; k++) {{
        const real *row = rows + k * n[4], *bias = row + n[6];
        BEGIN"""


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
    """Writes the text; `rows` numbers the refs as they come."""

    def __init__(self, plan: Plan, above: frozenset[int]) -> None:
        self.plan = plan
        self.outer, self.inner = kernels.forward(plan)
        self.back: Backward = backward_kernels(plan, above)
        self.rows: dict[Ref, int] = {}

    def source(self) -> Source:
        for stages in (self.outer, self.inner, self.back.outer, self.back.inner):
            for ref in (r for group in stages for kernel in group for r in kernels.references(kernel)):
                self.row(ref)
        bodies = [self.whole("forward", self.forward()), self.whole("backward", self.backward())]
        parts = [PRELUDE]
        groups = {"fo": self.outer, "fi": self.inner, "bo": self.back.outer, "bi": self.back.inner}
        for name, stages in groups.items():
            for k, group in enumerate(stages):
                for j, kernel in enumerate(group):
                    if kernel.stores:
                        parts.append(function(self.plan, f"{name}{k}_{j}", kernel, self.rows))
        return Source("\n".join([*parts, *bodies]), tuple(self.rows))

    def row(self, ref: Ref) -> int:
        return self.rows.setdefault(ref, len(self.rows))

    def whole(self, name: str, body: Iterator[str]) -> str:
        head = _HEAD.format(name=name, count=len(self.plan.products))
        return "\n".join([head, *(f"        {line}" for line in body), "    }", "}"])

    def forward(self) -> Iterator[str]:
        """One member, from its inputs to its last state."""
        plan, index = self.plan, self.plan.index
        begun = {slot for p in plan.beginners for slot in range(p.first, p.first + p.count)}
        for slot in sorted(set(range(len(plan.affines))) - begun):  # slots start at their biases
            i = self.row(Ref("slots", slot))
            yield f"for (long r = 0; r < T * B; r++) memcpy({self.member(i)} + r * s[{4 * i + 2}],"
            yield f"    bias + {slot} * H, H * sizeof(real));"
        for k, stage in enumerate(plan.outer):
            for p in stage.products:
                bias = f"bias + {p.first} * H" if p in plan.beginners else "0"  # a beginner brings them along
                a = self.row(kernels.location(plan, p.source))
                c = self.row(Ref("slots", p.first))
                yield self.at_once(index[p], a, c, p, bias=bias, add=p not in plan.beginners)
            yield from self.every_step(f"fo{k}", self.outer[k])
        yield f"LAP({_X})"
        stages = plan.inner
        yield from self.packing(p for stage in stages for p in stage.products)
        yield "for (long t = 0; t < T; t++) {"
        for k, group in enumerate(self.inner):
            for p in stages[k].products if stages else ():
                a, c = self.row(kernels.location(plan, p.source)), self.row(Ref("slots", p.first))
                yield f"    f->product(B, H, {p.count} * H, {self.step(a)}, packed + at[{index[p]}], {self.step(c)}, 1);"
            yield f"    LAP({_AHEAD})"
            yield from (f"    {call}" for call in _calls(f"fi{k}", group))
            yield f"    LAP({_POINTS})"
        yield "}"

    def backward(self) -> Iterator[str]:
        """One member, from its last state to the gradients of its matrices."""
        plan, index, back = self.plan, self.plan.index, self.back
        stages = plan.inner
        behind = [
            p for stage in stages for p in stage.products if kernels.gradient(plan, p.source) is not None
        ]
        yield from self.packing(behind, turned=True)
        yield "for (long t = T - 1; t >= 0; t--) {"
        states = range(len(plan.cell.states))
        for s in states:
            if Ref("dold", s) not in back.written:
                i = self.row(Ref("dold", s))
                yield f"    for (long b = 0; b < B; b++) memset({self.member(i)} + b * s[{4 * i + 2}], 0, H * sizeof(real));"
        for k in reversed(range(len(back.inner))):
            yield from (f"    {call}" for call in _calls(f"bi{k}", back.inner[k]))
            yield f"    LAP({_BACK_POINTS})"
            for p in reversed(stages[k].products if stages else ()):
                target = kernels.gradient(plan, p.source)
                if target is not None:
                    a, c = self.row(Ref("dslots", p.first)), self.row(target)
                    yield f"    f->product(B, {p.count} * H, H, {self.step(a)}, packed + at[{index[p]}], {self.step(c)},"
                    yield f"        {int(back.adds[index[p]])});"
            yield f"    LAP({_BEHIND})"
        pairs = [(self.row(Ref("dnew", s)), self.row(Ref("dold", s))) for s in states]
        swap = [f"real *q{a} = p[{a}]; p[{a}] = p[{b}]; p[{b}] = q{a};" for a, b in pairs]
        yield f"    if (t > 0) {{ {' '.join(swap)} }}"
        yield "}"
        yield f"if ((T - 1) & 1) {{ {' '.join(swap)} }}"  # every member starts from the same buffers
        for k in reversed(range(len(plan.outer))):
            yield from self.every_step(f"bo{k}", back.outer[k])
            for p in reversed(plan.outer[k].products):
                ref = kernels.gradient(plan, p.source)
                if ref is not None:
                    a, c = self.row(Ref("dslots", p.first)), self.row(ref)
                    call = self.at_once(index[p], a, c, p, turned=True, add=back.adds[index[p]])
                    yield f"if (n[7]) {call}" if ref.kind == "dx" else call  # of x where it is asked for
        yield f"LAP({_BACK_X})"
        yield from self.gradients()
        yield f"LAP({_MATRICES})"

    def gradients(self) -> Iterator[str]:
        """Of all matrices; those that were multiplied to the same slots share the packing of their gradient."""
        sums: dict[tuple[int, int], list[Product]] = {}
        for p in self.plan.products:
            sums.setdefault((p.first, p.count), []).append(p)
        for (first, count), products in sums.items():
            places, widths = [], []
            for p in products:
                a, j = self.row(kernels.location(self.plan, p.source)), self.plan.index[p]
                places.append(
                    f"(long)({self.member(a)}), 0, s[{4 * a + 2}], (long)(d_rows + k * n[5] + start[{j}]), 0, {count} * H"
                )
                widths.append(f"width[{j}]")
            g = self.row(Ref("dslots", first))
            yield f"{{ const long places[] = {{{', '.join(places)}}}, widths[] = {{{', '.join(widths)}}};"
            yield f"  f->gradients(1, T * B, {count} * H, {self.member(g)}, 0, s[{4 * g + 2}], {len(products)}, widths, places, room); }}"

    def packing(self, products: Sequence[Product] | Iterator[Product], turned: bool = False) -> Iterator[str]:
        """The matrices of the loop, packed once for all steps."""
        for p in products:
            inner, n = (f"{p.count} * H", "H") if turned else ("H", f"{p.count} * H")
            j = self.plan.index[p]
            yield f"f->pack({inner}, {n}, row + start[{j}], {p.count} * H, {int(turned)}, packed + at[{j}]);"

    def at_once(
        self, j: int, a: int, c: int, p: Product, *, add: bool, bias: str = "0", turned: bool = False
    ) -> str:
        """One product of all steps."""
        inner, n = (f"{p.count} * H", f"width[{j}]") if turned else (f"width[{j}]", f"{p.count} * H")
        return (
            f"f->products(1, T * B, {inner}, {n}, {self.member(a)}, 0, s[{4 * a + 2}], row + start[{j}], 0, {p.count} * H,"
            f" {int(turned)}, {bias}, 0, {self.member(c)}, 0, s[{4 * c + 2}], {int(add)}, room);"
        )

    def every_step(self, name: str, group: tuple[Kernel, ...]) -> Iterator[str]:
        calls = _calls(name, group)
        if calls:
            yield f"for (long t = 0; t < T; t++) {{ {' '.join(calls)} }}"

    def member(self, i: int) -> str:
        return f"p[{i}] + k * s[{4 * i}]"

    def step(self, i: int) -> str:
        """Address and row stride at one step."""
        return f"p[{i}] + k * s[{4 * i}] + t * s[{4 * i + 1}], s[{4 * i + 2}]"


def _calls(name: str, group: tuple[Kernel, ...]) -> list[str]:
    """The calls of a stage's kernels, in order, at one step of one member."""
    return [f"{name}_{j}(B, H, p, s, k, t);" for j, kernel in enumerate(group) if kernel.stores]
