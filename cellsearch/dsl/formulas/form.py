"""The arithmetic of the op table as frozen values.

Text such as `g * y * (1 - y)` becomes a `Formula`, a tree of numbers, variables and calls. Operators are
calls too (`a * b` is Call("mul", (a, b))), so that folding, sharing and every printer handle one form. Text
is parsed once, when a row of the table is read; everything else works on the tree.
"""

import ast
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from functools import lru_cache

#: The functions that a formula may call. Each printer supplies exactly these.
INTRINSICS = (
    "sigmoid", "tanh", "exp", "log", "log1p", "expm1", "sqrt", "sin", "cos", "erf", "abs", "where",
)  # fmt: skip

#: Mean, sum and maximum over the units, and cumulative sums over the units, forward and backward.
REDUCTIONS = ("mean", "total", "highest", "sums_before", "sums_behind")


@dataclass(frozen=True, slots=True)
class Sign:
    """The operator form of a call and its precedence, as in Python."""

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
#: Conditions: allowed only as the first argument of `where`.
CONDITIONS = frozenset(name for name, sign in SIGNS.items() if sign.binds <= AND)


@dataclass(frozen=True, slots=True)
class Number:
    """A number."""

    value: float


@dataclass(frozen=True, slots=True)
class Variable:
    """A named value."""

    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """An operator, a function or a reduction applied to formulas."""

    function: str
    args: tuple["Formula", ...]


Formula = Number | Variable | Call

_PYTHON: dict[type[ast.AST], str] = {
    ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge", ast.NotEq: "ne", ast.BitOr: "or",
    ast.BitAnd: "and", ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div",
}  # fmt: skip


@lru_cache(maxsize=1024)
def formula(text: str) -> Formula:
    """Parse a formula of the op table. Raises ValueError for invalid text."""
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
    raise ValueError(f"not a formula: {ast.unparse(node)}")


def parts(of: Formula) -> Iterator[Formula]:
    """The formula and its subformulas, outermost first."""
    yield of
    if isinstance(of, Call):
        for arg in of.args:
            yield from parts(arg)


def variables(of: Formula) -> frozenset[str]:
    """The values that a formula reads."""
    return frozenset(part.name for part in parts(of) if isinstance(part, Variable))


def functions(of: Formula) -> frozenset[str]:
    """The functions and reductions that a formula calls, without operators."""
    return frozenset(p.function for p in parts(of) if isinstance(p, Call) and p.function not in SIGNS)


def is_whole(of: Formula, whole: Set[str]) -> bool:
    """Whether a value has one number per unit: it reads one of the values `whole` outside of means and sums,
    which give one number for all units."""
    match of:
        case Variable(name):
            return name in whole
        case Call(function, args):
            return function not in ("mean", "total", "highest") and any(is_whole(arg, whole) for arg in args)
    return False


def substitute(of: Formula, values: Mapping[str, Formula]) -> Formula:
    """The formula with variables replaced by the formulas in `values`; other variables stay."""
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
