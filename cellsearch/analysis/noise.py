"""The noise of scores, and aggregates of several searches.

Noise is measured, never assumed: the same cell is trained with many seeds on the whole grid, and "the best of
n settings" is drawn from these trainings.

    accuracies   a cell on a task: every setting with every seed [S, N]
    best_of      repeated draws of the best accuracy of n different settings
    by_chance    repeated draws of the score that a search would give a cell found as a mutant
    highest      repeated draws of the best of n scores: the board of a search that only draws
    again        a cell on the whole grid with a fresh seed
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cellsearch.analysis.cost_curve import Curve
from cellsearch.dsl.graph import Cell
from cellsearch.study.space.model import grids
from cellsearch.study.workers.evaluator import TorchEvaluator
from cellsearch.train.settings import keys

Floats = NDArray[np.float64]
NOTHING = -1.0  # less than any accuracy: for diverged settings


@dataclass(frozen=True, slots=True)
class Spread:
    """A summary of draws of one quantity."""

    mean: float
    sd: float
    low: float  # 2.5%
    high: float  # 97.5%


def spread(draws: Floats) -> Spread:
    """Mean, standard deviation and the middle 95% of the draws."""
    low, high = np.quantile(draws, (0.025, 0.975))
    return Spread(float(draws.mean()), float(draws.std(ddof=1)), float(low), float(high))


def accuracies(evaluator: TorchEvaluator, cell: Cell, task: str, seeds: Iterable[int]) -> Floats:
    """The accuracy of every setting (N) with every seed of training (S) on the evaluator's data [S, N]."""
    settings = list(keys(grids(evaluator.space)[task]))
    rows = []
    for seed in seeds:
        found = evaluator.evaluate(cell, task, settings, seed, lambda _: None)
        rows.append([NOTHING if o.accuracy is None else o.accuracy for o in found])
    return np.array(rows)


def best_of(table: Floats, count: int, draws: int, rng: np.random.Generator) -> Floats:
    """Repeated draws of the best of `count` different settings, each with a separate seed; `table` [S, N] has
    both."""
    seeds, settings = table.shape
    which = rng.permuted(np.tile(np.arange(settings), (draws, 1)), axis=1)[:, :count]
    best: Floats = table[rng.integers(seeds, size=which.shape), which].max(axis=1)
    return best


@dataclass(frozen=True, slots=True)
class Parts:
    """The sources of the spread of "the best of n settings", as standard deviations."""

    both: float  # other settings and other seeds
    settings: float  # other settings, each at its mean over the seeds
    training: float  # other seeds, same settings: the mean over choices of settings


def parts(table: Floats, count: int, draws: int, rng: np.random.Generator) -> Parts:
    """The two sources of chance in the best of `count` settings, together and separately."""
    seeds, settings = table.shape
    fixed = []
    for _ in range(100):
        kept = rng.permutation(settings)[:count]
        fixed.append(table[rng.integers(seeds, size=(draws, count)), kept].max(axis=1).var())
    return Parts(
        float(best_of(table, count, draws, rng).std()),
        float(best_of(table.mean(axis=0, keepdims=True), count, draws, rng).std()),
        float(np.sqrt(np.mean(fixed))),
    )


def by_chance(
    tables: Mapping[str, Floats], units: Mapping[str, float], count: int, draws: int, rng: np.random.Generator
) -> Floats:
    """Scores of a single cell, each from `count` fresh settings for every task."""
    ratios = [best_of(tables[task], count, draws, rng) / unit for task, unit in units.items()]
    least: Floats = np.min(ratios, axis=0)
    return least


def highest(scores: Floats, count: int, draws: int, rng: np.random.Generator) -> Floats:
    """Repeated draws of the best of `count` of these scores."""
    best: Floats = rng.choice(scores, (draws, count)).max(axis=1)
    return best


def again(evaluator: TorchEvaluator, cell: Cell, tasks: Sequence[str], seed: int) -> dict[str, float]:
    """The best accuracy of a cell on the whole grid of each task, with a fresh `seed` of training.

    Ratios use the same measure of the baseline, so both are the best of the same number of settings.
    """
    return {task: float(accuracies(evaluator, cell, task, [seed]).max()) for task in tasks}


def band(curves: Sequence[Curve], costs: Sequence[float]) -> tuple[Floats, Floats, Floats]:
    """The median, minimum and maximum of the best scores of several searches at each cost; NaN until all of
    them have a ranked cell."""
    table = np.array([[np.nan if (b := c.best(cost)) is None else b for cost in costs] for c in curves])
    return np.median(table, axis=0), table.min(axis=0), table.max(axis=0)
