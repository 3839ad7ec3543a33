"""Rows of the op table as Python over tensors.

An op whose formula is one sign, or one function that torch has, stands in the expression itself; any other
becomes a function of the op's name at the top of the file.
"""

import ast
import builtins
from collections import Counter

from cellsearch.dsl.ops import INTRINSICS, REDUCTIONS, Op

#: The reductions of the op table's arithmetic, along the last axis: the units.
_ALONG_UNITS = {
    "mean": "torch.mean({0}, -1, keepdim=True)",
    "total": "torch.sum({0}, -1, keepdim=True)",
    "highest": "torch.amax({0}, -1, keepdim=True)",
    "sums_before": "torch.cumsum({0}, -1)",
    "sums_behind": "torch.flip(torch.cumsum(torch.flip({0}, (-1,)), -1), (-1,))",
}
assert _ALONG_UNITS.keys() == set(REDUCTIONS)


def template(op: Op) -> str | None:
    """The op with its arguments as {0} and {1}; None where it needs a function of its own."""
    match ast.parse(op.forward, mode="eval").body:
        case ast.BinOp(ast.Name("a"), _, ast.Name("b")):
            return f"{{0}} {op.symbol} {{1}}"
        case ast.UnaryOp(_, ast.Name("a")):
            return f"{op.symbol}{{0}}"
        case ast.Call(ast.Name(name), [ast.Name("a")]) if name in INTRINSICS:
            return f"torch.{name}({{0}})"
    return None


def function(op: Op) -> list[str]:
    """The lines of the function that stands for an op. A call that the formula repeats gets a name."""
    result = ast.parse(op.forward, mode="eval").body
    given = ", ".join(f"{name}: Tensor" for name in ("a", "b")[: op.arity])
    lines = [f"def {function_name(op)}({given}) -> Tensor:"]
    if op.about:
        lines.append(f'    """{op.about[0].upper()}{op.about[1:]}."""')
    for name in ("part", *(f"part_{k}" for k in range(2, 9))):
        repeated = _repeated(result)
        if repeated is None:
            break
        lines.append(f"    {name} = {_spelled(repeated)}")
        result = _replace(result, ast.dump(repeated), name)
    return [*lines, f"    return {_spelled(result)}"]


def function_name(op: Op) -> str:
    """The op's name, with a _ behind it where Python has a function called so."""
    return f"{op.name}_" if hasattr(builtins, op.name) else op.name


def _repeated(formula: ast.expr) -> ast.expr | None:
    """The longest part with a call in it that stands twice."""
    parts = [node for node in ast.walk(formula) if isinstance(node, ast.expr)]
    times = Counter(map(ast.dump, parts))
    found = [p for p in parts if times[ast.dump(p)] > 1 and any(isinstance(n, ast.Call) for n in ast.walk(p))]
    return max(found, key=lambda p: len(ast.unparse(p)), default=None)


def _replace(formula: ast.expr, part: str, name: str) -> ast.expr:
    """The formula with a name wherever `part` stands."""

    class Replace(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST:
            return ast.Name(name) if ast.dump(node) == part else super().visit(node)

    replaced = Replace().visit(formula)
    assert isinstance(replaced, ast.expr)
    return replaced


class _Torch(ast.NodeTransformer):
    """Puts torch's functions where the formula has those of the op table."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        assert isinstance(node.func, ast.Name)
        if node.func.id in INTRINSICS:
            return ast.Call(ast.Name(f"torch.{node.func.id}"), node.args, [])
        form = _ALONG_UNITS[node.func.id]
        return ast.parse(form.format(ast.unparse(node.args[0])), mode="eval").body


def _spelled(formula: ast.expr) -> str:
    copy = ast.parse(ast.unparse(formula), mode="eval").body  # the transformer works in place
    return ast.unparse(_Torch().visit(copy))
