"""A row of the leaderboard, and details of shown rows: parents, changes, epochs, failures.

`repr` of a row is one line; its fields are complete.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import select

from cellsearch import notebook
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.text import parse
from cellsearch.dsl.text.changes import changes
from cellsearch.study.mutation.operators import words_of
from cellsearch.study.scoring.verdicts import Verdict
from cellsearch.study.space.model import FILTER
from cellsearch.study.states import Ending, Kind
from cellsearch.study.tables import cellrecords
from cellsearch.study.tables.cellrecords import Record
from cellsearch.study.tables.schema import items, stages
from cellsearch.study.tables.transactions import Store, reading
from cellsearch.study.tables.work_items import outcomes_of
from cellsearch.train.settings import values


@dataclass(frozen=True, slots=True, repr=False)
class TaskResult:
    """A cell on one task."""

    task: str
    ratio: float | None  # best accuracy / unit; None without units or accuracy, and on a dropped task
    accuracy: float | None
    loss: float | None
    setting: str | None  # values of the best setting
    parameters: int | None  # parameters of the whole model at that setting
    hidden: int | None
    settings: int  # number of trained settings, diverged ones included
    kept: bool  # False: the task was dropped after the baseline
    epochs: int | None = None  # epoch of the best accuracy at the best setting
    trained: int | None = None  # total epochs of the best setting; None if not recorded

    @property
    def values(self) -> dict[str, float | int]:
        """The best setting by name: init_scale, learning_rate, …; empty without one."""
        return {} if self.setting is None else values(self.setting)

    def __repr__(self) -> str:
        if self.accuracy is None:
            return f"<{self.task}: no accuracy>"
        ratio = "" if self.ratio is None else f"ratio {self.ratio:.3f}, "
        return f"<{self.task}: {ratio}accuracy {self.accuracy:.4f}; {self.setting}>"


@dataclass(frozen=True, slots=True)
class Repeated:
    """Further trainings of a cell at its best settings, with fresh seeds (`strategy.repeats`)."""

    count: int  # on each task
    ratio: float | None  # mean accuracy / unit, the least of the tasks; None where all of a task diverged
    diverged: int  # of all tasks; left out of the means


@dataclass(frozen=True, slots=True, repr=False)
class Row:
    """A line of the leaderboard."""

    rank: int | None  # rank; None for an unranked cell
    name: str
    fingerprint: str
    score: float | None
    tasks: tuple[TaskResult, ...]
    parameters: int | None  # parameters of the largest model at its best settings
    settings: int  # settings trained on all tasks and the filter
    status: str  # seed, ranked, filtered at STAGE, failed at STAGE, failed, running
    parent: str
    trial: int  # its first trial
    text: str
    equivalents: tuple[str, ...] = ()  # fingerprints of proposed cells that are equivalent to it
    parent_name: str = ""
    edits: tuple[str, ...] = ()  # edits from its parent, in words
    changes: tuple[str, ...] = ()  # equations that its parent lacks, and removed names
    repeated: Repeated | None = None  # None: not yet, or the space has no repeats
    tie: bool = False  # a tie: noise alone could place it first
    above_chance: bool | None = None  # beyond the band of chance; None: a seed, or unknown
    verdict: Verdict | None = None  # verdict of `verify`

    @property
    def cell(self) -> Cell:
        """The cell itself."""
        return parse(self.text)

    @property
    def seed(self) -> bool:
        return self.status == "seed"

    @property
    def standing(self) -> str:
        """The rank, or the status of an unranked cell, in words."""
        return self.ending if self.rank is None else f"rank {self.rank}"

    @property
    def ending(self) -> str:
        """The status, with the stage unless it is the filter."""
        return self.status.removesuffix(f" at {FILTER}")

    @property
    def said(self) -> str:
        """Name, standing, score and verdict in a line."""
        score = "" if self.score is None else f", score {self.score:.3f}"
        verdict = "" if self.verdict is None else f", {self.verdict.call} the baseline"
        return f"{self.name}: {self.standing}{score}{verdict}"

    def __repr__(self) -> str:
        return f"<Row {self.said}>"

    def _repr_html_(self) -> str:
        """Standing, results on each task with the best setting, edits, and the cell, for notebooks."""
        numbers = ("ratio", "accuracy", "loss", "parameters", "settings")
        lines = [
            [notebook.escaped(one.task), *(_number(getattr(one, name)) for name in numbers), _setting(one)]
            for one in self.tasks
        ]
        return "".join(
            [
                notebook.note(self.said, "bold"),
                notebook.table(["task", *numbers, "best setting"], lines, range(1, 1 + len(numbers))),
                *(notebook.note(edit, "dim") for edit in self.edits),
                self.cell._repr_html_(),
            ]
        )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def _setting(result: TaskResult) -> str:
    shown = {name: value for name, value in result.values.items() if name != "parameters"}
    return notebook.escaped(" ".join(f"{name}={value:g}" for name, value in shown.items()))


def detailed(store: Store, rows: Sequence[Row], records: Mapping[str, Record]) -> list[Row]:
    """The rows with parents, changes, epochs and failures. `records` are the rows' cells."""
    parents = _parents(store, rows, records)
    epochs = _epochs(store, rows)
    failures = _failures(store, rows)
    found = []
    for row in rows:
        parent = parents.get(row.parent)
        tasks = []
        for result in row.tasks:
            at, trained = epochs.get((row.fingerprint, result.task), (None, None))
            tasks.append(replace(result, epochs=at, trained=trained))
        found.append(
            replace(
                row,
                tasks=tuple(tasks),
                status=failures.get(row.fingerprint, row.status),
                parent_name=parent.name if parent else row.parent[:12],
                edits=tuple(words_of(json.loads(records[row.fingerprint].edits or "[]"))),
                changes=changes(parent.text, row.text) if parent else (),
            )
        )
    return found


