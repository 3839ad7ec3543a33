"""Best tenths, tests and statements of a comparison: against known values, and on cells that are equal."""

from math import sqrt
from random import Random
from statistics import fmean, variance

import pytest

from cellsearch.analysis.compare.judge import Statement, Tail, best, difference, holm, judged, tail, wanted

# The first example of Welch's test in the literature of statistics packages; scipy.stats.ttest_ind
# (equal_var=False) gives what is expected below.
FIRST = [27.5, 21.0, 19.0, 23.6, 17.0, 17.9, 16.9, 20.1, 21.9, 22.6, 23.1, 19.6, 19.0, 21.7, 21.4]
SECOND = [27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0, 24.8, 20.2, 21.9, 22.1, 22.9, 30.5, 24.4]


def sample(values: list[float]) -> Tail:
    """A sample as if it were a tail: both errors are that of a mean."""
    error = sqrt(variance(values) / len(values))
    return Tail(fmean(values), error, error, len(values))


def test_welch_against_known_values() -> None:
    found = difference(sample(FIRST), sample(SECOND), margin=0.1)
    unit = fmean(SECOND)
    assert found.p == pytest.approx(0.008071938172194903, rel=1e-9) and found.plain == found.p
    assert found.estimate * unit == pytest.approx(-2.8333333333, rel=1e-9)
    assert (found.low * unit, found.high * unit) == pytest.approx(
        (-4.868022741791966, -0.7986439248746979), rel=1e-8
    )
    assert found.worse == pytest.approx(0.6794328050927015, rel=1e-9)


def test_holm_against_his_procedure() -> None:
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert found == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})
    assert holm({"a": 0.6, "b": 0.9}) == {"a": 1.0, "b": 1.0} and holm({}) == {}


def test_the_best_are_chosen_by_validation_and_count_on_the_test_part() -> None:
    valid = [0.1, None, 0.9, 0.5, 0.7, 0.7, 0.2, 0.3, 0.4, 0.6]
    test = [1.0, None, 0.8, 1.0, 0.6, 0.7, 1.0, 1.0, 1.0, 0.3]
    assert best(valid, 0.3) == [2, 4, 5] and best(valid) == [2] and best([None, None]) == []
    assert [wanted(n, 0.1) for n in (5, 10, 11, 30, 200)] == [1, 1, 2, 3, 20] and wanted(100, 0.07) == 7
    found = tail(valid, test, 0.3)
    assert found is not None and found.count == 3 and found.df == 2
    assert found.mean == pytest.approx(0.7)
    # Yuen (1974): the sum of squares of the sample with all others at the threshold, here the mean test
    # accuracy of the third (0.7) and the fourth (0.3) by validation
    winsorised = [0.8, 0.6, 0.7, *[0.5] * 7]
    assert found.error**2 == pytest.approx(9 * variance(winsorised) / (3 * 2))
    assert found.plain**2 == pytest.approx(variance([0.8, 0.6, 0.7]) / 3)
    assert tail(valid, test) is None  # one setting has no spread
    assert tail([0.5, 0.4, None, None], [0.5, 0.4, None, None], 0.75) is None  # the third best diverged
    alone = tail([0.5, 0.4, None, None], [0.5, 0.4, None, None], 0.5)
    assert alone is not None and alone.mean == pytest.approx(0.45)


def test_statements() -> None:
    base = Tail(0.50, 0.001, 0.001, 20)
    cells = {
        "worse": (Tail(0.45, 0.001, 0.001, 20), base), "better": (Tail(0.55, 0.001, 0.001, 20), base),
        "alike": (Tail(0.4995, 0.001, 0.001, 20), base), "noisy": (Tail(0.49, 0.02, 0.02, 20), base),
        "broken": (None, base),
    }  # fmt: skip
    found = judged(cells)
    assert {mark: one.statement for mark, one in found.items()} == {
        "worse": Statement.HURTS, "better": Statement.HELPS, "alike": Statement.HARMLESS,
        "noisy": Statement.UNKNOWN, "broken": Statement.UNKNOWN,
    }  # fmt: skip
    worse = found["worse"].difference
    assert worse is not None and worse.high < 0 and worse.estimate == pytest.approx(-0.1)
    assert found["broken"].difference is None and found["broken"].p is None
    alone = judged({"alike": cells["alike"]})["alike"]
    assert found["alike"].p is not None and alone.p is not None and found["alike"].p >= alone.p
    same = Tail(1.0, 0.0, 0.0, 4)  # every setting reaches the same accuracy
    assert judged({"same": (same, same)})["same"].statement == Statement.HARMLESS
    assert judged({"less": (Tail(0.9, 0.0, 0.0, 4), same)})["less"].statement == Statement.HURTS


def board(rng: Random, settings: int, share: float) -> tuple[Tail | None, Tail | None]:
    """Two equal cells on the same settings: most of the spread is the noise of one training."""
    both = []
    for _ in range(2):
        trained = [0.5 + rng.gauss(0, 0.02) for _ in range(settings)]
        both.append(
            tail(
                [t + rng.gauss(0, 0.003) for t in trained], [t + rng.gauss(0, 0.003) for t in trained], share
            )
        )
    return both[0], both[1]


def test_equal_cells_are_called_different_in_at_most_one_of_twenty() -> None:
    """The test of Greff et al. calls them so in more than a tenth: the reason for the other one."""
    rng = Random(1)
    calls = plain = 0
    for _ in range(1_000):
        one = judged({"": board(rng, 40, 0.1)})[""]
        assert one.p is not None and one.plain is not None
        calls += one.p <= 0.05
        plain += one.plain <= 0.05
    assert calls <= 50 and plain >= 80
