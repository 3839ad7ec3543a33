"""A comparison of cells: remaining populations are trained in processes, recorded as they end, and judged.

Kills do not change the result: recorded trainings are not repeated, and a training depends only on the cells,
the tasks, the ranges and the seed. More settings, cells or tasks in the same folder train only the new ones.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cellsearch import files
from cellsearch.analysis import processes
from cellsearch.analysis.compare import judge, outcomes, work
from cellsearch.analysis.compare.draws import Interval, Ranges, drawn, ranges
from cellsearch.analysis.compare.judge import Judged, Statement, Tail
from cellsearch.analysis.compare.work import Place, Trained, Work
from cellsearch.analysis.training.plan import Wanted, changed, space_of, stage_of
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.errors import UsageError, did_you_mean, printable
from cellsearch.study.leaderboard import importance
from cellsearch.study.lookup import Found
from cellsearch.study.space import TaskStage
from cellsearch.study.system.processes import exclusive
from cellsearch.tasks import Dataset
from cellsearch.tasks.data import memoryless
from cellsearch.train.outcome import Status
from cellsearch.train.resources import cost
from cellsearch.train.settings import Setting, values

LOCK = "compare.lock"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for a comparison."""

    tasks: Sequence[str] = ()  # none: all tasks of the space
    baseline: str | None = None  # the name of one of the cells; None: the first
    settings: int = 40  # of each cell on each task
    share: float = judge.SHARE
    margin: float = judge.MARGIN
    space: str | None = None
    draws: Sequence[str] = ()  # "learning_rate=0.1..5"
    overrides: Sequence[str] = ()  # "options.train=10000", of every task
    epochs: int | None = None  # at most


@dataclass(frozen=True, slots=True)
class OnTask:
    """A task of a comparison."""

    stage: TaskStage
    ranges: Ranges
    settings: tuple[Setting, ...]  # the same for every cell
    dataset: Dataset
    floor: float  # validation accuracy of the best predictor that reads only the current symbol


@dataclass(frozen=True, slots=True)
class Plan:
    """A checked comparison."""

    cells: tuple[Cell, ...]  # with unique names
    baseline: str
    tasks: tuple[OnTask, ...]
    place: Place
    share: float
    margin: float

    @property
    def folder(self) -> Path:
        """The default folder of results."""
        return Path("results", "compare", "-".join(one.stage.name for one in self.tasks)[:100])


@dataclass(frozen=True, slots=True)
class Row:
    """A cell on a task."""

    cell: Cell
    trained: tuple[Trained, ...]  # in the order of the settings
    best: tuple[int, ...]  # indices of the best settings, the best first
    tail: Tail | None  # of these; None if too many diverged
    judged: Judged

    @property
    def diverged(self) -> int:
        """The number of settings without an accuracy."""
        return sum(one.status != Status.DONE for one in self.trained)


@dataclass(frozen=True, slots=True)
class Compared:
    """A task with the cells on it, in the given order."""

    on: OnTask
    rows: tuple[Row, ...]
    importance: Mapping[str, float]  # of hyperparameters; empty with few trainings


