"""Pointwise kernels as C text: loops over the sequences of a minibatch and the units of one step.

Kernels of a plan, in formulas of the op table, become C functions; `source` has the row of each ref in the
table of tensors. The text contains no name of a user.
"""

from collections.abc import Set
from math import isfinite

from cellsearch.compiler.plan import kernels
from cellsearch.compiler.plan.kernels import Kernel, Ref
from cellsearch.compiler.plan.schedule import Plan
from cellsearch.dsl.formulas.form import SIGNS, Call, Formula, Number, Variable


def function(
    plan: Plan,
    name: str,
    kernel: Kernel,
    rows: dict[Ref, int],
    ahead: str = "",
    by_symbol: Set[Ref] = frozenset(),
) -> str:
    """One kernel as a function of B, H, the table and the location: member k, step t. `ahead` is the
    direction of the next step, + or -, to prefetch its data, because the tape has left the caches; None
    without a loop over steps. The rows of `by_symbol` are those of a symbol, if inputs are rows of a
    table."""
    parameters = "long B, long H, real *const *p, const long *s, const int64_t *symbols, long k, long t"
    lines = [f"static void {name}({parameters}) {{"]
    used = dict.fromkeys(kernels.references(kernel))
    if not kernel.units:
        lines += [f"    real q{rows[ref]}[STRIP] = {{0}};" for ref in used]
    lines.append("    for (long b = 0; b < B; b++) {")
    for ref in used:
        i = rows[ref]
        row = f"t * s[{4 * i + 1}] + b * s[{4 * i + 2}]"
        if ref in by_symbol:
            row = f"(symbols ? symbols[t * B + b] * s[{4 * i + 2}] : {row})"
        lines.append(f"        real *r{i} = p[{i}] + k * s[{4 * i}] + {row};")
    if ahead:
        lines.append("        for (long h = 0; h < H; h += LINE) {")
        lines += [
            f"            FETCH(r{i} + h {ahead} s[{4 * i + 1}]);"
            for i in (rows[ref] for ref in used if _differs(ref) and ref not in by_symbol)
        ]
        lines.append("        }")
    write = _whole_rows if kernel.units else _strips
    return "\n".join([*lines, *write(plan, kernel, rows), "    }", "}"])


def _strips(plan: Plan, kernel: Kernel, rows: dict[Ref, int]) -> list[str]:
    """The loop over the units: whole strips, which become vector code without a remainder, then the rest as
    one strip on copies."""
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
        "IVDEP",
        "        for (long h = 0; h < whole; h++) {",
        *body("r"),
        "        }",
        "        if (whole == H) continue;",
        *(f"        take(q{rows[ref]}, r{rows[ref]} + whole, H - whole);" for ref in read),
        "IVDEP",
        "#pragma GCC unroll 1",
        "        for (int h = 0; h < STRIP; h++) {",
        *body("q"),
        "        }",
        *(f"        give(r{rows[ref]} + whole, q{rows[ref]}, H - whole);" for ref in written),
    ]


def _whole_rows(plan: Plan, kernel: Kernel, rows: dict[Ref, int]) -> list[str]:
    """The loops over the units of a kernel whose formulas call reductions: one loop for each reduction, and
    one that stores."""
    lines: list[str] = []
    before = [  # the body of each loop
        f"            const real {variable} = r{rows[ref]}[{0 if _scalar(plan, ref) else 'h'}];"
        for variable, ref in kernel.loads
    ]
    for let in kernel.lets:
        value = expression(_reduce(let.formula, before, lines))
        before.append(f"            const real {let.name} = {value};")
    stores = []
    for store in kernel.stores:
        value = expression(_reduce(store.formula, before, lines))
        stores.append(f"            r{rows[store.ref]}[h] {'+=' if store.add else '='} {value};")
    head = ["IVDEP", "        for (long h = 0; h < H; h++) {"]
    return [*lines, *head, *before, *stores, "        }"]


def _differs(ref: Ref) -> bool:
    """Whether the location of a ref changes at the next step."""
    return ref.kind not in ("weight", "dold", "dnew", "dnode")


def _scalar(plan: Plan, ref: Ref) -> bool:
    return ref.kind == "weight" and plan.cell.weights[ref.index].kind == "scalar"


_START = {"mean": "0", "total": "0", "highest": "-INFINITY", "sums_before": "0", "sums_behind": "0"}


def _reduce(formula: Formula, before: list[str], lines: list[str]) -> Formula:
    """The formula with every reduction replaced by a variable, which loops put in `lines` compute, inner ones
    first. `before` computes the operands of the formula."""
    if not isinstance(formula, Call):
        return formula
    args = tuple(_reduce(arg, before, lines) for arg in formula.args)
    kind = formula.function
    if kind not in _START:
        return Call(kind, args)
    name = f"m{len(lines)}"
    sums = kind.startswith("sums")
    lines.append(f"        real {name} = {_START[kind]};")
    if sums:
        lines.append(f"        real {name}_[H];")
    back = kind == "sums_behind"
    lines.append(f"        for (long h = {'H - 1; h >= 0; h--' if back else '0; h < H; h++'}) {{")
    lines.extend([*before, f"            const real e = {expression(args[0])};"])
    grown = f"(e > {name}) | (e != e) ? e : {name}" if kind == "highest" else f"{name} + e"
    lines.append(f"            {name} = {grown};")
    if sums:
        lines.append(f"            {name}_[h] = {name};")
    lines.append("        }")
    if kind == "mean":
        lines.append(f"        {name} /= H;")
    return Variable(f"{name}_[h]" if sums else name)


def expression(formula: Formula) -> str:
    """A formula of the op table in C."""
    match formula:
        case Variable(name):
            return name
        case Number(value):
            return f"((real){value!r})" if isfinite(value) else f"((real){_NOT_FINITE[repr(value)]})"
        case Call("neg", (a,)):
            return f"(-{expression(a)})"
        case Call(function, (a, b)) if function in SIGNS:
            return f"({expression(a)} {SIGNS[function].text} {expression(b)})"
        case Call("where", args):
            return f"where({', '.join(map(expression, args))})"
        case Call(function, args):
            return f"f_{function}({', '.join(map(expression, args))})"


_NOT_FINITE = {"inf": "INFINITY", "-inf": "-INFINITY", "nan": "NAN"}
