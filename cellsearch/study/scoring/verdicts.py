"""Whether cells are above, level with or below the baseline, from repeated trainings: pure functions.

A cell and the baseline are trained again with fresh seeds, in rounds that end at the looks of `sequential`.
All repeats of a round have the same data, and each round has its own; differences are taken within rounds, so
that effects of the data cancel. The statistic on a task is Welch's t with rounds as blocks.

A cell is *above* when it is better on every task: the least favourable p value decides, and needs no
correction for the number of tasks (intersection-union test: Berger 1982). It is *below* when it is worse on
some task, with Bonferroni's correction over the tasks. Over cells and looks both follow `sequential`: the
probability of any false call, above or below, is at most 0.05 over all looks.

A diverged repeat has no accuracy. It is excluded from the means, and a cell with one is never above.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf, prod, sqrt

from cellsearch.study.scoring import student
from cellsearch.study.scoring.sequential import LOOKS, levels

#: Family-wise error over cells and looks; 0.05 in total. Most of it is for "above", the claim of interest;
#: and occasional failures to learn make "below" more likely than a normal test assumes.
ERROR_ABOVE, ERROR_BELOW = 0.04, 0.01
BASELINE = 2  # repeats of the baseline per repeat of a cell: all comparisons share them
DIFFERENCE = 0.03  # share of the baseline's accuracy that a plan detects
POWER = 0.8  # power of the plan

Rounds = Sequence[Sequence[float | None]]  # accuracies of the repeats of each round; None: diverged
Tasks = Mapping[str, Rounds]


class Call(StrEnum):
    """The verdict of a comparison."""

    ABOVE = "above"
    LEVEL = "level with"
    BELOW = "below"


@dataclass(frozen=True, slots=True)
class Difference:
    """A cell against the baseline on one task, as a share of the baseline's mean accuracy."""

    estimate: float  # 0: equal; 0.03: 3% better
    error: float  # standard error
    df: float  # degrees of freedom
    spread: float  # standard deviation of one repeat of the cell
    base: float  # and of the baseline

    @property
    def t(self) -> float:
        """The statistic; without spread it is infinite, or 0 for equal means."""
        if self.error > 0:
            return self.estimate / self.error
        return 0.0 if self.estimate == 0 else inf if self.estimate > 0 else -inf


@dataclass(frozen=True, slots=True)
class OnTask:
    """The ratio of mean accuracies on one task, with its interval."""

    task: str
    ratio: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """A cell against the baseline. The interval has the level of the cell's last test: it lies above 1 for
    the verdict above, below 1 for below."""

    call: Call
    ratio: float  # the smallest ratio over the tasks
    low: float
    high: float
    tasks: tuple[OnTask, ...]
    repeats: int  # repeats of the cell up to its verdict
    diverged: int  # diverged repeats over all tasks
    more: int | None  # further repeats needed for a call at these estimates; None: over 128 in total


def planned(look: int, base: bool) -> int:
    """The repeats of round `look`."""
    before = LOOKS[look - 1] if look else 0
    return (LOOKS[look] - before) * (BASELINE if base else 1)


@dataclass(frozen=True, slots=True)
class Decision:
    """The data of a verdict."""

    call: Call
    look: int  # the last look of the cell
    found: Mapping[str, Difference]  # by task, at that look
    parts: tuple[float, float]  # error parts of its last test, for above and below
    broken: int  # repeats that diverged


def verdicts(cells: Mapping[str, Tasks], baseline: Tasks) -> dict[str, Verdict]:
    """The verdict of every cell with a complete first round, if the baseline has one too."""
    return {mark: _verdict(decision) for mark, decision in decisions(cells, baseline).items()}


def decisions(cells: Mapping[str, Tasks], baseline: Tasks) -> dict[str, Decision]:
    """The same without intervals, look by look."""
    last = {mark: _complete(tasks, baseline) for mark, tasks in cells.items()}
    family = [mark for mark in cells if last[mark] >= 0]
    decided: dict[str, Decision] = {}
    calls: dict[str, Call] = {}
    for look in range(len(LOOKS)):
        there = {
            mark: {task: difference(cells[mark][task], baseline[task], look + 1) for task in baseline}
            for mark in family
            if mark not in calls and last[mark] >= look
        }
        broken = {mark: _diverged(cells[mark], look + 1) for mark in there}
        tails = {mark: [student.tail(d.t, d.df) for d in known.values()] for mark, known in there.items()}
        # better on every task; worse on any, with Bonferroni's correction
        better = {mark: max(some) for mark, some in tails.items() if not broken[mark]}
        worse = {mark: len(some) * (1.0 - max(some)) for mark, some in tails.items()}
        above = _decide(better, len(family), calls, Call.ABOVE, look, ERROR_ABOVE)
        below = _decide(worse, len(family), calls, Call.BELOW, look, ERROR_BELOW)
        for mark, known in there.items():
            if mark in calls or last[mark] == look:
                call = calls.get(mark, Call.LEVEL)
                decided[mark] = Decision(call, look, known, (above, below), broken[mark])
    return decided


def _decide(
    values: Mapping[str, float],  # p values of the cells at this look
    family: int,
    calls: dict[str, Call],  # updated in place: the decisions
    call: Call,
    look: int,
    error: float,
) -> float:
    """Holm's steps at one look; returns the remaining error part of each cell."""
    while True:
        part = error / max(1, family - sum(known == call for known in calls.values()))
        level = levels(part)[look]
        now = [mark for mark, p in values.items() if mark not in calls and p <= level]
        if not now:
            return part
        calls.update(dict.fromkeys(now, call))


