"""The plan of a final training: from a cell, a setting and a task to jobs for `train.final`.

A found cell has the task, the data and the best setting of its search. The recorded number is reproduced by
the first seed of the model itself, or, after any change, by a separate training before it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from cellsearch.dsl.graph import Cell
from cellsearch.errors import RunError, UsageError, did_you_mean, nearest, printable
from cellsearch.options import Refused, admitted, fields_of
from cellsearch.study.leaderboard.board import TaskResult
from cellsearch.study.lookup import Found
from cellsearch.study.space import Space, TaskStage, load_space, parse_space
from cellsearch.study.studies import Study
from cellsearch.tasks import TASKS, build, task
from cellsearch.tasks.data import Dataset
from cellsearch.train.evaluate import member_seed
from cellsearch.train.final.fit import Job
from cellsearch.train.resources import cost
from cellsearch.train.settings import Grid, Setting, key, keys

#: The default setting, without a record or an option: it works for small models.
SETTING = Setting(init_scale=1.0, learning_rate=0.5, max_norm=2.5, layers=1, parameters=10_000)
OWN = 10**9  # first number of settings outside of a grid


@dataclass(frozen=True, slots=True)
class Wanted:
    """The requested options; None and empty mean the recorded value or the default."""

    task: str | None = None
    setting: str | None = None  # like learning_rate=0.5,layers=2; others stay unchanged
    seeds: int = 3
    seed: int | None = None  # of generated data, and the first seed of weights
    hidden: int | None = None
    layers: int | None = None
    epochs: int | None = None  # at most
    space: str | None = None  # the space with the tasks, for a cell without a search
    overrides: Sequence[str] = field(default_factory=tuple)  # options.train=1000, training.patience=5


@dataclass(frozen=True, slots=True)
class Record:
    """The number recorded by a search, and the job that reproduces it."""

    search: str
    accuracy: float
    loss: float | None
    trained: int | None  # epochs in all
    numerics: int
    job: Job | None  # None: the first seed of the model is that training


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a model."""

    found: Found
    stage: TaskStage
    job: Job
    seed: int  # of the data
    numbers: tuple[int, ...]  # names of the seeds
    record: Record | None
    suffix: str  # of the folder: differences from the record or the default

    @property
    def cell(self) -> Cell:
        return self.job.cell

    @property
    def folder(self) -> Path:
        """The default folder of the model, below results/NAME for a found cell."""
        name = f"{self.cell.name}-{self.stage.name}{self.suffix}"
        study = self.found.study
        return Path("results", study.store.name, "models", name) if study else Path("models", name)


def plan(found: Found, wanted: Wanted, data: Path | None = None) -> Plan:
    """The plan. Raises CellsearchError if the cell, the task, the setting or the data are missing."""
    study, cell = found.study, found.cell
    space = space_of(study, wanted)
    stage = stage_of(space, wanted.task)
    asked = changed(space, stage, wanted)
    result = _recorded(found, stage)
    if result is None and study is not None and found.row is not None and wanted.setting is None:
        raise RunError(
            f"the search '{study.store.name}' has no accuracy of {cell.name} on {stage.name}\n"
            "give another --task, or a setting, as in --setting learning_rate=0.5"
        )
    base = SETTING if result is None else Setting(**result.values)  # type: ignore[arg-type]
    setting = base if wanted.setting is None else read_setting(wanted.setting, base)
    if wanted.layers is not None:
        setting = replace(setting, layers=wanted.layers)
    seed = wanted.seed if wanted.seed is not None else study.facts.seed if study else 1
    dataset = build(asked.task, asked.options, batch=asked.training.batch, seed=seed, data=data)
    vocabulary = dataset.vocabulary
    hidden = wanted.hidden or cost.width(cell, vocabulary, setting.layers, setting.parameters)
    if wanted.hidden is not None:
        setting = replace(setting, parameters=cost.parameters(cell, vocabulary, setting.layers, hidden))
    training = replace(asked.training, rungs=())  # they choose among settings; here is only one
    numbers = tuple(range(seed, seed + wanted.seeds))
    job = _job(cell, dataset, setting, hidden, replace(training), asked, numbers)
    record = None
    if result is not None and study is not None:
        record = _record(study, found, stage, result, job, seed, data)
    sizes = {"h": wanted.hidden, "l": wanted.layers, "e": wanted.epochs}
    suffix = "".join(f"-{letter}{value}" for letter, value in sizes.items() if value is not None)
    return Plan(found, asked, job, seed, numbers, record, suffix)


def space_of(study: Study | None, wanted: Wanted) -> Space:
    """The space of the tasks: that of the search, the named one, or one of a single task. Raises
    CellsearchError if there is none."""
    if wanted.space is not None:
        if study is not None:
            raise UsageError(
                "--space is only for cells that no search found; this one has the tasks of its search"
            )
        return load_space(wanted.space)
    if study is not None:
        return study.space
    if wanted.task is None:
        raise UsageError(f"--task is required: one of {', '.join(TASKS)}, or one of a --space SPACE")
    return parse_space(f"tasks: [{{name: {task(wanted.task).name}}}]\n", "task.yaml")


