"""Student's distribution against tables, and the levels of looks against simulated paths."""

from math import sqrt
from statistics import NormalDist

import numpy as np
import pytest

from cellsearch.study.scoring import student
from cellsearch.study.scoring.sequential import LOOKS, SPENT, levels


@pytest.mark.parametrize(
    ("t", "df", "above"),  # of printed tables
    [(12.7062, 1, 0.025), (2.57058, 5, 0.025), (3.16927, 10, 0.005), (1.31143, 29, 0.1), (0.0, 3, 0.5)],
)
def test_students_tail_is_that_of_the_tables(t: float, df: float, above: float) -> None:
    assert student.tail(t, df) == pytest.approx(above, rel=1e-5)
    assert student.tail(-t, df) == pytest.approx(1 - above, rel=1e-5)


@pytest.mark.parametrize("df", [1, 1.3, 4, 27.5, 1e6])
@pytest.mark.parametrize("level", [1e-9, 1e-4, 0.03, 0.5, 0.97])
def test_a_quantile_has_its_tail(df: float, level: float) -> None:
    assert student.tail(student.quantile(level, df), df) == pytest.approx(level, rel=1e-9)


def test_many_degrees_of_freedom_are_normal() -> None:
    assert student.quantile(0.025, 1e7) == pytest.approx(1.959964, rel=1e-5)


@pytest.mark.parametrize("part", [0.04, 0.008])
def test_paths_cross_as_often_as_is_spent(part: float) -> None:
    """By each look, of 200,000 paths without a difference."""
    rng = np.random.default_rng(4)
    paths, crossed = np.zeros(200_000), np.zeros(200_000, dtype=bool)
    before = 0
    for repeats, share, level in zip(LOOKS, SPENT, levels(part), strict=True):
        paths += rng.normal(0, sqrt(repeats - before), len(paths))
        crossed |= paths / sqrt(repeats) > NormalDist().inv_cdf(1 - level)
        wanted, before = part * share, repeats
        assert crossed.mean() == pytest.approx(wanted, abs=4 * sqrt(wanted / len(paths)))


def test_a_larger_part_is_easier_at_every_look() -> None:
    assert all(less < more for less, more in zip(levels(0.008), levels(0.01), strict=True))
