"""A verification in rounds: remaining works are trained in processes and recorded as they end.

Kills do not change the result: recorded works are not trained again, and a training depends only on the
study, the cell, the task and the round. Cells with a verdict leave; the baseline continues as long as any
cell does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cellsearch.analysis import processes
from cellsearch.analysis.verify import work
from cellsearch.analysis.verify.work import Place, Work
from cellsearch.errors import RunError, UsageError
from cellsearch.study.leaderboard import board
from cellsearch.study.leaderboard.board import Row
from cellsearch.study.leaderboard.trust import Trust, verdicts_of
from cellsearch.study.scoring.sequential import LOOKS
from cellsearch.study.scoring.verdicts import Call
from cellsearch.study.studies import Study
from cellsearch.study.tables import records
from cellsearch.study.tables import repeats as recorded
from cellsearch.study.tables.repeats import Round
from cellsearch.study.tables.transactions import Store

Train = Callable[[Place, Work], Round]


@dataclass(frozen=True, slots=True)
class Step:
    """Progress of a verification."""

    look: int  # the round
    done: int  # finished works of this round
    of: int
    cell: str  # the name of the last to end; "" before the first
    task: str


Tell = Callable[[Step], None]


def verify_study(
    study: Study,
    rows: int = 5,
    count: int = 8,
    *,
    place: Place,
    workers: int = 1,
    tell: Tell = lambda step: None,
    train: Train | None = None,
) -> list[Row]:
    """Trains the first `rows` cells of the board and the baseline again, up to `count` repeats of each cell,
    and records them; the rows of these cells with their verdicts.

    `train` runs a work, `work.train` by default; with one worker it is called in this process. Raises
    RunError if no cell is ranked yet.
    """
    if count not in LOOKS:
        raise UsageError(f"the number of repeats is one of {', '.join(map(str, LOOKS))}, not {count}")
    base, cells = contestants(study, rows)
    store = records.open_study(study.store.url, study.store.name)
    names = {row.fingerprint: row.name for row in (base, *cells)}
    tasks = list(study.facts.units)
    try:
        for look in range(LOOKS.index(count) + 1):
            left = works(store, base, cells, tasks, look)
            tell(Step(look, 0, len(left), "", ""))
            for done, found in enumerate(processes.results(train or work.train, place, left, workers), 1):
                recorded.add(store, found)
                tell(Step(look, done, len(left), names[found.fingerprint], found.task))
    finally:
        store.engine.dispose()
    marks = {row.fingerprint for row in cells}
    return [row for row in board.leaderboard(study.store, study.space) if row.fingerprint in marks]


def contestants(study: Study, rows: int) -> tuple[Row, list[Row]]:
    """The baseline, and the first cells of the board other than seeds."""
    name = study.store.name
    if not study.facts.units:
        raise RunError(
            f"the baseline of {name!r} is not done, so nothing can be compared with it yet\n"
            f"continue the search first: cellsearch search {name}"
        )
    listed, _ = board.top(study.store, study.space, rows + len(study.space.seeds), Trust())
    cells = [row for row in listed if row.rank is not None and not row.seed][:rows]
    if not cells:
        raise RunError(f"no mutant is ranked in {name!r} yet\ncontinue the search: cellsearch search {name}")
    return next(row for row in listed if row.seed and row.name == study.space.baseline), cells


def works(store: Store, base: Row, cells: Sequence[Row], tasks: Sequence[str], look: int) -> list[Work]:
    """The remaining works of a round, the baseline first because it has most repeats."""
    there = recorded.recorded(store)
    decided = {
        mark for mark, verdict in verdicts_of(there, base.fingerprint, tasks).items()
        if verdict.call != Call.LEVEL
    }  # fmt: skip
    done = {(one.fingerprint, one.task, one.look) for one in there}
    chosen = {(one.fingerprint, one.task): one.setting for one in there}  # of the first round, and kept
    racing = [row for row in cells if row.fingerprint not in decided]
    found = []
    for row in [base, *racing] if racing else []:
        settings = {result.task: result.setting for result in row.tasks}
        for task in tasks:
            if (row.fingerprint, task, look) in done:
                continue
            setting = chosen.get((row.fingerprint, task)) or settings[task]
            assert setting is not None  # it is ranked, so it has an accuracy on every task
            found.append(Work(row.fingerprint, row.text, task, setting, look, row is base))
    return found
