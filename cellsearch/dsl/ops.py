"""THE table of ops: formula, derivative and notation of each. Everything else reads it.

Parser, printer, compiler, mutations, exports and tests know an op only by its row; a new op is one new row.
The module is torch-free: formulas are text in a small arithmetic (`+ - * /`, comparisons, `&` `|`, numbers,
and the functions of `INTRINSICS`) that is parsed once, see `formulas`, and printed by every engine. Ops over
the units may also call `REDUCTIONS`, which work along the H units of one value.

Names in a formula:  a  first argument    b  second argument    y  the result    g  gradient arriving at the result
The values that a derivative reads are kept for the backward pass.
"""

from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from math import inf

from cellsearch.dsl.formulas.form import INTRINSICS, REDUCTIONS, Formula, formula, functions, variables


class Kind(Enum):
    """The domain of an op: elementwise with one or two arguments, or over all units."""

    ACTIVATION = "activation"
    COMBINE = "combine"
    UNITS = "units"


SUM, PRODUCT, UNARY, CALL = 1, 2, 3, 4  # precedence of an op in text; a call needs no parentheses


@dataclass(frozen=True)
class Op:
    """One row: a function of one or two values of width H."""

    name: str
    kind: Kind
    forward: str
    derivatives: tuple[str, ...]  # one per argument, already multiplied by g
    latex: str  # a format string over the arguments
    symbol: str = ""  # the infix or prefix operator; a call by name if empty
    binds: int = CALL
    commutative: bool = False
    domain: tuple[float, float] = (-3.0, 3.0)  # sampling range of checks
    kinks: tuple[float, ...] = ()  # jumps of the derivative, which checks avoid
    span: tuple[float, float] = (-inf, inf)  # bounds of its values
    onnx: str = ""  # its ONNX operator; else its formula is expanded
    about: str = ""

    @property
    def arity(self) -> int:
        return len(self.derivatives)

    @cached_property
    def value(self) -> Formula:
        """Its value, as a formula of a and b."""
        return formula(self.forward)

    @cached_property
    def gradients(self) -> tuple[Formula, ...]:
        """The gradient of each argument, as a formula of a, b, y and g."""
        return tuple(map(formula, self.derivatives))

    @cached_property
    def keeps(self) -> frozenset[str]:
        """The names among a, b, y that a derivative reads."""
        return frozenset().union(*map(variables, self.gradients)) - {"g"}


# At a tie max and min choose the first argument; a NaN on either side is the result.
_FIRST_MAX, _FIRST_MIN = "(a >= b) | (a != a)", "(a <= b) | (a != a)"
_A, _C, _U = Kind.ACTIVATION, Kind.COMBINE, Kind.UNITS
_DEVIATION = "sqrt(mean((a - mean(a)) * (a - mean(a))) + 1e-5)"
_SHARES = "exp(a - highest(a)) / total(exp(a - highest(a)))"

_GELU = "tanh(0.7978845608028654 * (a + 0.044715 * a * a * a))"

