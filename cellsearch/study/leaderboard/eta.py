"""The remaining time of a search, as an interval estimated from its records.

The estimate uses the durations of past items of each kind and the number of remaining ones. An item of the
baseline is a seed on a part of a task's grid; a proposal that fails the first stage is short, one that passes
it takes as long as its tasks, and a refinement takes every task. So each kind is estimated separately, from
its own items once there are some, and before that from the baseline, whose parts are as large as a stage.
Rare events widen the interval: if none of three proposals passed the filter, the next one may. The current
number of workers is used. Not modelled: changes in the number of workers, and growing cells.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, func, select

from cellsearch.study.space import Space
from cellsearch.study.space.model import FILTER
from cellsearch.study.states import OF_TRIALS, Ending, Kind
from cellsearch.study.strategies import refining
from cellsearch.study.tables.schema import items
from cellsearch.study.tables.transactions import Store, reading

SPREAD = 1.6  # standard deviations each way; tests/study/leaderboard/test_eta.py measures the coverage
UNSEEN = 0.1  # prior pass rate of new cells in the filter, from Jozefowicz et al. (2015)
UNKNOWN = 1e6  # symbols of a task with unknown size
CHEAP = 0.02  # prior share of the filter in the time of a trial

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Tally:
    """Durations of finished items."""

    count: int = 0
    seconds: float = 0.0
    squares: float = 0.0

    @property
    def mean(self) -> float:
        return self.seconds / self.count

    @property
    def deviation(self) -> float:
        """Variance of one item; for few items at least (mean / 3)²."""
        if self.count < 2:
            return self.mean
        found = math.sqrt(max(0.0, self.squares / self.count - self.mean**2))
        return max(found, self.mean / 3) if self.count < 6 else found

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.count + other.count, self.seconds + other.seconds, self.squares + other.squares
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class History:
    """Time facts from the records."""

    baseline: Mapping[tuple[str, str], Tally] = field(default_factory=dict)  # seed and task
    left: Mapping[tuple[str, str], int] = field(default_factory=dict)  # unfinished items of each
    begun: Mapping[str, int] = field(default_factory=dict)  # kind -> items that are running
    stopped: Tally = Tally()  # proposals that ended at the first stage
    passed: Tally = Tally()  # proposals that passed the first stage
    refined: Tally = Tally()
    repeated: Tally = Tally()  # trainings of known cells with fresh seeds: few and short, so not foreseen
    kept: frozenset[str] = frozenset()  # the tasks of trials; empty before the units are settled

    @property
    def trials(self) -> int:
        return self.stopped.count + self.passed.count + self.refined.count + self.repeated.count


@dataclass(frozen=True, slots=True)
class Amount:
    """Expected seconds of work, and the variance."""

    seconds: float = 0.0
    variance: float = 0.0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.seconds + other.seconds, self.variance + other.variance)


@dataclass(frozen=True, slots=True)
class Duration:
    """The duration of an item of a kind: mean, variance of the mean, and variance of one item."""

    mean: float
    doubt: float
    spread: float

    @property
    def square(self) -> float:
        """The second moment."""
        return self.mean**2 + self.spread

    def times(self, count: float) -> Amount:
        """The sum over `count` items."""
        return Amount(count * self.mean, count * self.spread + count**2 * self.doubt)

    def rest(self, count: float) -> Amount:
        """The remaining work of running items. (Long items are overrepresented among running ones.)"""
        left = self.square / (2 * self.mean) if self.mean else 0.0
        return Amount(count * left, count * left**2 / 3)


def _known(tally: Tally, guess: float, doubt: float) -> Duration:
    """An estimate from the items, or else from a guess with relative error `doubt`."""
    if not tally.count:
        return Duration(guess, doubt**2, (guess / 2) ** 2)
    return Duration(tally.mean, tally.deviation**2 / tally.count, tally.deviation**2)


def _either(a: Duration, b: Duration, share: float, doubt: float = 0.0) -> Duration:
    """A mixture: a `share` of b, the rest a; `doubt` is the variance of the share."""
    mean = (1 - share) * a.mean + share * b.mean
    square = (1 - share) * a.square + share * b.square
    of_mean = (1 - share) ** 2 * a.doubt + share**2 * b.doubt + doubt * (b.mean - a.mean) ** 2
    return Duration(mean, of_mean, max(0.0, square - mean**2))


def estimate(history: History, target: int, workers: int, space: Space) -> Range | None:
    """Interval of seconds until `target` trials are done; None before the first item has ended. `workers` is
    the number of workers, at least one.
    """
    if not any(tally.count for tally in history.baseline.values()):
        return None
    stages = _stages(history, space)
    seeds, longest = _baseline(history, stages)
    trials, last = _trials(history, _whole(history, stages), target, space)
    work = seeds + trials
    # At the end of the baseline and of the search, most workers wait for the last one.
    idle = (1 - 1 / workers) * (longest * (seeds.seconds > 0) + last * (trials.seconds > 0))
    middle = work.seconds / workers + idle / 2
    wide = SPREAD * math.sqrt(work.variance) / workers + idle / 2
    return max(0.1 * middle, middle - wide), middle + wide


def _stages(history: History, space: Space) -> dict[str, Duration]:
    """The duration of a baseline item on each task, averaged over seeds. A task without an item is
    extrapolated from the others by the size of its models and data."""
    tallies: dict[str, Tally] = {}
    for (_, task), tally in history.baseline.items():
        tallies[task] = tallies.get(task, Tally()) + tally
    sizes = {task.name: sum(task.grid.parameters) / len(task.grid.parameters) for task in space.tasks}
    for stage in space.tasks:
        symbols = stage.options.get("train")
        sizes[stage.name] *= symbols if isinstance(symbols, int) else UNKNOWN
    met = [task for task, tally in tallies.items() if tally.count]
    pace = sum(tallies[t].mean for t in met) / sum(sizes.get(t, 1.0) for t in met)
    guesses = {task: pace * sizes.get(task, 1.0) for task in tallies}
    return {task: _known(tally, guesses[task], guesses[task]) for task, tally in tallies.items()}


def _baseline(history: History, stages: Mapping[str, Duration]) -> tuple[Amount, float]:
    """What is left of it, and how long its last item may take."""
    every, begun = sum(history.left.values()), history.begun.get(Kind.BASELINE, 0)
    share = (
        min(1.0, begun / every) if every else 0.0
    )  # of each kind; they are begun in turn, which is near enough
    amount, longest = Amount(), 0.0
    for (seed, task), count in history.left.items():
        whole = stages[task]  # a seed that has not met the task may differ from the others there
        one = _known(history.baseline[seed, task], whole.mean, max(whole.mean / 2, whole.doubt**0.5))
        amount += one.times((1 - share) * count) + one.rest(share * count)
        longest = max(longest, one.mean if count else 0.0)
    return amount, longest


def _whole(history: History, stages: Mapping[str, Duration]) -> float:
    """Seconds of a stage on every task that is kept: a item of the baseline is as large as one."""
    return sum(stage.mean for task, stage in stages.items() if not history.kept or task in history.kept)


def _trials(history: History, whole: float, target: int, space: Space) -> tuple[Amount, float]:
    """The trials that are left, and how long the last may take; `whole` are all stages of one."""
    refined = _known(history.refined, whole, whole / 2)
    passed = _known(history.passed, 0.7 * whole, whole / 2)  # most fail at one of the tasks
    stopped = _known(history.stopped, CHEAP * whole, CHEAP * whole)
    to_refine, proposing = (history.begun.get(kind, 0) for kind in (Kind.REFINE, Kind.PROPOSE))
    proposed = history.stopped.count + history.passed.count
    if space.filter is None and not history.stopped.count:
        share, doubt = 1.0, 0.0
    else:  # one proposal of UNSEEN is added to what was seen, as if it had been
        share = (history.passed.count + UNSEEN) / (proposed + 1)
        longer = share * passed.mean / (share * passed.mean + (1 - share) * stopped.mean)  # of running ones
        share = (history.passed.count + UNSEEN + proposing * longer) / (proposed + proposing + 1)
        doubt = share * (1 - share) / (proposed + 2)
    said = refining(space.strategy)
    others = history.trials - history.repeated.count
    odds = (history.refined.count + to_refine + 10 * said) / (others + to_refine + proposing + 10)
    proposal = _either(stopped, passed, share, doubt)
    begun = to_refine + proposing + history.begun.get(Kind.REPEAT, 0)
    left = max(0, target - history.trials - begun)
    amount = _either(proposal, refined, odds).times(left) + refined.rest(to_refine) + proposal.rest(proposing)
    last = max(refined.mean if odds else 0.0, passed.mean if odds < 1 else 0.0)
    return amount, last


def history(store: Store, space: Space, kept: Collection[str]) -> History:
    """The records of a study; `kept` are the tasks whose units are settled. A trial that a crash or an error
    ended counts as it is."""
    sums = (
        func.count().label("n"), func.sum(items.c.seconds).label("s"),
        func.sum(items.c.seconds * items.c.seconds).label("q"),
    )  # fmt: skip
    open_ = items.c.outcome == Ending.OPEN
    state = (open_.label("open"), (open_ & (items.c.owner != "")).label("running"))
    by_seed = (items.c.fingerprint, items.c.task)
    by_kind = (items.c.kind, items.c.outcome, items.c.task)
    mine, is_seed = items.c.study == store.study, items.c.kind == Kind.BASELINE
    is_trial = items.c.kind.in_(OF_TRIALS)
    with reading(store.engine, store.url) as connection:
        grouped = select(*by_seed, *state, *sums).where(mine, is_seed).group_by(*by_seed, *state)
        parts = connection.execute(grouped).all()
        grouped = select(*by_kind, *state, *sums).where(mine, is_trial).group_by(*by_kind, *state)
        trials = connection.execute(grouped).all()
    baseline: dict[tuple[str, str], Tally] = {}
    left: dict[tuple[str, str], int] = {}
    for row in parts:
        key, ended = (row.fingerprint, row.task), not row.open
        baseline[key] = baseline.get(key, Tally()) + (_tally(row) if ended else Tally())
        left[key] = left.get(key, 0) + (0 if ended else row.n)
    first = FILTER if space.filter else space.tasks[0].name
    kinds = {"refined": Tally(), "repeated": Tally(), "stopped": Tally(), "passed": Tally()}
    known = {Kind.REFINE: "refined", Kind.REPEAT: "repeated"}
    for row in trials:
        if not row.open:
            at_once = row.outcome == Ending.FILTERED and row.task == first
            kinds[known.get(row.kind, "stopped" if at_once else "passed")] += _tally(row)
    begun: dict[str, int] = {
        Kind.BASELINE: sum(row.n for row in parts if row.running),
        Kind.REFINE: 0,
        Kind.REPEAT: 0,
        Kind.PROPOSE: 0,
    }
    for row in trials:
        if row.running:
            begun[row.kind if row.kind in known else Kind.PROPOSE] += row.n
    return History(baseline, left, begun, kept=frozenset(kept), **kinds)


def _tally(row: Row[Any]) -> Tally:
    return Tally(row.n, float(row.s or 0), float(row.q or 0))
