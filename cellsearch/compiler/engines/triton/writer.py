"""Formulas of the op table as lines of Triton. The text is made of rows of the table, node numbers and
numbers; no name of a user enters it."""

import ast

import numpy as np

from cellsearch.compiler.engines.formula import constant
from cellsearch.compiler.plan.kernels import Kernel, Ref
from cellsearch.compiler.plan.schedule import Plan

#: Functions of the op table that Triton has.
_DIRECT = {"exp", "log", "sqrt", "sin", "cos", "abs"}

#: What reductions combine with. A NaN on either side is the larger one.
PARTS = """
@part
def plus(a, b):
    return a + b

@part
def larger(a, b):
    return tl.where((a > b) | (a != a), a, b)
"""

#: The others. In float32 tanh is a polynomial near 0 (Cephes), where 1 - 2/(e^2x + 1) would lose digits; in
#: float64 a quotient of two. log1p and expm1 undo the rounding of 1 + x and of e^x (Kahan).
_HELPERS = """
@helper
def f_sigmoid(x):
    return 1.0 / (1.0 + tl.exp(-x))

@helper
def f_tanh(x):
    a = tl.abs(x)
    s = x * x
    q = 1.0 - 2.0 / (tl.exp(2.0 * a) + 1.0)
    return tl.where(a < 0.625, {near}, tl.where(x < 0.0, -q, q))

@helper
def f_log1p(x):
    u = 1.0 + x
    d = u - 1.0
    exact = (d == 0.0) | (u == float("inf"))
    return tl.where(d == 0.0, x, tl.log(u) * tl.where(exact, 1.0, x / tl.where(exact, 1.0, d)))

@helper
def f_expm1(x):
    u = tl.exp(x)
    d = u - 1.0
    exact = (d == 0.0) | (d == -1.0) | (u == float("inf"))
    return tl.where(d == 0.0, x, tl.where(exact, d, d * x / tl.log(tl.where(exact, 2.0, u))))
"""
_NEAR = {
    "float32": "((((-5.70498872745e-3 * s + 2.06390887954e-2) * s - 5.37397155531e-2) * s"
    " + 1.33314422036e-1) * s - 3.33332819422e-1) * s * x + x",
    "float64": "x + x * s * ((-9.64399179425052238628e-1 * s - 9.92877231001918586564e1) * s"
    " - 1.61468768441708447952e3) / (((s + 1.12811678491632931402e2) * s + 2.23548839060100448583e3) * s"
    " + 4.84406305325125486048e3)",
}

#: Arrays whose strides come as arguments: along K, T and B.
STRIDED = {"x", "past", "tick", "below"}


def strides(ref: Ref) -> str:
    """The axes along which the strides of an array come as arguments."""
    return "k" if ref.kind in ("weight", "row") else "ktb" if ref.kind in STRIDED else ""


def helpers(dtype: str) -> str:
    """The functions of the op table that Triton does not have."""
    return _HELPERS.format(near=_NEAR[dtype])


