"""Means with 95% confidence intervals by Student's t."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from cellsearch.study.scoring import student

TAIL = 0.025  # beyond each end of an interval


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean with its interval; a single number has no interval."""

    mean: float
    low: float | None
    high: float | None
    sd: float | None  # standard deviation of a single number
    count: int


def mean(numbers: Sequence[float], least: float = -math.inf, most: float = math.inf) -> Mean:
    """The mean of at least one number; its interval is clipped to [`least`, `most`], the possible values."""
    count, middle = len(numbers), statistics.fmean(numbers)
    if count < 2:
        return Mean(middle, None, None, None, count)
    sd = statistics.stdev(numbers)
    half = student.quantile(TAIL, count - 1) * sd / math.sqrt(count)
    return Mean(middle, max(least, middle - half), min(most, middle + half), sd, count)
