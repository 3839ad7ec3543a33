"""The stages of a search space: the filter and the list of tasks, each with options, grid and training.
Invalid nodes raise a SpaceError with all errors.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from math import prod
from pathlib import Path
from typing import Any, get_type_hints

from cellsearch.errors import DataError
from cellsearch.options import fields_of, limits
from cellsearch.study.space.faults import Faults
from cellsearch.study.space.model import (
    FILTER,
    FILTER_TASK,
    Filter,
    TaskStage,
)
from cellsearch.study.space.validators import (
    distinct,
    items,
    mapping,
    named,
    record,
    shown,
    text,
    typed,
    whole,
    word,
)
from cellsearch.study.space.yaml_text import Node, Plain, error
from cellsearch.tasks import TASKS, parse_options
from cellsearch.tasks.files import exists
from cellsearch.tasks.options import parse as parse_each
from cellsearch.tasks.options import paths
from cellsearch.train.settings import Grid, Training

NAME = re.compile(
    r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9_-])?\Z", re.ASCII
)  # a valid file name on every system
MOST_SETTINGS = 1_000_000  # maximum settings of a grid; the paper's has 1,680


def name_of(node: Node, what: str) -> str:
    """A name that is a valid file name on every system."""
    value = text(node, what)
    if not NAME.match(value):
        allowed = "use letters, digits, '-', '_' and '.', at most 100, a letter or digit first"
        raise error(node.span, f"{shown(node)} is not a valid name", allowed)
    return value


def named_after(word: str) -> str:
    """The nearest name to `word`."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", word).strip("-_.")[:99]
    return name if NAME.match(name) else "space"


def training_of(node: Node, path: str, base: Training | None) -> Training:
    """The schedule. Its own rungs must come before its last epoch; of the rungs of `base` only those are
    used."""
    found = record(Training, node, path, base=base, readers={"rungs": _rungs})
    last = found.max_epochs
    if last is None or all(rung < last for rung in found.rungs):
        return found
    at = node.content.get("rungs") if isinstance(node.content, dict) else None
    if at:
        late = next(rung for rung in found.rungs if rung >= last)
        because = f"no setting is trained beyond epoch {last} (max_epochs)"
        raise error(at.span, f"the rung at epoch {late} has no effect: {because}", "remove it")
    return replace(found, rungs=tuple(rung for rung in found.rungs if rung < last))


def countable(node: Node, what: str, grid: Grid) -> None:
    """Raises SpaceError if a grid has more settings than a study can record in reasonable time."""
    size = prod(len(getattr(grid, field.name)) for field in fields(grid))
    if size > MOST_SETTINGS:
        message = f"{named(what)} makes a grid of {size:,} settings"
        raise error(node.span, message, f"remove values: at most {MOST_SETTINGS:,} settings")


def _rungs(node: Node, what: str) -> tuple[int, ...]:
    """Epochs in ascending order; an empty list means none."""
    if node.content == ():
        return ()
    ends = limits(Training, "rungs")
    found = distinct(node, what, lambda item, name: whole(item, name, ends))
    if list(found) != sorted(found):
        raise error(node.span, f"{named(what)} are not in ascending order", "write the smaller epoch first")
    return found


@dataclass(frozen=True, slots=True)
class Stages:
    """The defaults of a stage: the grid, the training, and the folder of the file."""

    grid: Grid
    training: Training
    folder: Path | None

    def read(
        self, task: str, pairs: Mapping[str, Node], path: str, at: Node, faults: Faults
    ) -> tuple[str, Mapping[str, Plain], Grid, Training]:
        """The keys shared by filter and tasks. `at` is the node for an error about missing `options`."""
        node = pairs.get("options", Node(None, at.span))
        options = faults.take({}, _options, task, node, self.folder)
        grid, training = self.grid, self.training
        if "parameters" in pairs:
            own = fields_of(Grid)["parameters"].metadata
            name = f"{path}.parameters"
            sizes = faults.take((), typed, pairs["parameters"], name, tuple[int, ...], own)
            grid = replace(grid, parameters=sizes)
            faults.take(None, countable, pairs["parameters"], name, grid)
        if "training" in pairs:
            training = faults.take(training, training_of, pairs["training"], f"{path}.training", training)
        return task, options, grid, training