@dataclass(frozen=True, slots=True, repr=False)
class Comparison:
    """A comparison that has ended."""

    plan: Plan
    tasks: tuple[Compared, ...]
    folder: Path

    def __repr__(self) -> str:
        names = ", ".join(one.on.stage.name for one in self.tasks)
        return f"<Comparison of {len(self.plan.cells)} cells on {names}, {len(self.settings)} settings each>"

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The number of the first task; all tasks have as many."""
        return self.tasks[0].on.settings


@dataclass(frozen=True, slots=True)
class Step:
    """Progress of a comparison."""

    done: int  # populations
    of: int
    cell: str = ""  # the last to end; "" before the first
    task: str = ""
    members: int = 0  # of that
    left: float = 0.0  # seconds, at the pace so far


Tell = Callable[[Step], None]
Train = Callable[[Place, Work], list[Trained]]


def plan(found: Sequence[Found], asked: Asked, place: Place) -> Plan:
    """The checked comparison. Raises CellsearchError if a cell, a task, a range or data are missing or
    wrong."""
    cells = _named([one.cell for one in found])
    if len(cells) < 2:
        raise UsageError(
            "a comparison takes at least two cells, as in cellsearch compare lstm gru --task xml"
        )
    if asked.settings < 2 or not 0 < asked.share < 1 or not 0 < asked.margin < 1:
        raise UsageError(
            f"{asked.settings} settings, a share of {asked.share:g} and a margin of {asked.margin:g} make no "
            "comparison\ngive at least 2 settings, and shares between 0 and 1"
        )
    names = [cell.name for cell in cells]
    baseline = names[0] if asked.baseline is None else asked.baseline
    if baseline not in names:
        hint = did_you_mean(baseline, names)
        raise UsageError(
            f"the baseline '{printable(baseline, 60)}' is not one of the cells\n{hint}({', '.join(names)})"
        )
    study = None if asked.space else next((one.study for one in found if one.study), None)
    tasks = tuple(dict.fromkeys(asked.tasks))
    if not tasks and (asked.space or study):
        tasks = tuple(task.name for task in space_of(study, Wanted(space=asked.space)).tasks)
    on = []
    for task in tasks or (None,):
        wanted = Wanted(task, space=asked.space, overrides=tuple(asked.overrides), epochs=asked.epochs)
        space = space_of(study, wanted)
        stage = changed(space, stage_of(space, task), wanted)
        chosen = ranges(stage.grid, bool(asked.space or study), asked.draws)
        settings = tuple(drawn(chosen, place.seed, stage.name, k) for k in range(asked.settings))
        dataset = work.dataset_of(place, stage)
        on.append(OnTask(stage, chosen, settings, dataset, memoryless(dataset)))
    return Plan(cells, baseline, tuple(on), place, asked.share, asked.margin)


def _named(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """The cells, each with a unique name. Raises UsageError if two are equal: one would count twice."""
    marks: dict[str, Cell] = {}
    taken: set[str] = set()
    for cell in cells:
        mark = fingerprint(cell)
        if mark in marks:
            raise UsageError(
                f"{printable(marks[mark].name, 60)} and {printable(cell.name, 60)} are the same cell\n"
                "name one of them"
            )
        name, k = cell.name, 2
        while name in taken:
            name, k = f"{cell.name}_{k}", k + 1
        taken.add(name)
        marks[mark] = replace(cell, name=name)
    return tuple(marks.values())


def works(plan: Plan, on: OnTask, cell: Cell) -> list[Work]:
    """The populations of a cell on a task: the settings of one shape each."""
    shapes: dict[tuple[int, int], dict[int, Setting]] = {}
    for k, setting in enumerate(on.settings):
        hidden = cost.width(cell, on.dataset.vocabulary, setting.layers, setting.parameters)
        shapes.setdefault((setting.layers, hidden), {})[k] = setting
    return [
        work.work_of(plan.place, cell, on.stage, hidden, settings) for (_, hidden), settings in shapes.items()
    ]


def compare(
    plan: Plan,
    folder: Path,
    *,
    workers: int = 1,
    tell: Tell = lambda step: None,
    train: Train = work.train,
) -> Comparison:
    """Trains missing populations, records them in `folder`, and judges. `train` is called for each
    population, in this process with one worker. Raises RunError if the folder is in use or damaged."""
    every = {(on.stage.name, cell.name): works(plan, on, cell) for on in plan.tasks for cell in plan.cells}
    files.own_folder(folder)
    with exclusive(folder / LOCK, f"the comparison in {printable(str(folder))}"):
        there = outcomes.read(folder)
        left = [part for some in every.values() for one in some if (part := _left(one, there)).keys]
        tell(Step(0, len(left)))
        begun = time.monotonic()
        for done, found in enumerate(processes.results(train, plan.place, left, workers), 1):
            there |= {one.key: one for one in found}
            outcomes.write(folder, there.values())
            pace = (time.monotonic() - begun) / done
            rest = pace * (len(left) - done)
            tell(Step(done, len(left), found[0].cell, found[0].task, len(found), rest))
    trained = {}
    for mark, some in every.items():
        keys = {place: key for one in some for place, key in zip(one.places, one.keys, strict=True)}
        trained[mark] = tuple(there[keys[place]] for place in sorted(keys))
    return concluded(plan, trained, folder)


def _left(one: Work, there: Mapping[str, Trained]) -> Work:
    """The unrecorded part of a work."""
    rest = [k for k, key in enumerate(one.keys) if key not in there]
    return replace(
        one,
        places=tuple(one.places[k] for k in rest),
        settings=tuple(one.settings[k] for k in rest),
        seeds=tuple(one.seeds[k] for k in rest),
        keys=tuple(one.keys[k] for k in rest),
    )


def concluded(plan: Plan, trained: Mapping[tuple[str, str], tuple[Trained, ...]], folder: Path) -> Comparison:
    """The statements from the trainings by task and cell, in the order of the settings."""
    tails = {
        mark: judge.tail([one.accuracy for one in some], [one.test_accuracy for one in some], plan.share)
        for mark, some in trained.items()
    }
    others = {
        (task, cell): (own, tails[task, plan.baseline])
        for (task, cell), own in tails.items()
        if cell != plan.baseline
    }
    said = judge.judged(others, plan.margin)
    itself = Judged(Statement.BASELINE, None, None, None, None)
    found = []
    for on in plan.tasks:
        rows = []
        for cell in plan.cells:
            mark = on.stage.name, cell.name
            places = tuple(judge.best([one.accuracy for one in trained[mark]], plan.share))
            rows.append(Row(cell, trained[mark], places, tails[mark], said.get(mark, itself)))
        found.append(Compared(on, tuple(rows), _importance(on, rows)))
    return Comparison(plan, tuple(found), folder)


def _importance(on: OnTask, rows: Sequence[Row]) -> dict[str, float]:
    """The importance of each drawn hyperparameter, over all cells; a training counts by its validation
    accuracy relative to the best of its cell, a diverged one as 0."""
    outcomes = []
    for row in rows:
        most = max((one.accuracy or 0.0 for one in row.trained), default=0.0)
        if most > 0:
            outcomes += [(values(one.setting), (one.accuracy or 0.0) / most) for one in row.trained]
    if len(outcomes) < importance.LEAST:
        return {}
    return importance.of_drawn(
        {name: (one.low, one.high) for name, one in on.ranges.items() if isinstance(one, Interval)},
        {name: one for name, one in on.ranges.items() if not isinstance(one, Interval)},
        outcomes,
    )
