"""Formulas of the op table as lines of Triton. The text consists of rows of the table, node numbers and
numbers; it contains no name of a user."""

import numpy as np

from cellsearch.compiler.plan.kernels import Kernel, Ref
from cellsearch.compiler.plan.schedule import Plan
from cellsearch.dsl.formulas.evaluate import fold
from cellsearch.dsl.formulas.form import SIGNS, Call, Formula, Number, Variable, substitute

#: Functions of the op table that Triton has.
_DIRECT = {"exp", "log", "sqrt", "sin", "cos", "erf", "abs"}

#: The combining functions of reductions. A NaN on either side is the larger value.
PARTS = """
@part
def plus(a, b):
    return a + b

@part
def larger(a, b):
    return tl.where((a > b) | (a != a), a, b)
"""

#: Other functions. In float32 tanh is a polynomial near 0 (Cephes), where 1 - 2/(e^2x + 1) would lose digits;
#: in
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

    The lines work on a tile of R rows and W units: k [R, 1] or a number, b [R, 1], t, and h [1, W] index
    member, sequence, step and unit; `at` is the row in an array [K, T, B, ·], and `ok` masks existing
    entries.
    """

    def __init__(self, plan: Plan, dtype: str) -> None:
        self.plan, self.dtype = plan, dtype
        self.lines: list[str] = []
        self.here: dict[Ref, str] = {}  # the current value at a ref: a variable or a number
        self.stores: dict[Ref, str] = {}
        self.count = 0
        self.whole = False
        self.arrays: dict[Ref, int] = {}
        self.slots: dict[Ref, int] = {}  # slots of the tape, and of its gradient, in the order of first use

    def add(self, kernel: Kernel) -> None:
        """The lines of one kernel."""
        if not kernel.stores:
            return
        self.whole |= kernel.units
        values = {name: _formula(self.load(ref)) for name, ref in kernel.loads}
        for let in kernel.lets:
            values[let.name] = _formula(self.let(self.emit(fold(substitute(let.formula, values)))))
        for store in kernel.stores:
            text = self.emit(fold(substitute(store.formula, values)))
            if store.add:
                text = f"{self.load(store.ref)} + {text}"
            self.here[store.ref] = self.stores[store.ref] = self.let(text)

    def arguments(self) -> list[str]:
        """The pointers to the used arrays, their strides if needed, the used slots, and the number of slots
        in the tape (S) and in its gradient (A)."""
        found = [f"a{i}" for i in self.arrays.values()]
        found += [f"s{i}{axis}" for ref, i in self.arrays.items() for axis in strides(ref)]
        return found + [f"j{i}" for i in self.slots.values()] + ["S", "A"]

    def unspecialized(self) -> list[str]:
        """The arguments that Triton must not specialise on: otherwise it would compile again for each size
        and each position in the tape. H stays specialised: loads can be wider if it is a multiple of 16."""
        apart = [f"a{i}" for ref, i in self.arrays.items() if strides(ref)]
        return apart + self.arguments()[len(self.arrays) :]

    def storing(self) -> list[str]:
        """The lines that store the collected values."""
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
            case "slot" | "dslot":
                # Slots and their number are arguments: stages with the same formulas have one text.
                count = "S" if ref.kind == "slot" else "A"
                slot = self.slots.setdefault(ref, len(self.slots))
                return self.sized(Ref(f"{ref.kind}s"), f"at * ({count} * H) + j{slot} * H + h")
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

    def emit(self, formula: Formula) -> str:
        """A formula whose numbers are folded in Triton; reductions and helpers get separate lines."""
        match formula:
            case Number(value):
                return _number(value, self.dtype)
            case Variable(name):
                return name
            case Call("neg", (a,)):
                return f"(-{self.emit(a)})"
            case Call(name, (a, b)) if name in SIGNS:
                return f"({self.emit(a)} {SIGNS[name].text} {self.emit(b)})"
            case Call("where", args):
                return f"tl.where({', '.join(map(self.emit, args))})"
            case Call(name, (a,)) if name in _DIRECT:
                return f"tl.{name}({self.emit(a)})"
            case Call(name, (a,)) if name in _REDUCTIONS:
                nothing, call = _REDUCTIONS[name]
                return self.let(call.format(f"tl.where(ok, {self.emit(a)}, {nothing})"))
            case Call(name, (a,)):
                return self.let(f"f_{name}({self.emit(a)})")
        raise AssertionError(f"no Triton for {formula}")


#: By reduction: the value of lanes without a unit, and the call over the units.
_REDUCTIONS = {
    "mean": ("0.0", "tl.reduce({}, 1, plus, keep_dims=True) / H"),
    "total": ("0.0", "tl.reduce({}, 1, plus, keep_dims=True)"),
    "highest": ('float("-inf")', "tl.reduce({}, 1, larger, keep_dims=True)"),
    "sums_before": ("0.0", "tl.associative_scan({}, 1, plus)"),
    "sums_behind": ("0.0", "tl.associative_scan({}, 1, plus, reverse=True)"),
}


def _formula(text: str) -> Formula:
    """A value of the text as a formula: a number or a variable."""
    return Number(_value(text)) if _is_number(text) else Variable(text)


def _number(value: float, dtype: str) -> str:
    """A number as text: exactly the value that a tensor of this dtype would hold."""
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
