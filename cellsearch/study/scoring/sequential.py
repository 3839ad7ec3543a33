"""Stopping rules for repeated comparisons: looks, error spending, and significance levels.

Several cells are compared with the baseline after 4, 8, 16, 32, 64 and 128 repeats: a group-sequential Holm
procedure with error spending. Each cell has its own part of the error, and each look spends a fixed share of
that part (Slud & Wei 1982; Lan & DeMets 1983, "Discrete sequential boundaries for clinical trials"). The
level of a look is chosen so that a normal test with independent increments crosses for the first time with
the probability spent there, by numerical integration (Armitage, McPherson & Rowe 1969). It is applied to p
values of t tests (the significance level approach: Jennison & Turnbull 2000, section 3.8). Over the cells it
follows Holm (1979): the part of a decided cell goes to the others, at the same look (Maurer & Bretz 2013,
"Multiple testing in group sequential trials using graphical approaches").
"""

from functools import lru_cache
from math import erfc, sqrt

import numpy as np
from numpy.typing import NDArray

LOOKS = (4, 8, 16, 32, 64, 128)  # repeats of a cell at each look
SPENT = (0.08, 0.40, 0.70, 0.85, 0.95, 1.0)  # cumulative share of a cell's part spent at each look
POINTS = 401  # points of the integration grid; doubling them changes a level by less than 1e-4 of itself
FAR = 9.0  # cut-off of the grid in standard deviations
Floats = NDArray[np.float64]


@lru_cache(maxsize=256)
def levels(part: float) -> tuple[float, ...]:
    """The one-sided level of each look for a hypothesis whose probability of false rejection over all looks
    is `part`."""
    found: list[float] = []
    at: Floats = np.zeros(1)  # scores [N] of paths that have not crossed, and their weights
    weight: Floats = np.ones(1)
    before, spent = 0, 0.0
    for repeats, share in zip(LOOKS, SPENT, strict=True):
        step, size = sqrt(repeats - before), sqrt(repeats)
        bound = _bound(at, weight, step, size, part * (share - spent))
        found.append(float(_above(np.array([bound]))[0]))
        grid = np.linspace(-FAR * size, bound * size, POINTS)
        width = np.r_[0.5, np.ones(POINTS - 2), 0.5] * (grid[1] - grid[0])
        density = np.exp(-0.5 * ((grid[:, None] - at) / step) ** 2) / (step * sqrt(2 * np.pi))
        at, weight = grid, (density @ weight) * width
        before, spent = repeats, share
    return tuple(found)


def _bound(at: Floats, weight: Floats, step: float, size: float, wanted: float) -> float:
    """The standardised score that is first exceeded at a look with probability `wanted`."""
    low, high = 0.0, FAR
    for _ in range(45):
        middle = (low + high) / 2
        crossed = float(weight @ _above((middle * size - at) / step))
        low, high = (middle, high) if crossed > wanted else (low, middle)
    return high


def _above(z: Floats) -> Floats:
    """P(Z > z) of a standard normal Z."""
    return np.array([0.5 * erfc(x / sqrt(2)) for x in z])