class Writer:
    """Collects kernels as lines of one function. A value is loaded when it is first read, and stored at the
    end.

    The lines work on a tile of R rows and W units: k [R, 1] or a number, b [R, 1], t, and h [1, W] say of
    whom; `at` is the row in an array [K, T, B, ·], and `ok` where there is something at all.
    """

    def __init__(self, plan: Plan, dtype: str) -> None:
        self.plan, self.dtype = plan, dtype
        self.lines: list[str] = []
        self.here: dict[Ref, str] = {}  # what lies at a ref by now: a variable or a number
        self.stores: dict[Ref, str] = {}
        self.count = 0
        self.whole = False
        self.arrays: dict[Ref, int] = {}

    def add(self, kernel: Kernel) -> None:
        """The lines of one kernel."""
        if not kernel.stores:
            return
        self.whole |= kernel.units
        values: dict[str, str] = {name: self.load(ref) for name, ref in kernel.loads}
        numbers: dict[str, float] = {}
        for let in kernel.lets:
            tree = ast.parse(let.formula, mode="eval").body
            if all(name in numbers for name in _names(tree)):
                numbers[let.name] = constant(let.formula, numbers)
                values[let.name] = _number(numbers[let.name], self.dtype)
                continue
            values[let.name] = self.let(self.emit(tree, values))
        for store in kernel.stores:
            formula = self.emit(ast.parse(store.formula, mode="eval").body, values)
            if store.add:
                formula = f"{self.load(store.ref)} + {formula}"
            self.here[store.ref] = self.stores[store.ref] = self.let(formula)

    def arguments(self) -> list[str]:
        """The pointers to the arrays that were touched, then the strides of those that need some."""
        found = [f"a{i}" for i in self.arrays.values()]
        return found + [f"s{i}{axis}" for ref, i in self.arrays.items() for axis in strides(ref)]

    def unspecialized(self) -> list[str]:
        """The arguments by whose values Triton shall not tell kernels apart: else each size would be compiled
        anew. H stays: whether it is a multiple of 16 decides how wide a load can be."""
        given = [(ref, i) for ref, i in self.arrays.items() if strides(ref)]
        return [name for ref, i in given for name in (f"a{i}", *(f"s{i}{axis}" for axis in strides(ref)))]

    def storing(self) -> list[str]:
        """The lines that store what was collected."""
        return [
            f"tl.store({self.place(ref)}, {self.full(value)}, mask=ok)" for ref, value in self.stores.items()
        ]

    def full(self, value: str) -> str:
        """A value as a tile."""
        return f"tl.full((R, W), {value}, tl.{self.dtype})" if _is_number(value) else value

    def let(self, formula: str) -> str:
        """A variable with this value; a number stays a number."""
        if formula.isidentifier() or _is_number(formula):
            return formula
        self.count += 1
        name = f"v{self.count}"
        self.lines.append(f"{name} = {formula}")
        return name

    def load(self, ref: Ref) -> str:
        """The value at a ref."""
        if ref not in self.here:
            self.here[ref] = self.let(f"tl.load({self.place(ref)}, mask=ok, other=0.0)")
        return self.here[ref]

    def place(self, ref: Ref) -> str:
        """The pointers to the value at a ref, [R, W]."""
        plan = self.plan
        match ref.kind:
            case "slot":
                return self.sized(Ref("slots"), f"at * ({plan.slots} * H) + {ref.index} * H + h")
            case "dslot":
                return self.sized(Ref("dslots"), f"at * ({len(plan.affines)} * H) + {ref.index} * H + h")
            case "old":
                return self.sized(ref, "(at + k * B) * H + h")  # T+1 entries for each member
            case "new":
                return self.sized(Ref("old", ref.index), "(at + k * B + B) * H + h")
            case "dold" | "dnew":
                return self.sized(ref, "(k * B + b) * H + h")
            case "dnode" if not plan.is_outer[ref.index]:
                return self.sized(ref, "(k * B + b) * H + h")
            case "weight":
                i = self.array(ref)
                unit = "0 * h" if plan.cell.weights[ref.index].kind == "scalar" else "h"
                return f"a{i} + k * s{i}k + {unit}"
            case kind if kind in STRIDED:
                i = self.array(ref)
                return f"a{i} + k * s{i}k + t * s{i}t + b * s{i}b + h"
        return self.sized(ref, "at * H + h")

    def sized(self, array: Ref, offset: str) -> str:
        return f"a{self.array(array)} + {offset}"

    def array(self, ref: Ref) -> int:
        return self.arrays.setdefault(ref, len(self.arrays))

    def emit(self, node: ast.expr, values: dict[str, str]) -> str:
        """A formula of the op table in Triton; reductions and helpers get lines of their own."""
        value = _fold(node)
        if value is not None:
            return _number(value, self.dtype)
        match node:
            case ast.Name(id=name):
                return values[name]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return f"(-{self.emit(operand, values)})"
            case ast.BinOp(left=left, op=op, right=right):
                if isinstance(op, ast.BitAnd | ast.BitOr):
                    return self.condition(node, values)
                sides = [self.emit(left, values), self.emit(right, values)]
                if all(map(_is_number, sides)):
                    return self.number(f"a {_SIGNS[type(op)]} b", sides)
                return f"({f' {_SIGNS[type(op)]} '.join(sides)})"
            case ast.Compare():
                return self.condition(node, values)
            case ast.Call(func=ast.Name(id="where"), args=[test, yes, no]):
                condition = self.condition(test, values)
                if condition in ("True", "False"):
                    return self.emit(yes if condition == "True" else no, values)
                return f"tl.where({condition}, {self.emit(yes, values)}, {self.emit(no, values)})"
            case ast.Call(func=ast.Name(id=name), args=[argument]):
                return self.call(name, self.emit(argument, values))
        raise AssertionError(f"no Triton for {ast.dump(node)}")

    def condition(self, node: ast.expr, values: dict[str, str]) -> str:
        """A condition; "True" or "False" where it is known."""
        match node:
            case ast.BinOp(left=left, op=op, right=right):
                sides = [self.condition(left, values), self.condition(right, values)]
                decides, neutral = ("True", "False") if isinstance(op, ast.BitOr) else ("False", "True")
                if decides in sides:
                    return decides
                open_sides = [side for side in sides if side != neutral]
                return f"({f' {_SIGNS[type(op)]} '.join(open_sides)})" if open_sides else neutral
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                a, b = self.emit(left, values), self.emit(right, values)
                if _is_number(a) and _is_number(b):
                    return str(_COMPARE[type(op)](_value(a), _value(b)))
                return f"({a} {_SIGNS[type(op)]} {b})"
        raise AssertionError(f"no condition: {ast.dump(node)}")

    def number(self, formula: str, arguments: list[str]) -> str:
        """The value of a formula over numbers."""
        return _number(constant(formula, dict(zip("ab", map(_value, arguments), strict=False))), self.dtype)

    def call(self, name: str, argument: str) -> str:
        if _is_number(argument):
            return self.number(f"{name}(a)", [argument])
        if name in _DIRECT:
            return f"tl.{name}({argument})"
        if name not in _REDUCTIONS:
            return self.let(f"f_{name}({argument})")
        masked = f"tl.where(ok, {argument}, {_REDUCTIONS[name][0]})"
        return self.let(_REDUCTIONS[name][1].format(masked))


