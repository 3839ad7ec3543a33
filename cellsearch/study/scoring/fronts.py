"""Pareto fronts of (score, cost): higher scores and lower costs are better.

A pair dominates another if it is no worse in both and better in one; equal pairs are in the same front.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence

Point = tuple[float, int]  # score, cost


def fronts(points: Sequence[Point]) -> list[list[int]]:
    """The positions of pairs by front: the first front is not dominated, the next only by earlier fronts.
    Within a front the best score is first, equal pairs in their order.
    """
    found: list[list[int]] = []
    least: list[int] = []  # cost of the last pair of each front, increasing over fronts
    before: Point | None = None
    place = 0
    for k in sorted(range(len(points)), key=lambda k: (-points[k][0], points[k][1], k)):
        point = points[k]
        if point != before:  # the first front whose members all cost more
            place = bisect_right(least, point[1])
        before = point
        if place == len(found):
            found.append([])
            least.append(0)
        found[place].append(k)
        least[place] = point[1]
    return found


def ordered(points: Sequence[Point]) -> list[int]:
    """All positions, front by front; within a front by NSGA-II's crowding distance, largest first (Deb et al.
    2002), so that a list that is cut within a front keeps its ends and its breadth."""
    order: list[int] = []
    for front in fronts(points):
        lonely = distances([points[k] for k in front])
        order += [front[j] for j in sorted(range(len(front)), key=lambda j: (-lonely[j], front[j]))]
    return order


def distances(front: Sequence[Point]) -> list[float]:
    """The crowding distance of each point of a front: the distance of its neighbours as shares of the front,
    summed over both axes; infinite at its ends. `front` is ordered by score."""
    if len(front) < 3:
        return [math.inf] * len(front)
    (high, dear), (low, cheap) = front[0], front[-1]
    found = [math.inf] * len(front)
    for k in range(1, len(front) - 1):
        (above, more), (below, less) = front[k - 1], front[k + 1]
        found[k] = (above - below) / ((high - low) or 1.0) + (more - less) / ((dear - cheap) or 1)
    return found
