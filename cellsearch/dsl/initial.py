"""Initial values that are drawn: distributions, and ops of them, such as log(uniform(1, 100))."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cellsearch.dsl.ops import OPS, Kind


@dataclass(frozen=True, slots=True)
class Drawn:
    """A distribution with its two numbers, or an op of values of which one at least is drawn."""

    name: str
    args: tuple["float | Drawn", ...]


Initial = float | Drawn | None  # of a bias; None where there is none


@dataclass(frozen=True, slots=True)
class Distribution:
    """One row: numbers a and b, and how a value follows from a draw u."""

    numbers: tuple[str, str]  # what a and b are called
    normal: bool  # whether u is standard normal, or uniform between 0 and 1
    ordered: bool  # whether a may not be above b; else b may not be negative
    short: tuple[str, str]  # the names of a and b in code

    def of(self, u: Any, a: Any, b: Any) -> Any:
        """The value of a draw, a number or a tensor."""
        return a + b * u if self.normal else a + (b - a) * u


DISTRIBUTIONS = {
    "uniform": Distribution(("the lower bound", "the upper bound"), False, True, ("low", "high")),
    "normal": Distribution(("the mean", "the standard deviation"), True, False, ("mean", "deviation")),
}
#: The ops that an initial value may apply: those that work on every unit by itself.
APPLIED = tuple(op.name for op in OPS.values() if op.kind is not Kind.UNITS)
MAX_PARTS = 32  # of one initial value

# Quantiles, at which an initial value is tried.
_UNIFORM, _NORMAL = (0.01, 0.25, 0.5, 0.75, 0.99), (-2.326, -0.674, 0.0, 0.674, 2.326)


def parts(value: float | Drawn) -> Iterator[float | Drawn]:
    """The value and all that stands in it, in the order of the text; its distributions are drawn in it."""
    stack = [value]
    while stack:
        part = stack.pop()
        yield part
        if isinstance(part, Drawn):
            stack.extend(reversed(part.args))


def wrong(value: float | Drawn) -> str:
    """What is wrong with an initial value, or "" where nothing is."""
    if not isinstance(value, Drawn):
        return "" if abs(value) < float("inf") else "an initial value must be finite"
    every = list(parts(value))
    if len(every) > MAX_PARTS:
        return f"an initial value has at most {MAX_PARTS} parts"
    if any(isinstance(p, float | int) and not abs(p) < float("inf") for p in every):
        return "an initial value must be finite"
    for part in every:
        if not isinstance(part, Drawn):
            continue
        row = DISTRIBUTIONS.get(part.name)
        if row is None:
            if part.name not in APPLIED or len(part.args) != OPS[part.name].arity:
                return f"{part.name} is no op of {len(part.args)} initial values"
            if not any(isinstance(arg, Drawn) for arg in part.args):
                return f"{part.name} of numbers is a number: write that"
            continue
        a, b = part.args if len(part.args) == 2 else (0.0, Drawn(part.name, ()))
        if isinstance(a, Drawn) or isinstance(b, Drawn):
            return f"{part.name} takes two numbers"
        if row.ordered and a > b:
            return f"{part.name}(low, high) needs low <= high"
        if not row.ordered and b < 0:
            return f"the standard deviation of {part.name} must not be negative"
    if value.name not in DISTRIBUTIONS and not _is_finite(value):
        return "an initial value must be a finite number wherever it is drawn"
    return ""


def _is_finite(value: Drawn) -> bool:
    """Whether a value is finite at quantiles of its distributions: a root or logarithm may not be."""
    import numpy as np  # here, since few cells have such values

    from cellsearch.dsl.formulas.evaluate import evaluate

    def at(part: float | Drawn, turned: bool) -> Any:
        if not isinstance(part, Drawn):
            return np.float64(part)
        if (row := DISTRIBUTIONS.get(part.name)) is not None:
            quantiles = np.array(_NORMAL if row.normal else _UNIFORM)
            return row.of(quantiles, *part.args)
        args = [at(arg, turned and k == 1) for k, arg in enumerate(part.args)]
        if turned and len(args) == 2:
            args[1] = np.atleast_1d(args[1])[::-1]  # low values of one side beside high ones of the other
        return evaluate(OPS[part.name].value, dict(zip("ab", args, strict=False)))

    with np.errstate(all="ignore"):
        return all(bool(np.isfinite(at(value, turned)).all()) for turned in (False, True))


def negative(value: float | Drawn) -> float | Drawn:
    """Minus an initial value."""
    if not isinstance(value, Drawn):
        return -value + 0.0  # zero has no sign
    match value:
        case Drawn("uniform", (float() | int() as low, float() | int() as high)):
            return Drawn("uniform", (-high + 0.0, -low + 0.0))
        case Drawn("normal", (float() | int() as mean, deviation)):
            return Drawn("normal", (-mean + 0.0, deviation))
        case Drawn("neg", (inner,)):
            return inner
        case Drawn("add", (inner, float() | int() as number)):
            return Drawn("add", (negative(inner), -number + 0.0))
    return Drawn("neg", (value,))


def moved(value: float | Drawn, by: float) -> float | Drawn:
    """An initial value plus a number."""
    match value:
        case Drawn("uniform", (float() | int() as low, float() | int() as high)):
            return Drawn("uniform", (low + by + 0.0, high + by + 0.0))
        case Drawn("normal", (float() | int() as mean, deviation)):
            return Drawn("normal", (mean + by + 0.0, deviation))
        case Drawn("add", (Drawn() as inner, float() | int() as number)):
            by += number
            return Drawn("add", (inner, by + 0.0)) if by else inner
        case Drawn():
            return Drawn("add", (value, by + 0.0)) if by else value
    return value + by + 0.0
