"""Pointwise kernels as C text: loops over the sequences of a minibatch and the units of one step.

In: kernels of a plan, in rows of the op table, and the row of each ref in the table of tensors (see
`source`). Out: functions. No name of a user enters the text.
"""

import ast

from cellsearch.compiler.plan import kernels
from cellsearch.compiler.plan.kernels import Kernel, Ref
from cellsearch.compiler.plan.schedule import Plan


def function(plan: Plan, name: str, kernel: Kernel, rows: dict[Ref, int]) -> str:
    """One kernel as a function of B, H, the table and the place: member k, step t."""
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
    loads: list[str] = []
    lets: list[str] = []
    lines: list[str] = []
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
