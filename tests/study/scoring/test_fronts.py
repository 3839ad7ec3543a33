"""Pareto fronts: what stands in which, and in which order."""

import math

from hypothesis import given
from hypothesis import strategies as st

from cellsearch.study.scoring.fronts import Point, distances, fronts, ordered

POINTS = st.lists(st.tuples(st.integers(0, 6).map(lambda n: n / 4), st.integers(0, 6)), max_size=25)


def dominates(a: Point, b: Point) -> bool:
    return a != b and a[0] >= b[0] and a[1] <= b[1]


def plain(points: list[Point]) -> list[list[int]]:
    """Front by front, as the definition has it."""
    left, found = set(range(len(points))), []
    while left:
        front = {k for k in left if not any(dominates(points[j], points[k]) for j in left)}
        found.append(sorted(front, key=lambda k: (-points[k][0], k)))
        left -= front
    return found


@given(POINTS)
def test_each_front_is_what_only_earlier_ones_dominate(points: list[Point]) -> None:
    assert fronts(points) == plain(points)


@given(POINTS)
def test_the_order_goes_through_the_fronts(points: list[Point]) -> None:
    order = ordered(points)
    assert sorted(order) == list(range(len(points)))
    places = {k: place for place, front in enumerate(plain(points)) for k in front}
    assert [places[k] for k in order] == sorted(places.values())


def test_in_a_front_its_ends_come_first_then_what_stands_alone() -> None:
    front = [(1.0, 100), (0.95, 90), (0.9, 50), (0.88, 49), (0.5, 10)]
    assert distances(front) == [
        math.inf,
        0.2 + 50 / 90,
        (0.95 - 0.88) / 0.5 + 41 / 90,
        0.8 + 40 / 90,
        math.inf,
    ]
    assert ordered(front) == [0, 4, 3, 1, 2]


def test_equal_pairs_stand_side_by_side_in_their_order() -> None:
    assert fronts([(1.0, 5), (0.5, 5), (1.0, 5), (0.5, 4)]) == [[0, 2, 3], [1]]
    assert ordered([(1.0, 5)] * 4) == [0, 3, 1, 2]
    assert fronts([]) == []
    assert ordered([]) == []


def test_a_front_without_breadth_in_one_direction_has_an_order() -> None:
    assert distances([(1.0, 5)] * 3) == [math.inf, 0.0, math.inf]