_SIGNS: dict[type, str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.BitAnd: "&", ast.BitOr: "|",
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.NotEq: "!=",
}  # fmt: skip
_COMPARE = {
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.NotEq: np.not_equal,
}

#: By reduction: what stands where no unit is, and the call over the units.
_REDUCTIONS = {
    "mean": ("0.0", "tl.reduce({}, 1, plus, keep_dims=True) / H"),
    "total": ("0.0", "tl.reduce({}, 1, plus, keep_dims=True)"),
    "highest": ('float("-inf")', "tl.reduce({}, 1, larger, keep_dims=True)"),
    "sums_before": ("0.0", "tl.associative_scan({}, 1, plus)"),
    "sums_behind": ("0.0", "tl.associative_scan({}, 1, plus, reverse=True)"),
}


def _names(node: ast.expr) -> set[str]:
    called = {id(n.func) for n in ast.walk(node) if isinstance(n, ast.Call)}
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and id(n) not in called}


def _fold(node: ast.expr) -> float | None:
    """The value of a plain number, with a sign or without."""
    match node:
        case ast.Constant(value=value):
            return float(value)  # type: ignore[arg-type]
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=value)):
            return -float(value)  # type: ignore[arg-type]
    return None


def _number(value: float, dtype: str) -> str:
    """A number as the text has it: exactly what a tensor of this dtype would hold."""
    with np.errstate(over="ignore"):
        value = float(np.dtype(dtype).type(value))
    return repr(value) if np.isfinite(value) else f'float("{value}")'


def _is_number(text: str) -> bool:
    try:
        _value(text)
    except ValueError:
        return False
    return True


def _value(text: str) -> float:
    return float(text.removeprefix('float("').removesuffix('")'))