def filter_of(node: Node, stages: Stages) -> Filter | None:
    """The filter; an empty value or a missing key means none."""
    if node.content is None:
        return None
    faults = Faults()
    keys, hints = fields_of(Filter), get_type_hints(Filter)
    pairs = mapping(node, FILTER, list(keys), faults)
    task = FILTER_TASK
    if "task" in pairs:
        task = faults.take("", word, pairs["task"], "task", list(TASKS))
    given: dict[str, Any] = {
        key: faults.take(0, typed, pairs[key], f"{FILTER}.{key}", hints[key], keys[key].metadata)
        for key in ("settings", "accuracy")
        if key in pairs
    }
    if not task:
        faults.check()
    shared = stages.read(task, pairs, FILTER, pairs.get("task", node), faults)
    faults.check()
    return Filter(*shared, **given)


def tasks_of(node: Node, stages: Stages) -> tuple[TaskStage, ...]:
    """The stages. Without `task` a stage has the task of its name, without `name` the name of its task."""
    faults = Faults()
    found: list[TaskStage] = []
    for k, item in enumerate(items(node, "tasks")):
        stage = faults.take(None, _task, item, f"tasks.{k}", stages)
        if stage is not None:
            faults.take(None, _new_name, stage, item, found)
            found.append(stage)
    faults.check()
    return tuple(found)


def _task(item: Node, path: str, stages: Stages) -> TaskStage | None:
    faults = Faults()
    pairs = mapping(item, path, list(fields_of(TaskStage)), faults)
    if isinstance(item.content, dict | None) and not pairs.keys() & {"name", "task"}:
        faults.add(error(item.span, f"'name' is missing in '{path}'", f"name one of {', '.join(TASKS)}"))
    at = pairs.get("task") or pairs.get("name")
    task = faults.take("", word, at, "task", list(TASKS)) if at else ""
    name = faults.take("", name_of, pairs["name"], f"{path}.name") if "name" in pairs else task
    if not task or not at:
        faults.check()
        return None
    shared = stages.read(task, pairs, path, at, faults)
    faults.check()
    return TaskStage(name, *shared)


def _new_name(stage: TaskStage, item: Node, others: Sequence[TaskStage]) -> None:
    """Checks that the name of a stage is unique."""
    pairs = item.content
    assert isinstance(pairs, dict)
    at = pairs["name" if "name" in pairs else "task"].span
    remedy = "give it another name and set its task with `task`"
    if stage.name == FILTER:
        raise error(at, f"a task cannot have the name '{FILTER}'", remedy)
    if stage.name in [other.name for other in others]:
        message = f"two tasks have the name '{stage.name}'"
        raise error(at, message, "give one another name and set its task with `task`")


def _options(task: str, node: Node, folder: Path | None) -> dict[str, Plain]:
    """All options of a task: checked one by one, for located errors, then together."""
    kind = TASKS[task].options
    known = {f.name for f in fields(kind)}
    faults = Faults()
    for key, value in node.content.items() if isinstance(node.content, dict) else ():
        try:
            parse_each(kind, {key: value.plain}, task)
        except DataError as failure:
            at = value.span if key in known or not value.key else value.key
            faults.add(error(at, str(failure)))
    faults.check()
    given = {} if node.content is None else node.plain
    try:
        found = asdict(parse_options(task, given))  # type: ignore[arg-type]  # it refuses anything but a mapping
    except DataError as failure:
        raise error(node.key or node.span, str(failure)) from None
    return found | {name: _beside(found[name], folder) for name in paths(kind)}


def _beside(path: Any, folder: Path | None) -> Any:
    """An absolute path of data if the file is in the folder of the YAML file; otherwise unchanged, relative
    to the data directory."""
    if path is None or folder is None or Path(path).is_absolute() or not exists(folder / path):
        return path
    return str((folder / path).absolute())