def _parents(store: Store, rows: Sequence[Row], records: Mapping[str, Record]) -> dict[str, Record]:
    """Fingerprint -> record, of the parents of the rows."""
    wanted = dict.fromkeys(row.parent for row in rows if row.parent)
    found = {mark: records[mark] for mark in wanted if mark in records}
    missing = [mark for mark in wanted if mark not in found]
    others = cellrecords.recorded_cells(store, missing) if missing else []
    return found | {record.fingerprint: record for record in others}


def _epochs(store: Store, rows: Sequence[Row]) -> dict[tuple[str, str], tuple[int | None, int | None]]:
    """(fingerprint, task) -> epochs of the best setting: of the best accuracy, and in total."""
    best = {
        (row.fingerprint, result.task, result.setting)
        for row in rows
        for result in row.tasks
        if result.setting
    }
    query = select(stages.c.fingerprint, stages.c.task, stages.c.setting, stages.c.outcomes)
    found: dict[tuple[str, str], tuple[int | None, int | None]] = {}
    with reading(store.engine, store.url) as connection:
        for part in cellrecords.parts(sorted({mark for mark, _, _ in best})):
            here = (stages.c.study == store.study, stages.c.fingerprint.in_(part))
            for mark, task, setting, outcomes in connection.execute(query.where(*here)):
                if (mark, task, setting) in best:
                    one = next((o for o in outcomes_of(outcomes) if o.setting == setting), None)
                    found[mark, task] = (one.epochs, one.trained or None) if one else (None, None)
    return found


def _failures(store: Store, rows: Sequence[Row]) -> dict[str, str]:
    """Fingerprint -> failed at STAGE, for unranked cells whose last trial failed."""
    wanted = {row.fingerprint for row in rows if row.status.startswith(("filtered", "running"))}
    if not wanted:
        return {}
    query = (
        select(items.c.fingerprint, items.c.outcome, items.c.task)
        .where(
            items.c.study == store.study,
            items.c.kind.in_((Kind.PROPOSE, Kind.REFINE)),
            items.c.outcome.in_(("", Ending.FILTERED, Ending.FAILED)),
        )
        .order_by(items.c.trial)
    )
    with reading(store.engine, store.url) as connection:
        last = {mark: (outcome, task) for mark, outcome, task in connection.execute(query) if mark in wanted}
    return {
        mark: f"failed at {task}" if task else "failed"
        for mark, (outcome, task) in last.items()
        if outcome == Ending.FAILED
    }
