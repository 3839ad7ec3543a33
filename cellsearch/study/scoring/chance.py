"""The band of chance: the best score by luck among cells that equal the baseline.

Such a cell has the baseline's accuracy on every setting, plus the noise of one training. It tries some
settings of each task; its score is the smallest over tasks of its best ratios; the best of many cells is
observed. The distribution follows from order statistics of the baseline's recorded accuracies, the measured
noise, and the number of settings that each cell of the search has tried. Nothing is sampled.

    band       the median and the 95% quantile of the best score among the cells of a search
    deviation  the standard deviation of one score, by the settings that its cell has tried
    tied       whether noise alone could swap two cells
    spread     the noise of one training, from the records of a search alone
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import erfc, hypot, sqrt

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Scored = tuple[float, Sequence[int]]  # the score of a cell, and its number of settings on each task
HIGH = 0.95  # a score beyond this quantile is above chance
POINTS = 1_001  # grid of scores from `LEAST` to `MOST`
LEAST, MOST = 0.7, 1.4
TIE = 1.96  # standard deviations of a difference within which two scores are a tie
NORMAL_RATIO = 1.4826  # standard deviation / median absolute deviation of a normal distribution


@dataclass(frozen=True, slots=True)
class Baseline:
    """The baseline on one task, for the band of chance."""

    accuracies: tuple[float, ...]  # of its settings, without diverged ones
    spread: float  # standard deviation of one training of a setting, in accuracy
    unit: float  # the unit


@dataclass(frozen=True, slots=True)
class Band:
    """The best score of `cells` cells that equal the baseline."""

    cells: int
    middle: float  # median
    high: float  # 95% quantile: a score above it is above chance
    one: float  # standard deviation of the score of one such cell
    #: The same, by the number of settings tried on each task; the largest key is all of them.
    deviations: Mapping[tuple[int, ...], float] = field(default_factory=dict)


def band(tasks: Sequence[Baseline], tried: Mapping[tuple[int, ...], int]) -> Band | None:
    """The band of a search. `tried` counts its cells by the number of settings on each of the tasks, in their
    order. None without cells or tasks."""
    cells = sum(tried.values())
    if not tasks or not cells:
        return None
    scores = np.linspace(LEAST, MOST, POINTS)
    most = tuple(len(task.accuracies) for task in tasks)
    ladders = [_best_of(task, scores) for task in tasks]
    best, one, deviations = np.ones(POINTS), np.zeros(POINTS), {}
    for of, count in [*tried.items(), (most, 0)]:
        low = tuple(map(min, of, most))
        below = 1 - np.prod([1 - ladder[n] for ladder, n in zip(ladders, low, strict=True)], axis=0)
        best *= below**count
        one += below * count / cells
        deviations[low] = _deviation(below, scores)
    return Band(
        cells, _quantile(best, scores, 0.5), _quantile(best, scores, HIGH), _deviation(one, scores),
        dict(sorted(deviations.items())),
    )  # fmt: skip


def deviation(of: Band, tried: Sequence[int]) -> float:
    """The standard deviation of the score of a cell, from the number of settings tried on each task: with few
    of them the luck of their choice adds to the noise. `Band.one` for a combination that is new."""
    most = max(of.deviations, default=())
    return of.deviations.get(tuple(map(min, tried, most)), of.one)


def tied(of: Band, first: Scored, other: Scored) -> bool:
    """Whether noise alone could place the cell `other` before the `first` one of a board."""
    return near(first[0], other[0], deviation(of, first[1]), deviation(of, other[1]))


def near(first: float, score: float, one: float, other: float) -> bool:
    """Whether noise alone could place a cell with `score` before the one with the higher score `first`. `one`
    and `other` are the standard deviations of the two."""
    return first - score <= TIE * hypot(one, other)


def _best_of(task: Baseline, scores: Floats) -> Floats:
    """P(best ratio of n different settings <= score) for n = 0, 1, … all of them [n, score]. Every choice of
    n settings is equally likely."""
    limits = scores * task.unit
    # the mean of the product over all subsets of n settings
    found = np.zeros((len(task.accuracies) + 1, len(scores)))
    found[0] = 1.0
    certain = limits >= 1  # no accuracy is above 1, however large the noise
    for j, accuracy in enumerate(task.accuracies, 1):
        below = np.where(certain, 1.0, _normal((limits - accuracy) / max(task.spread, 1e-9)))
        n = np.arange(1, j + 1)[:, None]
        found[1 : j + 1] = (found[1 : j + 1] * (j - n) + found[:j] * n * below) / j
    return found


def _deviation(below: Floats, scores: Floats) -> float:
    """The standard deviation of a distribution with the values `below` at `scores`."""
    mass = np.diff(below, prepend=0.0)
    mean = float(mass @ scores)
    return sqrt(max(0.0, float(mass @ (scores - mean) ** 2)))


def _normal(z: Floats) -> Floats:
    return np.array([0.5 * erfc(-x / sqrt(2)) for x in z])


def _quantile(below: Floats, scores: Floats, level: float) -> float:
    return float(np.interp(level, np.maximum.accumulate(below), scores))


def supposed(accuracies: Sequence[float], spread: float, unit: float) -> Baseline:
    """Predicts further trainings of the settings from single ones. Settings within three standard deviations
    of the best are shrunk to their common mean by the share of noise in their differences (James & Stein,
    positive part); otherwise the luck of the best one would count as quality. The uncertainty of the means is
    added to the noise."""
    best = max(accuracies)
    near = [a for a in accuracies if a > best - 3 * sqrt(2) * spread]
    if len(near) < 4:
        return Baseline(tuple(accuracies), spread * sqrt(2), unit)
    mean = sum(near) / len(near)
    squares = sum((a - mean) ** 2 for a in near)
    kept = max(0.0, 1 - (len(near) - 3) * spread**2 / squares) if squares else 0.0
    means = tuple(mean + kept * (a - mean) if a in near else a for a in accuracies)
    return Baseline(means, spread * sqrt(1 + kept + (1 - kept) / len(near)), unit)


def spread(outcomes: Mapping[str, Mapping[str, float]], floor: float) -> float | None:
    """The noise of one training on a task, as a share of the accuracy, from cell -> setting -> accuracy: the
    residual of the log accuracies after a mean per cell and per setting. Cells prefer different settings, so
    this overestimates the noise. None with fewer than four degrees of freedom. A training with accuracy below
    `floor` failed to learn and is excluded.
    """
    known = {
        cell: {setting: np.log(a) for setting, a in its.items() if a > floor}
        for cell, its in outcomes.items()
    }
    known = {cell: its for cell, its in known.items() if len(its) > 1}
    settings = sorted({setting for its in known.values() for setting in its})
    cells, values = list(known), [v for its in known.values() for v in its.values()]
    df = len(values) - len(cells) - len(settings) + 1
    if df < 4:
        return None
    design = np.zeros((len(values), len(cells) + len(settings)))
    at = 0
    for k, its in enumerate(known.values()):
        for setting in its:
            design[at, k] = design[at, len(cells) + settings.index(setting)] = 1
            at += 1
    left = np.array(values) - design @ np.linalg.lstsq(design, np.array(values), rcond=None)[0]
    robust = NORMAL_RATIO * float(np.median(np.abs(left))) * sqrt(len(values) / df)
    return min(float(np.sqrt(left @ left / df)), max(robust, 1e-6))