def stage_of(space: Space, name: str | None) -> TaskStage:
    """The task of this name, or the only one. Raises CellsearchError if there is none."""
    names = [one.name for one in space.tasks]
    if name is None and len(names) > 1:
        raise UsageError(f"--task is required: one of {', '.join(names)}")
    found = next((one for one in space.tasks if name in (None, one.name)), None)
    if found is None:
        raise RunError(f"there is no task '{printable(name or '', 60)}' here\n{nearest(name or '', names)}")
    return found


def changed(space: Space, stage: TaskStage, wanted: Wanted) -> TaskStage:
    """The stage with the overrides of the command."""
    place = [one.name for one in space.tasks].index(stage.name)
    changes = [f"tasks.{place}.{change}" for change in wanted.overrides]
    if changes:
        stage = parse_space(space.text, "space.yaml", changes).tasks[place]
    if wanted.epochs is not None:
        stage = replace(stage, training=replace(stage.training, max_epochs=wanted.epochs))
    return stage


def _recorded(found: Found, stage: TaskStage) -> TaskResult | None:
    results = found.row.tasks if found.row else ()
    return next((r for r in results if r.task == stage.name and r.setting and r.accuracy is not None), None)


def _record(
    study: Study, found: Found, stage: TaskStage, result: TaskResult, job: Job, seed: int, data: Path | None
) -> Record:
    """The record to reproduce: by `job` itself if its first epochs are unchanged."""
    facts = study.facts
    dataset = job.dataset
    if seed != facts.seed or job.dataset.digest != facts.data.get(stage.name):
        dataset = build(stage.task, stage.options, batch=stage.training.batch, seed=facts.seed, data=data)
    if (known := facts.data.get(stage.name)) is not None and dataset.digest != known:
        raise RunError(
            f"the data of {stage.name} are not those of the search '{facts.name}': sha256 "
            f"{dataset.digest[:16]}… here, {known[:16]}… there\n"
            "restore the files of the search, or give their directory with --data"
        )
    setting = Setting(**result.values)  # type: ignore[arg-type]
    hidden = cost.width(found.cell, dataset.vocabulary, setting.layers, setting.parameters)
    training = replace(stage.training, rungs=())
    own = _job(found.cell, dataset, setting, hidden, training, stage, (facts.seed,))
    last = job.training.max_epochs
    longer = result.trained is not None and (last is None or last >= result.trained)
    same = replace(own, training=job.training, seeds=job.seeds) == job and own.seeds[0] == job.seeds[0]
    same = same and (own.training == job.training or (
        longer and replace(own.training, max_epochs=last) == job.training
    ))  # fmt: skip
    assert result.accuracy is not None
    return Record(
        facts.name, result.accuracy, result.loss, result.trained, facts.numerics, None if same else own
    )


def _job(
    cell: Cell,
    dataset: Dataset,
    setting: Setting,
    hidden: int,
    training: object,
    stage: TaskStage,
    numbers: Sequence[int],
) -> Job:
    """A job with the initial weights of a search for this cell, task and setting."""
    place = place_of(stage.grid, setting)
    seeds = tuple(member_seed(number, cell, dataset.task, place) for number in numbers)
    return Job(cell, dataset, setting, hidden, training, seeds)  # type: ignore[arg-type]


def place_of(grid: Grid, setting: Setting) -> int:
    """The number of a setting in a grid; for another setting a number outside of every grid."""
    text = key(setting)
    if (place := keys(grid).get(text)) is not None:
        return place
    return OWN + int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])


def read_setting(text: str, base: Setting) -> Setting:
    """A setting from words like `learning_rate=0.5 layers=2`, with commas or spaces between them. Other
    values are those of `base`. Raises UsageError if a word is not part of a setting."""
    known = fields_of(Grid)
    values: dict[str, float | int] = {}
    for word in text.replace(",", " ").split():
        name, equals, value = word.partition("=")
        if not equals or name not in known:
            hint = did_you_mean(name, known)
            raise UsageError(
                f"'{printable(word, 60)}' is not part of a setting\n{hint}a setting has {', '.join(known)}, "
                "as in --setting learning_rate=0.5,layers=2"
            )
        try:
            values[name] = number(value, name)
        except (ValueError, OverflowError, Refused) as error:
            allowed = error.allowed if isinstance(error, Refused) else "a number"
            raise UsageError(
                f"{name} cannot be '{printable(value, 40)}' in a setting\nallowed: {allowed}"
            ) from None
    return replace(base, **values)  # type: ignore[arg-type]


def number(text: str, name: str) -> float | int:
    """A value of the hyperparameter `name`; raises ValueError, OverflowError or Refused for an invalid
    one."""
    whole = {f.name: f.type for f in fields(Setting)}[name] is int
    found = admitted(float(text), int if whole else float, fields_of(Grid)[name].metadata)
    assert isinstance(found, int | float)
    return found
