"""Pareto fronts of (score, cost): more of the one is better, less of the other.

In: pairs, as a sequence. Out: positions in it. One pair dominates another where it is no worse in both and
better in one; equal pairs stand in one front.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence

Point = tuple[float, int]  # score, cost


def fronts(points: Sequence[Point]) -> list[list[int]]:
    """All positions in fronts: the first is dominated by nothing, the next by nothing but those before it.

    In a front the best score comes first, equal pairs in their order.
    """
    found: list[list[int]] = []
    least: list[int] = []  # cost of the last of each front, which grows from front to front
    before: Point | None = None
    place = 0
    for k in sorted(range(len(points)), key=lambda k: (-points[k][0], points[k][1], k)):
        point = points[k]
        if point != before:  # the first front all of whose members cost more
            place = bisect_right(least, point[1])
        before = point
        if place == len(found):
            found.append([])
            least.append(0)
        found[place].append(k)
        least[place] = point[1]
    return found


def ordered(points: Sequence[Point]) -> list[int]:
    """All positions, front by front; in a front first what stands alone (NSGA-II's crowding distance: Deb et
    al. 2002), so that a list that ends within a front keeps its ends and its breadth."""
    order: list[int] = []
    for front in fronts(points):
        lonely = distances([points[k] for k in front])
        order += [front[j] for j in sorted(range(len(front)), key=lambda j: (-lonely[j], front[j]))]
    return order


def distances(front: Sequence[Point]) -> list[float]:
    """How far apart the neighbours of each point of a front are, as shares of the front in both directions,
    added; infinite at its ends. `front` is ordered by score."""
    if len(front) < 3:
        return [math.inf] * len(front)
    (high, dear), (low, cheap) = front[0], front[-1]
    found = [math.inf] * len(front)
    for k in range(1, len(front) - 1):
        (above, more), (below, less) = front[k - 1], front[k + 1]
        found[k] = (above - below) / ((high - low) or 1.0) + (more - less) / ((dear - cheap) or 1)
    return found
