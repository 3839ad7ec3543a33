"""Rows of the op table as Python over tensors.

An op whose formula is one sign, or one function that torch has, stands in the expression itself; any other
becomes a function of the op's name at the top of the file.
"""

import builtins
from collections.abc import Sequence

from cellsearch.dsl.formulas.form import INTRINSICS, REDUCTIONS, SIGNS, Call, Formula, Variable, is_whole
from cellsearch.dsl.formulas.python import python
from cellsearch.dsl.formulas.sharing import share
from cellsearch.dsl.ops import Op
from cellsearch.dsl.printer import number

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
    match op.value:
        case Call(name, (Variable("a"), Variable("b"))) if name in SIGNS:
            return f"{{0}} {op.symbol} {{1}}"
        case Call("neg", (Variable("a"),)):
            return f"{op.symbol}{{0}}"
        case Call(name, (Variable("a"),)) if name in INTRINSICS:
            return f"torch.{name}({{0}})"
    return None


def call(op: Op) -> str:
    """The op with its arguments as {0} and {1}; a function of the file where it needs one of its own."""
    return template(op) or f"{function_name(op)}({', '.join(('{0}', '{1}')[: op.arity])})"


def function(op: Op) -> list[str]:
    """The lines of the function that stands for an op. A call that the formula repeats gets a name."""
    given = ", ".join(f"{name}: Tensor" for name in ("a", "b")[: op.arity])
    lines = [f"def {function_name(op)}({given}) -> Tensor:"]
    if op.about:
        lines.append(f'    """{op.about[0].upper()}{op.about[1:]}."""')
    lets, (result,) = share((), (op.value,), lambda k: f"part_{k + 1}" if k else "part")
    lines += [f"    {name} = {_text(part)}" for name, part in lets]
    one = "" if is_whole(op.value, {"a", "b"}) else ".expand_as(a)"
    return [*lines, f"    return {_text(result)}{one}"]


def function_name(op: Op) -> str:
    """The op's name, with a _ behind it where Python has a function called so."""
    return f"{op.name}_" if hasattr(builtins, op.name) else op.name


def _text(of: Formula) -> str:
    return python(of, _call, number)


def _call(function: str, args: Sequence[str]) -> str:
    given = ", ".join(args)
    return f"torch.{function}({given})" if function in INTRINSICS else _ALONG_UNITS[function].format(given)
