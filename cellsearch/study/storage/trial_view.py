"""The strategy's `View` of a user's own study.

Units and grids belong to the objective: a new cell can be run, and any cell can be run again. Equivalent
cells with different graphs count as different.
"""

import heapq
import math
from collections.abc import Sequence
from typing import NamedTuple

from optuna import Study
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.text import parse, show
from cellsearch.errors import RunError
from cellsearch.study.mutation.sizes import MEASURES
from cellsearch.study.mutation.spec import Limits
from cellsearch.study.scoring import fronts
from cellsearch.study.scoring.ranking import Origin, Standing
from cellsearch.study.states import Kind
from cellsearch.study.storage.attributes import RECORD
from cellsearch.study.strategies import Strategy


class Entry(NamedTuple):
    """A cell with a value. `value` is its best, greater is better; `number` is its first trial."""

    value: float
    number: int
    text: str


class TrialView:
    """The trials of a study, read incrementally; all state is in the trials."""

    def __init__(self, seeds: Sequence[Cell], strategy: Strategy, limits: Limits) -> None:
        self.strategy, self.limits = strategy, limits
        self.units: dict[str, float] = {}
        self._texts = {fingerprint(seed): show(seed) for seed in seeds}
        self.seeds = list(self._texts)
        self._forget()

    def _forget(self) -> None:
        self._about: tuple[BaseStorage, int] | None = None  # the study of the cached values
        self._first = 0  # number of the first unread or unfinished trial
        self._read: set[int] = set()  # numbers of later finished trials that were read
        self.met: dict[str, int] = {}  # fingerprint -> the first trial of that cell
        self._found: dict[str, Entry] = {}
        self._entered: list[tuple[int, str, float]] = []  # trials with a new cell and a value

    def read(self, study: Study) -> None:
        """Reads the trials finished since the last call."""
        if len(study.directions) > 1:
            raise RunError("a study with several objectives has no ranking of cells\ngive it one direction")
        if self._about is None or self._about[0] is not study._storage or self._about[1] != study._study_id:
            self._forget()
            self._about = study._storage, study._study_id
        sign = 1.0 if study.direction == StudyDirection.MAXIMIZE else -1.0
        there = study.get_trials(deepcopy=False)  # in the order of their numbers, all of them
        while self._first < len(there) and self._first in self._read:
            self._read.remove(self._first)
            self._first += 1
        for trial in there[self._first :]:
            if trial.number in self._read:
                continue
            record = trial.user_attrs.get(RECORD)
            if trial.state.is_finished():
                self._read.add(trial.number)
            if record is None:
                continue
            mark, value = record["fingerprint"], trial.value if trial.state == TrialState.COMPLETE else None
            self.met[mark] = min(trial.number, self.met.get(mark, trial.number))
            if value is not None and math.isfinite(value):
                before = self._found[mark].value if mark in self._found else -math.inf
                self._found[mark] = Entry(max(sign * value, before), self.met[mark], record["cell"])
                if record.get("kind") != Kind.REFINE:
                    self._entered.append((trial.number, mark, sign * value))

    def listed(self) -> list[str]:
        """The cells with the best values, earlier ones first among ties; the seeds if there are none."""
        if self.strategy.rank == "pareto" and self._found:
            marks = sorted(self._found, key=lambda mark: self._found[mark].number)
            points = [(self._found[mark].value, self.cost(mark)) for mark in marks]
            return [marks[k] for k in fronts.ordered(points)[: self.strategy.list]]
        best = heapq.nsmallest(
            self.strategy.list, self._found.items(), key=lambda item: (-item[1].value, item[1].number)
        )
        return [mark for mark, _ in best] or self.seeds

    def refinable(self, marks: Sequence[str]) -> list[str]:
        """All cells, since the objective decides how to rerun one; none without refinement."""
        return list(marks) if self.strategy.refine else []

    def repeatable(self) -> list[str]:
        """None: how often a cell is trained is up to the objective."""
        return []

    def runnable(self, mark: str) -> bool:
        """Whether the cell is new."""
        return mark not in self.met

    def population(self) -> list[Standing]:
        """The cells of the last completed trials; the seeds while there are none."""
        last = sorted(self._entered)[-self.strategy.population :]
        members = last or [(0, mark, 0.0) for mark in self.seeds]
        return [Standing(mark, value, 0, Origin(number, False), "") for number, mark, value in members]

    def cost(self, mark: str) -> int:
        """As `strategy.cost` measures it."""
        return MEASURES[self.strategy.cost](self.cell(mark), self.limits.width)

    def cell(self, mark: str) -> Cell:
        """A cell that was met, or a seed."""
        return parse(self._found[mark].text if mark in self._found else self._texts[mark])

    def counts_as(self, cell: Cell) -> str:
        """Its own fingerprint."""
        return fingerprint(cell)