# fmt: off
TABLE = (
    #  name          kind forward                        derivative, one per argument                                   latex
    Op("add",         _C, "a + b",                       ("g", "g"),                                                    r"{0} + {1}", symbol="+", binds=SUM, commutative=True),
    Op("sub",         _C, "a - b",                       ("g", "-g"),                                                   r"{0} - {1}", symbol="-", binds=SUM),
    Op("mul",         _C, "a * b",                       ("g * b", "g * a"),                                            r"{0} \odot {1}", symbol="*", binds=PRODUCT, commutative=True),
    Op("div",         _C, "a / b",                       ("g / b", "-g * y / b"),                                       r"{0} \oslash {1}", symbol="/", binds=PRODUCT, domain=(0.5, 3.0)),
    Op("max",         _C, f"where({_FIRST_MAX}, a, b)",  (f"where({_FIRST_MAX}, g, "
    f"0)", f"where({_FIRST_MAX}, 0, g)"),  r"\max\left({0}, {1}\right)", about="a tie chooses the first "
    "argument", onnx="Max"),
    Op("min",         _C, f"where({_FIRST_MIN}, a, b)",  (f"where({_FIRST_MIN}, g, "
    f"0)", f"where({_FIRST_MIN}, 0, g)"),  r"\min\left({0}, {1}\right)", about="a tie chooses the first "
    "argument", onnx="Min"),
    Op("neg",         _A, "-a",                          ("-g",),                                                       r"-{0}", symbol="-", binds=UNARY),
    Op("sigmoid",     _A, "sigmoid(a)",                  ("g * y * (1 - y)",),                                          r"\sigma\left({0}\right)", span=(0, 1)),
    Op("tanh",        _A, "tanh(a)",                     ("g * (1 - y * y)",),                                          r"\tanh\left({0}\right)", span=(-1, 1)),
    Op("relu",        _A, "where((a > 0) | (a != a), a, 0)", ("where(y > 0, g, 0)",),                                   r"\operatorname{{relu}}\left({0}\right)", kinks=(0.0,), about="the derivative at 0 is 0", span=(0, inf), onnx="Relu"),
    Op("leaky_relu",  _A, "where(a > 0, a, 0.01 * a)",   ("where(a > 0, g, 0.01 * g)",),                                r"\operatorname{{lrelu}}\left({0}\right)", kinks=(0.0,), about="slope 0.01 below 0"),
    Op("softplus",    _A, "where(a > 0, a, 0) + log1p(exp(where(a > 0, -a, a)))", ("g * sigmoid(a)",),                              r"\operatorname{{softplus}}\left({0}\right)", span=(0, inf), onnx="Softplus"),
    Op("log_sigmoid", _A, "where(a < 0, a, 0) - log1p(exp(where(a < 0, a, -a)))", ("g * sigmoid(-a)",),                             r"\log\sigma\left({0}\right)", span=(-inf, 0)),
    Op("hard_sigmoid", _A, "where(a > 3, 1, where(a < -3, 0, a / 6 + 0.5))", ("where((a > -3) & (a < 3), g / 6, 0)",),  r"\operatorname{{hardsigmoid}}\left({0}\right)", kinks=(-3.0, 3.0), about="0 below -3, 1 above 3, linear between", span=(0, 1)),
    Op("silu",        _A, "a * sigmoid(a)",              ("g * sigmoid(a) * (1 + a * (1 - sigmoid(a)))",),              r"\operatorname{{silu}}\left({0}\right)", span=(-0.2785, inf)),
    Op("gelu",        _A, "0.5 * a * (1 + erf(a * 0.7071067811865476))", ("g * (0.5 * (1 + erf(a * 0.7071067811865476)) + a * 0.3989422804014327 * exp(-0.5 * a * a))",), r"\operatorname{{gelu}}\left({0}\right)", span=(-0.17, inf), about="a times the normal distribution function of a (Hendrycks and Gimpel 2016)"),
    Op("gelu_tanh",   _A, f"0.5 * a * (1 + {_GELU})",    (f"g * 0.5 * (1 + {_GELU} + a * (1 - {_GELU} * {_GELU}) * (0.7978845608028654 + 0.1070322244089 * a * a))",), r"\operatorname{{gelu_{{tanh}}}}\left({0}\right)", span=(-0.1701, inf), about="gelu with its distribution function by tanh"),
    Op("softsign",    _A, "a / (1 + abs(a))",            ("g * (1 - abs(y)) * (1 - abs(y))",),                          r"\operatorname{{softsign}}\left({0}\right)", span=(-1, 1)),
    Op("exp",         _A, "exp(a)",                      ("g * y",),                                                    r"\exp\left({0}\right)", span=(0, inf)),
    Op("log",         _A, "log(a)",                      ("g / a",),                                                    r"\log\left({0}\right)", domain=(0.2, 3.0)),
    Op("sqrt",        _A, "sqrt(a)",                     ("g * 0.5 / y",),                                              r"\sqrt{{{0}}}", domain=(0.2, 3.0), span=(0, inf)),
    Op("abs",         _A, "abs(a)",                      ("where(a > 0, g, where(a < 0, -g, 0))",),                     r"\left|{0}\right|", kinks=(0.0,), span=(0, inf)),
    Op("sin",         _A, "sin(a)",                      ("g * cos(a)",),                                               r"\sin\left({0}\right)", span=(-1, 1)),
    Op("cos",         _A, "cos(a)",                      ("-g * sin(a)",),                                              r"\cos\left({0}\right)", span=(-1, 1)),
    Op("mean",        _U, "mean(a)",                     ("mean(g)",),                                                  r"\operatorname{{mean}}\left({0}\right)", about="the mean over the units, in every unit"),
    Op("norm",        _U, f"(a - mean(a)) / {_DEVIATION}", (f"(g - mean(g) - y * mean(g * y)) / {_DEVIATION}",),     r"\operatorname{{norm}}\left({0}\right)", about="mean 0 and variance 1 over the units, as in layer norm"),
    Op("softmax",     _U, _SHARES,                       ("y * (g - total(g * y))",),                                   r"\operatorname{{softmax}}\left({0}\right)", span=(0, 1), about="positive and of sum 1 over the units"),
    Op("cumax",       _U, f"sums_before({_SHARES})",     (f"{_SHARES} * (sums_behind(g) - total(sums_behind(g) * {_SHARES}))",), r"\operatorname{{cumax}}\left({0}\right)", span=(0, 1), about="softmax summed up from the first unit on (Shen et al. 2019)"),
)
# fmt: on

OPS: dict[str, Op] = {op.name: op for op in TABLE}
INFIX: dict[str, Op] = {op.symbol: op for op in TABLE if op.symbol and op.kind is Kind.COMBINE}
PREFIX: dict[str, Op] = {op.symbol: op for op in TABLE if op.symbol and op.kind is Kind.ACTIVATION}

for _op in TABLE:
    _allowed = {"a", "y", "g"} | ({"b"} if _op.arity == 2 else set())
    assert _op.name.isidentifier(), _op.name
    assert _op.arity == (2 if _op.kind is Kind.COMBINE else 1), _op.name
    _callable = {*INTRINSICS, *(REDUCTIONS if _op.kind is Kind.UNITS else ())}
    assert variables(_op.value) <= _allowed - {"y", "g"}, _op.name
    assert all(variables(d) <= _allowed for d in _op.gradients), _op.name
    assert all(functions(f) <= _callable for f in (_op.value, *_op.gradients)), _op.name
    assert _op.latex.count("{0}") >= 1, _op.name
assert len(OPS) == len(TABLE), "duplicate names"
