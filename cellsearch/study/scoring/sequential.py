"""When a repeated comparison may be ended: looks, what each may spend of the error, and the levels that
follow.

Several cells are compared with the baseline after 4, 8, 16, 32, 64 and 128 repeats: a group-sequential Holm
procedure with error spending. Each cell has a part of the error for itself, and each look spends a fixed
share of that part (Slud & Wei 1982; Lan & DeMets 1983, "Discrete sequential boundaries for clinical trials").
The level of a look is the one at which a normal test with independent increments crosses for the first time
with just the probability that is spent there, by numerical integration (Armitage, McPherson & Rowe 1969). It
is applied to p values of t tests (the significance level approach: Jennison & Turnbull 2000, section 3.8).
Over the cells it is Holm's (1979): the part of a cell that is decided goes to the others, at the same look
too (Maurer & Bretz 2013, "Multiple testing in group sequential trials using graphical approaches").
"""

from functools import lru_cache
from math import erfc, sqrt

import numpy as np
from numpy.typing import NDArray

LOOKS = (4, 8, 16, 32, 64, 128)  # repeats of a cell after which it is looked at
SPENT = (0.08, 0.40, 0.70, 0.85, 0.95, 1.0)  # share of a cell's part that is spent by then
POINTS = 401  # of the grid of the integration; twice as many change a level by less than 1e-4 of itself
FAR = 9.0  # standard deviations beyond which nothing is counted
Floats = NDArray[np.float64]


@lru_cache(maxsize=256)
def levels(part: float) -> tuple[float, ...]:
    """The one-sided level of each look for a hypothesis that may be rejected falsely with probability `part`,
    over all looks together."""
    found: list[float] = []
    at: Floats = np.zeros(1)  # scores of those that have not crossed [N], and the weights of these
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
    """The standardised score that is first passed at a look with probability `wanted`."""
    low, high = 0.0, FAR
    for _ in range(45):
        middle = (low + high) / 2
        crossed = float(weight @ _above((middle * size - at) / step))
        low, high = (middle, high) if crossed > wanted else (low, middle)
    return high


def _above(z: Floats) -> Floats:
    """P(Z > z) of a standard normal Z."""
    return np.array([0.5 * erfc(x / sqrt(2)) for x in z])