def _verdict(d: Decision) -> Verdict:
    call, found, look, parts, broken = d.call, d.found, d.look, d.parts, d.broken
    above, below = levels(parts[0])[look], levels(parts[1])[look] / len(found)
    tasks = tuple(
        OnTask(
            task,
            1 + d.estimate,
            1 + d.estimate - student.quantile(above, d.df) * d.error,
            1 + d.estimate + student.quantile(below, d.df) * d.error,
        )
        for task, d in found.items()
    )
    more = _needed(found, look, parts, broken) if call == Call.LEVEL else 0
    least = min(t.ratio for t in tasks), min(t.low for t in tasks), min(t.high for t in tasks)
    return Verdict(call, *least, tasks, LOOKS[look], broken, more)


def difference(cell: Rounds, base: Rounds, rounds: int) -> Difference:
    """The first `rounds` rounds of both, compared within rounds and weighted by the repeats of the cell."""
    pairs = [
        ([a for a in mine if a is not None], [a for a in its if a is not None])
        for mine, its in zip(cell[:rounds], base[:rounds], strict=True)
    ]
    pairs = [(mine, its) for mine, its in pairs if mine and its]
    count = sum(len(mine) for mine, _ in pairs)
    if not count:  # all diverged: the largest possible loss
        return Difference(-1.0, 0.0, 1.0, 0.0, 0.0)
    weights = [len(mine) / count for mine, _ in pairs]
    mean = sum(w * _mean(its) for w, (_, its) in zip(weights, pairs, strict=True))
    gap = sum(w * (_mean(mine) - _mean(its)) for w, (mine, its) in zip(weights, pairs, strict=True))
    own, own_df = _within([mine for mine, _ in pairs])
    its, its_df = _within([its for _, its in pairs])
    first = own / count
    second = its * sum(w * w / len(b) for w, (_, b) in zip(weights, pairs, strict=True))
    total = first + second
    parts = first**2 / max(own_df, 1) + second**2 / max(its_df, 1)
    df = total**2 / parts if parts > 0 else 1.0
    return Difference(gap / mean, sqrt(total) / mean, df, sqrt(own) / mean, sqrt(its) / mean)


def _within(rounds: Sequence[Sequence[float]]) -> tuple[float, int]:
    """The variance within rounds, and its degrees of freedom."""
    squares = sum((a - _mean(some)) ** 2 for some in rounds for a in some)
    df = sum(len(some) - 1 for some in rounds)
    return squares / max(df, 1), df


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _complete(cell: Tasks, base: Tasks) -> int:
    """The last round that cell and baseline have completed on every task; -1 without one."""
    last = -1
    for look in range(len(LOOKS)):
        whole = all(
            len(tasks.get(task, ())) > look and len(tasks[task][look]) >= planned(look, tasks is base)
            for task in base
            for tasks in (cell, base)
        )
        if not base or not whole:
            break
        last = look
    return last


def _diverged(cell: Tasks, rounds: int) -> int:
    return sum(a is None for task in cell.values() for some in task[:rounds] for a in some)


def _needed(
    found: Mapping[str, Difference], look: int, parts: tuple[float, float], broken: int
) -> int | None:
    """Further repeats needed for a call in the direction of the estimates, if they are true."""
    worst = min(found.values(), key=lambda d: d.estimate)
    better = worst.estimate > 0
    if better and broken:
        return None
    chosen = [(d, abs(d.estimate)) for d in (found.values() if better else [worst])]
    share = 1 if better else len(found)
    enough = _enough(chosen, parts[0 if better else 1], share, look + 1)
    return None if enough is None else enough - LOOKS[look]


def plan(spreads: Sequence[tuple[float, int]], cells: int, difference: float = DIFFERENCE) -> int | None:
    """Repeats after which a cell that is better by `difference` on every task is called above with
    probability `POWER`, among that number of cells. `spreads` are the standard deviations of one repeat on
    the tasks, as shares of the accuracy, with their degrees of freedom. Their upper 80% limits are used,
    since an underestimate would give too few repeats. None: more than the last look has."""
    chosen = []
    for measured, df in spreads:
        least = max(0.05, 1 - 2 / (9 * df) - 0.8416 * sqrt(2 / (9 * df))) ** 3  # chi squared / df, 20%:
        spread = measured / sqrt(least)  # Wilson & Hilferty 1931
        chosen.append((Difference(difference, 0.0, 1.0, spread, spread), difference))
    return _enough(chosen, ERROR_ABOVE / max(1, cells), 1, 0)


def spread_of(rounds: Rounds) -> tuple[float, int] | None:
    """The standard deviation of one repeat within rounds, as a share of the mean accuracy, and its degrees of
    freedom; None with too few repeats."""
    known = [[a for a in some if a is not None] for some in rounds]
    values = [a for some in known for a in some]
    variance, df = _within([some for some in known if some])
    return (sqrt(variance) / _mean(values), df) if df > 0 and _mean(values) > 0 else None


def _enough(chosen: Sequence[tuple[Difference, float]], part: float, share: int, first: int) -> int | None:
    """The first look from `first` on, by its repeats, with `POWER`."""
    for repeats, level in list(zip(LOOKS, levels(part), strict=True))[first:]:
        if prod(_power(size, d, repeats, level / share) for d, size in chosen) >= POWER:
            return repeats
    return None


def _power(size: float, d: Difference, repeats: int, level: float) -> float:
    """The probability that a true difference of `size` is called at a look after that many repeats."""
    error = sqrt((d.spread**2 + d.base**2 / BASELINE) / repeats)
    df = max(1.0, (1 + BASELINE) * (repeats - 1) / 2)
    if error == 0:
        return 1.0 if size > 0 else 0.0
    return student.tail(student.quantile(level, df) - size / error, df)
