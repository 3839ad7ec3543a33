"""Statements about cells from their best tenths: pure functions of accuracies.

Each cell was trained with the same number of settings. The mean test accuracy of its best tenth by validation
accuracy is compared with that of the baseline, as in Greff et al. (2017, section V). They apply Welch's t
test to the two tenths as if these were samples. The mean of a tail varies more, because the threshold is
estimated, too. On equal cells their test finds a difference in up to 20% instead of 5%
(results/findings/compare). So this module uses Welch's test for trimmed means (Yuen 1974, "The two-sample
trimmed t for unequal population variances"), trimmed only at the lower end, and also reports theirs.

Over all cells and tasks of a comparison p values are corrected by Holm's (1979) procedure: with probability
95% no cell equal to the baseline is said to help or hurt, and, separately, no cell that is worse by at least
the margin is called "does not hurt".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import ceil, inf, sqrt
from typing import TypeVar

from cellsearch.study.scoring import student

ERROR = 0.05  # of each family: helps and hurts; does not hurt
SHARE = 0.1  # compared share of the settings of a cell
T = TypeVar("T")
MARGIN = 0.02  # of the baseline's accuracy: a smaller loss does not hurt


class Statement(StrEnum):
    """The statements about a cell, compared with the baseline."""

    BASELINE = "baseline"
    HELPS = "helps"
    HURTS = "hurts"
    HARMLESS = "does not hurt"
    UNKNOWN = "cannot be told"


@dataclass(frozen=True, slots=True)
class Tail:
    """The mean test accuracy of the best settings."""

    mean: float
    error: float  # standard error, the estimated threshold included
    plain: float  # standard error if the best were a separate sample (Greff et al.)
    count: int  # of the best

    @property
    def df(self) -> int:
        """Degrees of freedom."""
        return self.count - 1


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference of a cell from the baseline, as a share of the baseline's mean."""

    estimate: float
    low: float  # 95% interval of this pair, uncorrected
    high: float
    p: float  # two-sided, uncorrected
    plain: float  # that of Greff et al., uncorrected
    worse: float  # p value of "worse by the margin or more"


@dataclass(frozen=True, slots=True)
class Judged:
    """The statement about a cell on a task, and its evidence."""

    statement: Statement
    difference: Difference | None  # None: for the baseline, or with too few settings left
    p: float | None  # two-sided, after Holm's correction
    plain: float | None  # that of Greff et al., after Holm's correction
    worse: float | None  # after Holm's correction


def best(accuracies: Sequence[float | None], share: float = SHARE) -> list[int]:
    """The indices of the best share of the settings, at least one, by validation accuracy; ties go to the
    first. None is a diverged training, which ranks last: if too few are left, the result is shorter."""
    order = sorted(
        (k for k, a in enumerate(accuracies) if a is not None), key=lambda k: -(accuracies[k] or 0)
    )
    return order[: wanted(len(accuracies), share)]


def wanted(settings: int, share: float = SHARE) -> int:
    """The number of settings in the best share."""
    return max(1, ceil(round(share * settings, 9)))


def tail(valid: Sequence[float | None], test: Sequence[float | None], share: float = SHARE) -> Tail | None:
    """The mean of the best settings on the test part; None if fewer than two, or fewer than that share, have
    not diverged.

    The error is that of a trimmed mean: the sum of squares of the sample in which all settings but the best
    are set to the threshold, the mean test accuracy of the settings on either side of it.
    """
    places, count = best(valid, share), wanted(len(valid), share)
    if len(places) < max(2, count):
        return None
    order = best(valid, 1.0)
    values = [_known(test[k]) for k in places]
    edge = [_known(test[k]) for k in order[count - 1 : count + 1]]
    threshold = sum(edge) / len(edge)
    mean = sum(values) / count
    above = [value - threshold for value in values]
    squares = sum(a * a for a in above) - sum(above) ** 2 / len(valid)
    within = sum((value - mean) ** 2 for value in values)
    scale = count * (count - 1)
    return Tail(mean, sqrt(max(0.0, squares) / scale), sqrt(within / scale), count)


def _known(value: float | None) -> float:
    assert value is not None  # it has a validation accuracy
    return value


def difference(cell: Tail, base: Tail, margin: float = MARGIN) -> Difference:
    """Welch's test of two means, with degrees of freedom by Welch and Satterthwaite."""
    unit = base.mean or 1.0  # accuracies that are all zero do not differ
    gap, error, df = cell.mean - base.mean, *_error(cell.error, base.error, cell.df, base.df)
    half = student.quantile(ERROR / 2, df) * error
    return Difference(
        gap / unit, (gap - half) / unit, (gap + half) / unit, _two_sided(gap, error, df),
        _two_sided(gap, *_error(cell.plain, base.plain, cell.df, base.df)),
        student.tail(_t(gap + margin * unit, error), df),
    )  # fmt: skip


def _error(first: float, second: float, df: float, other: float) -> tuple[float, float]:
    """The standard error of a difference, and its degrees of freedom."""
    total = first**2 + second**2
    parts = first**4 / df + second**4 / other
    return sqrt(total), total**2 / parts if parts > 0 else df + other


def _t(gap: float, error: float) -> float:
    if error > 0:
        return gap / error
    return 0.0 if gap == 0 else inf if gap > 0 else -inf


def _two_sided(gap: float, error: float, df: float) -> float:
    return 2 * student.tail(abs(_t(gap, error)), df)


def holm(values: Mapping[T, float]) -> dict[T, float]:
    """p values after the correction of Holm (1979), to compare with the error of the whole family."""
    found: dict[T, float] = {}
    least = 0.0
    for k, mark in enumerate(sorted(values, key=lambda mark: values[mark])):
        least = max(least, min(1.0, (len(values) - k) * values[mark]))
        found[mark] = least
    return found


def judged(cells: Mapping[T, tuple[Tail | None, Tail | None]], margin: float = MARGIN) -> dict[T, Judged]:
    """The statement about each pair of a cell and the baseline on the same task; all of them are one family.
    A pair without one of the two counts in the family, without a statement."""
    found = {
        mark: difference(cell, base, margin) if cell and base else None
        for mark, (cell, base) in cells.items()
    }
    known = {mark: d for mark, d in found.items() if d}
    lost = {mark: 1.0 for mark, d in found.items() if not d}
    p = holm({mark: d.p for mark, d in known.items()} | lost)
    plain = holm({mark: d.plain for mark, d in known.items()} | lost)
    worse = holm({mark: d.worse for mark, d in known.items()} | lost)
    return {
        mark: Judged(_statement(d, p[mark], worse[mark]), d, p[mark], plain[mark], worse[mark])
        if d else Judged(Statement.UNKNOWN, None, None, None, None)
        for mark, d in found.items()
    }  # fmt: skip


def _statement(d: Difference, p: float, worse: float) -> Statement:
    if p <= ERROR:
        return Statement.HELPS if d.estimate > 0 else Statement.HURTS
    return Statement.HARMLESS if worse <= ERROR else Statement.UNKNOWN
