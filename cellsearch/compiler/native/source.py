"""From a plan to C text. The text is made of rows of the op table, node numbers and numbers; no name of a
user enters it.

Every tensor the functions touch is a row of one table: base pointer p[i] and element strides s[4*i .. 4*i+3]
along K, T, B and H. Gradients that live for one step alone have a T stride of 0; the gradients of the states
swap two rows at every step.
"""

import ast
from dataclasses import dataclass
from functools import lru_cache

from cellsearch.compiler import kernels
from cellsearch.compiler.backward import backward_kernels
from cellsearch.compiler.kernels import Kernel, Ref
from cellsearch.compiler.plan import Plan, Product

PRELUDE = """#include "pointwise.h"
typedef void (*pack_function)(long, long, const real *, long, int, real *);
typedef void (*product_function)(long, long, long, const real *, long, const real *, real *, long, int);
"""


@dataclass(frozen=True)
class Step:
    """One product of a loop: rows of the table for what it reads, its matrix and what it writes."""

    index: int  # in plan.products
    source: Ref
    target: Ref
    slots: int
    add: bool
    transposed: bool


@dataclass(frozen=True)
class Source:
    """The C text of a plan, and the rows of its table."""

    text: str
    refs: tuple[Ref, ...]
    forward: tuple[Step, ...]
    backward: tuple[Step, ...]


@lru_cache(maxsize=1024)
def source(plan: Plan, above: frozenset[int]) -> Source:
    """The C text of a plan whose states `above` are read by the layer above."""
    outer, inner = kernels.forward(plan)
    back = backward_kernels(plan, above)
    groups = {"fo": outer, "fi": inner, "bo": back.outer, "bi": back.inner}
    every = (kernel for stages in groups.values() for group in stages for kernel in group)
    refs = list(dict.fromkeys(r for kernel in every for r in kernels.references(kernel)))
    index = plan.index
    stages = plan.inner

    def ahead(p: Product) -> Step:
        return Step(index[p], kernels.location(plan, p.source), Ref("slots", p.first), p.count, True, False)

    def behind(p: Product) -> Step | None:
        target = kernels.gradient(plan, p.source)
        if target is None:
            return None
        return Step(index[p], Ref("dslots", p.first), target, p.count, back.adds[index[p]], True)

    forward = tuple(ahead(p) for stage in stages for p in stage.products)
    turned = (behind(p) for stage in reversed(stages) for p in reversed(stage.products))
    backward = tuple(step for step in turned if step)
    for step in (*forward, *backward):
        refs += [r for r in (step.source, step.target) if r not in refs]
    for s in range(len(plan.cell.states)):
        refs += [r for r in (Ref("dnew", s), Ref("dold", s)) if r not in refs]
    rows = {ref: i for i, ref in enumerate(refs)}
    parts = [PRELUDE]
    for name, whole in (("fo", "f_outer"), ("fi", ""), ("bo", "b_outer"), ("bi", "")):
        for k, group in enumerate(groups[name]):
            parts += [_kernel(plan, f"{name}{k}_{j}", kernel, rows) for j, kernel in enumerate(group)]
            if whole:
                parts.append(_whole(f"{whole}{k}", _calls(f"{name}{k}", group)))
    body = []
    done = 0
    for k, group in enumerate(inner):
        count = len(stages[k].products) if stages else 0
        body += [_product(step, done + j, rows) for j, step in enumerate(forward[done : done + count])]
        body += _calls(f"fi{k}", group)
        done += count
    parts.append(_loop("f_loop", "for (long t = 0; t < T; t++)", forward, body, swap=[]))
    body = [_clear(rows, s) for s in range(len(plan.cell.states)) if Ref("dold", s) not in back.written]
    done = 0
    for k in reversed(range(len(back.inner))):
        body += _calls(f"bi{k}", back.inner[k])
        steps = [b for b in map(behind, reversed(stages[k].products if stages else ())) if b]
        body += [_product(step, done + j, rows) for j, step in enumerate(steps)]
        done += len(steps)
    swap = [(rows[Ref("dnew", s)], rows[Ref("dold", s)]) for s in range(len(plan.cell.states))]
    parts.append(_loop("b_loop", "for (long t = T - 1; t >= 0; t--)", backward, body, swap=swap))
    return Source("\n".join(parts), tuple(refs), forward, backward)


def _calls(name: str, group: tuple[Kernel, ...]) -> list[str]:
    """The calls of a stage's kernels, in order, at one step of one member."""
    return [f"{name}_{j}(B, H, p, s, k, t);" for j, kernel in enumerate(group) if kernel.stores]


