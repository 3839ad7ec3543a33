"""The state of a running search for the display: a frozen value computed from records only.

Results are shown only after they are committed, so a crash loses nothing that was shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cellsearch.study.leaderboard import board, eta
from cellsearch.study.leaderboard.board import Row
from cellsearch.study.leaderboard.eta import History, Range
from cellsearch.study.space import Space
from cellsearch.study.storage import heartbeat
from cellsearch.study.strategies import refining
from cellsearch.study.tables import queries
from cellsearch.study.tables.queries import Counts
from cellsearch.study.tables.records import dropped, facts
from cellsearch.study.tables.study_facts import Facts, Target
from cellsearch.study.tables.transactions import Store

FRESH = 200  # update the estimate of durations after this share of new items


@dataclass(frozen=True, slots=True)
class Progress:
    """A snapshot of a running search."""

    name: str
    workers: tuple[tuple[str, str], ...]  # of all machines: name and activity
    counts: Counts
    target: Target
    best: Row | None  # first mutant of the leaderboard
    seeds: tuple[Row, ...]
    dropped: tuple[str, ...]  # dropped tasks, with the reason
    messages: tuple[str, ...]  # since this `search` started: restarts, database outages
    elapsed: float  # seconds of this `search`
    spent: float  # seconds of all `search` commands on this study
    per_hour: float | None  # trials per hour in this `search`
    left: Range | None  # interval of seconds; None before an estimate exists
    patience: int | None = None  # limit of proposals in a row without a better score


class Meter:
    """Computes `Progress`, with state for speed and table between calls."""

    def __init__(self, store: Store, space: Space, limit: float | None) -> None:
        self.store, self.space, self.limit = store, space, limit
        self._since_trials: tuple[int, float] | None = (
            None  # trials and elapsed time at the end of the baseline
        )
        self.before = facts(store).seconds  # seconds of earlier searches on this study
        self._table: tuple[int, list[Row]] = (-1, [])
        self._history: tuple[int, History] | None = None  # number of finished items

    def look(self, elapsed: float, workers: int, messages: Sequence[str]) -> Progress:
        """The current state. `elapsed` is in seconds since the start."""
        counts, known = queries.counts(self.store), facts(self.store)
        if known.baseline is not None and self._since_trials is None:
            self._since_trials = (counts.trials, elapsed)
        if counts.settings != self._table[0]:  # grows with each stage
            few = 1 + len(self.space.seeds)  # includes the best mutant
            self._table = (counts.settings, board.top(self.store, self.space, few)[0])
        table = self._table[1]
        rate = self._rate(counts, elapsed)
        everyone = [w for w in heartbeat.listed(self.store) if w.kind == "worker"]
        return Progress(
            name=self.store.name,
            workers=tuple((f"{w.host.partition('#')[0]}:{w.pid}", w.doing) for w in everyone),
            counts=counts,
            target=known.target,
            best=next((row for row in table if row.rank is not None and not row.seed), None),
            seeds=tuple(row for row in table if row.seed),
            dropped=tuple(dropped(known.baseline or {}, self.space.strategy.margin)),
            messages=tuple(messages),
            elapsed=elapsed,
            spent=self.before + elapsed,
            per_hour=None if rate is None else 3600 * rate,
            left=self._left(counts, known, max(1, workers, len(everyone))),
            patience=self.space.budget.patience,
        )

    def _rate(self, counts: Counts, elapsed: float) -> float | None:
        """Trials per second since the baseline was done."""
        if self._since_trials is None:
            return None
        trials, since = counts.trials - self._since_trials[0], elapsed - self._since_trials[1]
        return trials / since if trials and since > 0 else None

    def _left(self, counts: Counts, known: Facts, workers: int) -> Range | None:
        """Seconds until the target or the time limit, whichever is first."""
        ended = counts.baseline + counts.trials
        trials = known.target.expected(refining(self.space.strategy))
        if self._history is None or ended - self._history[0] > self._history[0] // FRESH:
            self._history = ended, eta.history(self.store, self.space, known.units)
        found = eta.estimate(self._history[1], trials, workers, self.space)
        if self.limit is None:
            return found
        until = max(0.0, self.limit - known.seconds)
        return (until, until) if found is None else (min(found[0], until), min(found[1], until))
