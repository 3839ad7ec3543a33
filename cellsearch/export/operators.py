"""Rows of the op table as Python over tensors.

An op whose formula is one sign, or one function that torch has, stands in the expression itself; any other becomes a
function of the op's name at the top of the file.
"""

import ast
import builtins

from cellsearch.dsl.ops import INTRINSICS, Op


def template(op: Op) -> str | None:
    """The op with its arguments as {0} and {1}; None where it needs a function of its own."""
    match ast.parse(op.forward, mode="eval").body:
        case ast.BinOp(ast.Name("a"), _, ast.Name("b")):
            return f"{{0}} {op.symbol} {{1}}"
        case ast.UnaryOp(_, ast.Name("a")):
            return f"{op.symbol}{{0}}"
        case ast.Call(ast.Name(name), [ast.Name("a")]):
            return f"torch.{name}({{0}})"
    return None


def function(op: Op) -> list[str]:
    """The lines of the function that stands for an op."""
    tree = ast.parse(op.forward, mode="eval")
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in INTRINSICS:
            node.id = f"torch.{node.id}"
    given = ", ".join(f"{name}: Tensor" for name in ("a", "b")[: op.arity])
    about = [f'    """{op.about[0].upper()}{op.about[1:]}."""'] if op.about else []
    return [f"def {function_name(op)}({given}) -> Tensor:", *about, f"    return {ast.unparse(tree)}"]


def function_name(op: Op) -> str:
    """The op's name, with a _ behind it where Python has a function called so."""
    return f"{op.name}_" if hasattr(builtins, op.name) else op.name
