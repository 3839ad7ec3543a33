"""Random initial values: distributions, and ops of them, such as log(uniform(1, 100))."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cellsearch.dsl.ops import OPS, Kind


@dataclass(frozen=True, slots=True)
class Drawn:
    """A distribution with its two parameters, or an op of values of which at least one is random."""

    name: str
    args: tuple["float | Drawn", ...]


Initial = float | Drawn | None  # of a bias; None for no bias


@dataclass(frozen=True, slots=True)
class Distribution:
    """One row: parameters a and b, and the map from a draw u to a value."""

    numbers: tuple[str, str]  # names of a and b in text
    normal: bool  # whether u is standard normal; else uniform between 0 and 1
    ordered: bool  # whether a <= b is required; else b >= 0 is required
    short: tuple[str, str]  # the names of a and b in code

    def of(self, u: Any, a: Any, b: Any) -> Any:
        """The value for a draw, a number or a tensor."""
        return a + b * u if self.normal else a + (b - a) * u


DISTRIBUTIONS = {
    "uniform": Distribution(("the lower bound", "the upper bound"), False, True, ("low", "high")),
    "normal": Distribution(("the mean", "the standard deviation"), True, False, ("mean", "deviation")),
}
#: The ops allowed in an initial value: elementwise ops.
APPLIED = tuple(op.name for op in OPS.values() if op.kind is not Kind.UNITS)
MAX_PARTS = 32  # maximum nodes of one initial value

# Quantiles at which an initial value is tested.
_UNIFORM, _NORMAL = (0.01, 0.25, 0.5, 0.75, 0.99), (-2.326, -0.674, 0.0, 0.674, 2.326)


def parts(value: float | Drawn) -> Iterator[float | Drawn]:
    """The value and its parts, in the order of the text, which is the order of the draws."""
    stack = [value]
    while stack:
        part = stack.pop()
        yield part
        if isinstance(part, Drawn):
            stack.extend(reversed(part.args))


def wrong(value: float | Drawn) -> str:
    """The error in an initial value, or ""."""
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
                return f"{part.name} is not an op for {len(part.args)} initial values"
            if not any(isinstance(arg, Drawn) for arg in part.args):
                return f"{part.name} of numbers is a number: write the number"
            continue
        a, b = part.args if len(part.args) == 2 else (0.0, Drawn(part.name, ()))
        if isinstance(a, Drawn) or isinstance(b, Drawn):
            return f"{part.name} takes two numbers"
        if row.ordered and a > b:
            return f"{part.name}(low, high) needs low <= high"
        if not row.ordered and b < 0:
            return f"the standard deviation of {part.name} must not be negative"
    if value.name not in DISTRIBUTIONS and not _is_finite(value):
        return "an initial value must be finite for every draw"
    return ""


def _is_finite(value: Drawn) -> bool:
    """Whether a value is finite at the quantiles of its distributions: roots and logarithms may fail."""
    import numpy as np  # imported here: few cells have such values

    from cellsearch.dsl.formulas.evaluate import evaluate

    def at(part: float | Drawn, turned: bool) -> Any:
        if not isinstance(part, Drawn):
            return np.float64(part)
        if (row := DISTRIBUTIONS.get(part.name)) is not None:
            quantiles = np.array(_NORMAL if row.normal else _UNIFORM)
            return row.of(quantiles, *part.args)
        args = [at(arg, turned and k == 1) for k, arg in enumerate(part.args)]
        if turned and len(args) == 2:
            args[1] = np.atleast_1d(args[1])[
                ::-1
            ]  # combine low values of one side with high ones of the other
        return evaluate(OPS[part.name].value, dict(zip("ab", args, strict=False)))

    with np.errstate(all="ignore"):
        return all(bool(np.isfinite(at(value, turned)).all()) for turned in (False, True))


def negative(value: float | Drawn) -> float | Drawn:
    """Minus an initial value."""
    if not isinstance(value, Drawn):
        return -value + 0.0  # -0 becomes 0
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
