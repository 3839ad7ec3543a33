"""The small arithmetic in which the op table is written, as frozen values.

In: text such as `g * y * (1 - y)`. Out: a `Formula`, a tree of numbers, variables and calls. Signs are calls
too (`a * b` is Call("mul", (a, b))), so that folding, sharing and every printer know one form. Text is parsed
once, when a row of the table is read; everything behind it works on the tree.
"""

import ast
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from functools import lru_cache

#: The functions that a formula may call. Each printer has to supply exactly these.
INTRINSICS = (
    "sigmoid", "tanh", "exp", "log", "log1p", "expm1", "sqrt", "sin", "cos", "erf", "abs", "where",
)  # fmt: skip

#: The mean, sum and largest of all units, and the sums of each unit with all before it, or with all behind
#: it.
REDUCTIONS = ("mean", "total", "highest", "sums_before", "sums_behind")


@dataclass(frozen=True, slots=True)
class Sign:
    """How a call is written that is no call by name, and how tightly it binds: as in Python."""

    text: str
    binds: int


COMPARE, OR, AND, SUM, PRODUCT, UNARY, ATOM = range(1, 8)
SIGNS = {
    "lt": Sign("<", COMPARE),
    "le": Sign("<=", COMPARE),
    "gt": Sign(">", COMPARE),
    "ge": Sign(">=", COMPARE),
    "ne": Sign("!=", COMPARE),
    "or": Sign("|", OR),
    "and": Sign("&", AND),
    "add": Sign("+", SUM),
    "sub": Sign("-", SUM),
    "mul": Sign("*", PRODUCT),
    "div": Sign("/", PRODUCT),
    "neg": Sign("-", UNARY),
}
#: What gives true or false: for the first argument of `where` alone.
CONDITIONS = frozenset(name for name, sign in SIGNS.items() if sign.binds <= AND)


@dataclass(frozen=True, slots=True)
class Number:
    """A number."""

    value: float


@dataclass(frozen=True, slots=True)
class Variable:
    """A value by name."""

    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """A sign, a function or a reduction of other formulas."""

    function: str
    args: tuple["Formula", ...]


Formula = Number | Variable | Call

_PYTHON: dict[type[ast.AST], str] = {
    ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge", ast.NotEq: "ne", ast.BitOr: "or",
    ast.BitAnd: "and", ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div",
}  # fmt: skip


@lru_cache(maxsize=1024)
def formula(text: str) -> Formula:
    """The formula that a text of the op table stands for. ValueError where it is none."""
    return _read(ast.parse(text, mode="eval").body)


def _read(node: ast.expr) -> Formula:
    match node:
        case ast.Constant(value=int() | float() as value):
            return Number(float(value))
        case ast.Name(id=name):
            return Variable(name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return Call("neg", (_read(operand),))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _PYTHON:
            return Call(_PYTHON[type(op)], (_read(left), _read(right)))
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _PYTHON:
            return Call(_PYTHON[type(op)], (_read(left), _read(right)))
        case ast.Call(func=ast.Name(id=name), args=args) if name in (*INTRINSICS, *REDUCTIONS):
            return Call(name, tuple(map(_read, args)))
    raise ValueError(f"no formula: {ast.unparse(node)}")


def parts(of: Formula) -> Iterator[Formula]:
    """The formula and all that stands in it, what stands outside first."""
    yield of
    if isinstance(of, Call):
        for arg in of.args:
            yield from parts(arg)


def variables(of: Formula) -> frozenset[str]:
    """The values that a formula reads."""
    return frozenset(part.name for part in parts(of) if isinstance(part, Variable))


def functions(of: Formula) -> frozenset[str]:
    """The functions and reductions that a formula calls; no signs."""
    return frozenset(p.function for p in parts(of) if isinstance(p, Call) and p.function not in SIGNS)


def is_whole(of: Formula, whole: Set[str]) -> bool:
    """Whether a value has a number for every unit: one of the values `whole` stands in it, and not for a mean
    or sum alone, which is one number for all."""
    match of:
        case Variable(name):
            return name in whole
        case Call(function, args):
            return function not in ("mean", "total", "highest") and any(is_whole(arg, whole) for arg in args)
    return False


def substitute(of: Formula, values: Mapping[str, Formula]) -> Formula:
    """The formula with formulas in the place of variables; those that `values` has not stay."""
    match of:
        case Variable(name):
            return values.get(name, of)
        case Call(function, args):
            return Call(function, tuple(substitute(arg, values) for arg in args))
    return of


def add(*terms: Formula) -> Formula:
    """The sum of formulas, from the left."""
    total, *others = terms
    for term in others:
        total = Call("add", (total, term))
    return total


def multiply(a: Formula, b: Formula) -> Formula:
    """The product of two formulas."""
    return Call("mul", (a, b))
