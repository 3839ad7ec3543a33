"""Random settings for a comparison, drawn from ranges, the same for every cell.

An interval is drawn log-uniformly, a list of values uniformly. A setting depends only on the seed, the task
and its number, and each hyperparameter has a separate stream: more settings, other cells or another range of
one hyperparameter do not change any other value.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from cellsearch.analysis.training.plan import number
from cellsearch.errors import RunError, UsageError, did_you_mean, printable
from cellsearch.options import Refused, fields_of
from cellsearch.train.settings import Grid, Setting

DIGITS = 4  # significant digits of a drawn value, so that it can be typed


@dataclass(frozen=True, slots=True)
class Interval:
    """Log-uniform from `low` to `high`, 0 < low < high."""

    low: float
    high: float


Range = Interval | tuple[float | int, ...]
Ranges = Mapping[str, Range]

#: For a task outside of a space: the ends of the grid of Jozefowicz et al. (2015, section 3.7).
WIDE: Ranges = {
    "init_scale": Interval(0.3, 2.8),
    "learning_rate": Interval(0.1, 5.0),
    "max_norm": Interval(1.0, 20.0),
}
WHOLE = ("layers", "parameters")  # drawn only from lists: cells are compared at equal size


def ranges(grid: Grid, of_space: bool, given: Sequence[str] = ()) -> Ranges:
    """The range of each hyperparameter, in the order of `Setting`. `given` are words like
    "learning_rate=0.05..2" and "layers=1,2". Other hyperparameters range, in a space, from the smallest to
    the largest value of its grid (layers and parameters: the values of the grid), and otherwise as in `WIDE`.

    Raises UsageError for a wrong word; RunError if no range is an interval, because settings would repeat.
    """
    named = dict(_read(word) for word in given)
    found: dict[str, Range] = {}
    for name in fields_of(Grid):
        values = tuple(sorted(getattr(grid, name)))
        if name in named:
            found[name] = named[name]
        elif not of_space and name in WIDE:
            found[name] = WIDE[name]
        elif name not in WHOLE and len(values) > 1:
            found[name] = Interval(float(values[0]), float(values[-1]))
        else:
            found[name] = values
    if not any(isinstance(one, Interval) for one in found.values()):
        raise RunError(
            "no hyperparameter has an interval, so random settings would repeat\n"
            "give one, as in --draw learning_rate=0.1..5"
        )
    return found


def _read(word: str) -> tuple[str, Range]:
    name, equals, value = (part.strip() for part in word.partition("="))
    known = fields_of(Grid)
    if not equals or name not in known:
        hint = did_you_mean(name, known)
        raise UsageError(
            f"'{printable(word, 60)}' is not a range of a hyperparameter\n{hint}hyperparameters are "
            f"{', '.join(known)}, as in --draw learning_rate=0.1..5 or --draw layers=1,2"
        )
    low, dots, high = value.partition("..")
    try:
        if dots and name not in WHOLE:
            interval = Interval(number(low, name), number(high, name))
            if not interval.low < interval.high:
                raise Refused("the lower end before the higher one, as in 0.1..5", True)
            return name, interval
        return name, tuple(dict.fromkeys(number(part, name) for part in value.split(",")))
    except (ValueError, OverflowError, Refused) as error:
        ends = "" if name in WHOLE else ", or two ends as in 0.1..5"
        allowed = error.allowed if isinstance(error, Refused) else f"numbers with commas between them{ends}"
        raise UsageError(f"{name} cannot be '{printable(value, 40)}'\nallowed: {allowed}") from None


def drawn(ranges: Ranges, seed: int, task: str, place: int) -> Setting:
    """The setting number `place` (from 0) of a task."""
    values: dict[str, float | int] = {}
    for name, one in ranges.items():
        u = Random(f"compare {seed} {task} {place} {name}").random()
        if isinstance(one, Interval):
            value = float(f"{one.low * (one.high / one.low) ** u:.{DIGITS}g}")
            values[name] = min(max(value, one.low), one.high)
        else:
            values[name] = one[int(u * len(one))]
    return Setting(**values)  # type: ignore[arg-type]