def _kernel(plan: Plan, name: str, kernel: Kernel, rows: dict[Ref, int]) -> str:
    """One pointwise kernel at one step of one member."""
    lines = [f"static void {name}(long B, long H, real *const *p, const long *s, long k, long t) {{"]
    used = dict.fromkeys(kernels.references(kernel))
    if not kernel.units:
        lines += [f"    real q{rows[ref]}[STRIP] = {{0}};" for ref in used]
    lines.append("    for (long b = 0; b < B; b++) {")
    for ref in used:
        i = rows[ref]
        lines.append(
            f"        real *r{i} = p[{i}] + k * s[{4 * i}] + t * s[{4 * i + 1}] + b * s[{4 * i + 2}];"
        )
    write = _whole_rows if kernel.units else _strips
    return "\n".join([*lines, *write(plan, kernel, rows), "    }", "}"])


def _strips(plan: Plan, kernel: Kernel, rows: dict[Ref, int]) -> list[str]:
    """The loop over the units: as many as whole strips hold, which become vector code without a remainder,
    and then the rest as one strip that is computed on copies."""
    read = dict.fromkeys(ref for _, ref in kernel.loads if not _scalar(plan, ref))
    read.update(dict.fromkeys(store.ref for store in kernel.stores if store.add))
    written = dict.fromkeys(store.ref for store in kernel.stores)

    def body(letter: str) -> list[str]:
        found = []
        for variable, ref in kernel.loads:
            value = f"r{rows[ref]}[0]" if _scalar(plan, ref) else f"{letter}{rows[ref]}[h]"
            found.append(f"            const real {variable} = {value};")
        found += [f"            const real {let.name} = {expression(let.formula)};" for let in kernel.lets]
        for store in kernel.stores:
            sign = "+=" if store.add else "="
            found.append(f"            {letter}{rows[store.ref]}[h] {sign} {expression(store.formula)};")
        return found

    return [
        "        const long whole = H & -STRIP;",
        "#pragma GCC ivdep",
        "        for (long h = 0; h < whole; h++) {",
        *body("r"),
        "        }",
        "        if (whole == H) continue;",
        *(f"        take(q{rows[ref]}, r{rows[ref]} + whole, H - whole);" for ref in read),
        "#pragma GCC ivdep",
        "#pragma GCC unroll 1",
        "        for (int h = 0; h < STRIP; h++) {",
        *body("q"),
        "        }",
        *(f"        give(r{rows[ref]} + whole, q{rows[ref]}, H - whole);" for ref in written),
    ]


def _whole_rows(plan: Plan, kernel: Kernel, rows: dict[Ref, int]) -> list[str]:
    """The loops over the units of a kernel whose formulas call reductions."""
    loads, lets, lines = [], [], []
    for variable, ref in kernel.loads:
        loads.append(f"            const real {variable} = r{rows[ref]}[{0 if _scalar(plan, ref) else 'h'}];")
    for let in kernel.lets:
        formula = _reduce(ast.parse(let.formula, mode="eval").body, [*loads, *lets], lines)
        lets.append(f"            const real {let.name} = {_emit(formula)};")
    lines += ["#pragma GCC ivdep", "        for (long h = 0; h < H; h++) {", *loads, *lets]
    for store in kernel.stores:
        sign = "+=" if store.add else "="
        lines.append(f"            r{rows[store.ref]}[h] {sign} {expression(store.formula)};")
    return [*lines, "        }"]


def _scalar(plan: Plan, ref: Ref) -> bool:
    return ref.kind == "weight" and plan.cell.weights[ref.index].kind == "scalar"


_START = {"mean": "0", "total": "0", "highest": "-INFINITY", "sums_before": "0", "sums_behind": "0"}


