"""Intervals of means. In: numbers. Out: mean, and where the true one lies with 95%, by Student's t."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

#: The 97.5% quantiles of Student's t for 1 to 30 degrees of freedom (any table of t), and of the normal.
T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
NORMAL = 1.960


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean with its interval; without one where there is a single number."""

    mean: float
    low: float | None
    high: float | None
    sd: float | None  # standard deviation of a single number
    count: int


def mean(numbers: Sequence[float], least: float = -math.inf, most: float = math.inf) -> Mean:
    """The mean of at least one number; its interval ends at `least` and `most`, beyond which none can be."""
    count, middle = len(numbers), statistics.fmean(numbers)
    if count < 2:
        return Mean(middle, None, None, None, count)
    sd = statistics.stdev(numbers)
    half = (T[count - 2] if count - 2 < len(T) else NORMAL) * sd / math.sqrt(count)
    return Mean(middle, max(least, middle - half), min(most, middle + half), sd, count)