def _reduce(node: ast.expr, before: list[str], lines: list[str]) -> ast.expr:
    """The formula with every reduction replaced by a variable, which loops put in `lines` compute, inner ones
    first. `before` computes what the formula reads."""

    class Reduce(ast.NodeTransformer):
        def visit_Call(self, call: ast.Call) -> ast.expr:
            call.args = [self.visit(a) for a in call.args]
            assert isinstance(call.func, ast.Name)
            kind = call.func.id
            if kind not in _START:
                return call
            name = f"m{len(lines)}"
            sums = kind.startswith("sums")
            lines.append(f"        real {name} = {_START[kind]};")
            if sums:
                lines.append(f"        real {name}_[H];")
            back = kind == "sums_behind"
            lines.append(f"        for (long h = {'H - 1; h >= 0; h--' if back else '0; h < H; h++'}) {{")
            lines.extend([*before, f"            const real e = {_emit(call.args[0])};"])
            grown = f"(e > {name}) | (e != e) ? e : {name}" if kind == "highest" else f"{name} + e"
            lines.append(f"            {name} = {grown};")
            if sums:
                lines.append(f"            {name}_[h] = {name};")
            lines.append("        }")
            if kind == "mean":
                lines.append(f"        {name} /= H;")
            return ast.Name(f"{name}_[h]" if sums else name)

    found = Reduce().visit(node)
    assert isinstance(found, ast.expr)
    return found


def _whole(name: str, calls: list[str]) -> str:
    """The kernels of an outer stage: all members and steps."""
    return (
        f"void {name}(long K, long T, long B, long H, real *const *p, const long *s) {{\n"
        "    for (long k = 0; k < K; k++)\n"
        f"        for (long t = 0; t < T; t++) {{ {' '.join(calls)} }}\n}}"
    )


def _loop(
    name: str,
    head: str,
    steps: tuple[Step, ...],
    body: list[str],
    swap: list[tuple[int, int]],
) -> str:
    """The loop over time, member by member. w[j], ld[j] and wk[j] are matrix j, its row stride and its member
    stride; `packed` holds one member's packed matrices, matrix j from at[j] on."""
    lines = [
        f"void {name}(long K, long T, long B, long H, real **p, long *s, real *const *w, const long *ld,",
        "        const long *wk, const long *at, real *packed, pack_function pack,",
        "        product_function product) {",
        "    for (long k = 0; k < K; k++) {",
    ]
    for j, step in enumerate(steps):
        inner, n = _sizes(step)
        lines.append(
            f"        pack({inner}, {n}, w[{j}] + k * wk[{j}], ld[{j}], {int(step.transposed)},"
            f" packed + at[{j}]);"
        )
    lines += [f"        {head} {{", *(f"            {line}" for line in body)]
    if swap:
        lines.append("            if (t > 0) {")
        for a, b in swap:
            lines.append(f"                real *q{a} = p[{a}]; p[{a}] = p[{b}]; p[{b}] = q{a};")
        lines.append("            }")
    lines.append("        }")
    if swap:  # every member starts from the same buffers
        lines.append("        if ((T - 1) & 1) {")
        for a, b in swap:
            lines.append(f"            real *q{a} = p[{a}]; p[{a}] = p[{b}]; p[{b}] = q{a};")
        lines.append("        }")
    return "\n".join([*lines, "    }", "}"])


def _sizes(step: Step) -> tuple[str, str]:
    fused = f"{step.slots} * H"
    return (fused, "H") if step.transposed else ("H", fused)


def _product(step: Step, j: int, rows: dict[Ref, int]) -> str:
    inner, n = _sizes(step)
    a, c = rows[step.source], rows[step.target]

    def at(i: int) -> str:
        return f"p[{i}] + k * s[{4 * i}] + t * s[{4 * i + 1}], s[{4 * i + 2}]"

    return f"product(B, {inner}, {n}, {at(a)}, packed + at[{j}], {at(c)}, {int(step.add)});"


def _clear(rows: dict[Ref, int], state: int) -> str:
    i = rows[Ref("dold", state)]
    element = f"p[{i}][k * s[{4 * i}] + b * s[{4 * i + 2}] + h]"
    return f"for (long b = 0; b < B; b++) for (long h = 0; h < H; h++) {element} = 0;"


def expression(formula: str) -> str:
    """A formula of the op table in C."""
    return _emit(ast.parse(formula, mode="eval").body)


_SIGNS: dict[type, str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.NotEq: "!=",
}


def _emit(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Constant(value=value):
            return f"((real){float(value)!r})"  # type: ignore[arg-type]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return f"(-{_emit(operand)})"
        case ast.BinOp(left=left, op=op, right=right):
            return f"({_emit(left)} {_SIGNS[type(op)]} {_emit(right)})"
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return f"({_emit(left)} {_SIGNS[type(op)]} {_emit(right)})"
        case ast.Call(func=ast.Name(id=name), args=arguments):
            called = name if name == "where" else f"f_{name}"
            return f"{called}({', '.join(map(_emit, arguments))})"
    raise AssertionError(f"no C for {ast.dump(node)}")
