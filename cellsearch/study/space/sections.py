"""The sections of a search space: the tree of its YAML in, checked values or a located SpaceError out."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from cellsearch.dsl import zoo
from cellsearch.dsl.load import load
from cellsearch.dsl.ops import OPS
from cellsearch.dsl.printer import initial, matrix
from cellsearch.errors import CellError, CellsearchError, DataError
from cellsearch.study.mutation.paper import layer
from cellsearch.study.mutation.spec import Limits, MutationSpec
from cellsearch.study.mutation.table import MUTATIONS
from cellsearch.study.mutation.templates import bias, structure
from cellsearch.study.space.model import (
    BASELINE,
    FILTER,
    RULES,
    SEEDS,
    Budget,
    Filter,
    Space,
    Strategy,
    TaskStage,
)
from cellsearch.study.space.validators import (
    Rule,
    distinct,
    items,
    mapping,
    named,
    nearest,
    number,
    record,
    shown,
    text,
    typed,
    whole,
    word,
)
from cellsearch.study.space.yaml_text import Node, Plain, error
from cellsearch.tasks import TASKS, parse_options
from cellsearch.tasks.options import parse as parse_each
from cellsearch.train.settings import Grid, Training

T = TypeVar("T")
NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9_-])?\Z", re.ASCII)  # a file name everywhere


def read_space(root: Node, source: str, folder: Path, check: bool) -> Space:
    """The space that `root` describes; `source` is kept in it.

    Paths of seeds are relative to `folder`; `check` says whether the cells there are read.
    """
    keys = [f.name for f in fields(Space) if f.name != "source"]
    pairs = mapping(root, "", keys, required=("name", "tasks", "grid"))
    nothing = Node(None, root.span)

    def section(key: str) -> Node:
        return pairs.get(key, nothing)

    grid = record(Grid, section("grid"), "grid", RULES[Grid])
    training = _training(section("training"), "training", None)
    seeds, baseline = _seeds(root, pairs, folder, check)
    return Space(
        name=_name(section("name"), "name"),
        tasks=_tasks(section("tasks"), grid, training),
        grid=grid,
        about=text(pairs["about"], "about") if "about" in pairs else "",
        seeds=seeds,
        baseline=baseline,
        strategy=_strategy(section("strategy")),
        mutation=_mutation(section("mutation")),
        limits=record(Limits, section("limits"), "limits", RULES[Limits]),
        filter=_filter(section("filter"), grid, training),
        training=training,
        budget=record(Budget, section("budget"), "budget", RULES[Budget]),
        source=source,
    )


def label(seed: str) -> str:
    """What a seed is called: the name of a zoo cell, or of its file without `.cell`."""
    return Path(seed).stem if seed.endswith(".cell") else seed


def _name(node: Node, what: str) -> str:
    value = text(node, what)
    if not NAME.match(value):
        allowed = "use letters, digits, '-', '_' and '.', at most 100, a letter or digit first"
        raise error(node.span, f"{shown(node)} cannot be a name", allowed)
    return value


def _seeds(root: Node, pairs: Mapping[str, Node], folder: Path, check: bool) -> tuple[tuple[str, ...], str]:
    """The seeds as names and absolute paths, and the label of the one that is the baseline."""

    def seed(node: Node, what: str) -> str:
        value = text(node, what)
        if value.endswith(".cell"):
            value = str((folder / value).absolute())
        elif value not in zoo.names():
            remedy = f"{nearest(value, zoo.names())}\na file is named with its ending, .cell"
            raise error(node.span, f"there is no cell {shown(node)} in the zoo", remedy)
        if check:
            try:
                load(value)
            except CellsearchError as failure:
                raise error(node.span, f"{shown(node)} is no seed\n{failure}") from None
        return value

    seeds: tuple[str, ...] = SEEDS
    if "seeds" in pairs:
        seeds = distinct(pairs["seeds"], "seeds", seed)
    labels = [label(s) for s in seeds]
    if len(set(labels)) < len(labels):
        twice = next(name for name in labels if labels.count(name) > 1)
        raise error(pairs["seeds"].span, f"two seeds are called '{twice}'", "rename one of the files")
    node = pairs.get("baseline")
    baseline = label(text(node, "baseline")) if node else BASELINE
    if baseline not in labels:
        at = (node or pairs["seeds"]).span
        raise error(at, f"the baseline '{baseline}' is not among the seeds", f"{nearest(baseline, labels)}")
    return seeds, baseline


def _strategy(node: Node) -> Strategy:
    readers = {
        "walk": lambda node, what: _between(node, what, RULES[Strategy]["walk"], "mutations of a seed")
    }
    return record(Strategy, node, "strategy", RULES[Strategy], readers=readers)


def _training(node: Node, path: str, base: Training | None) -> Training:
    """The schedule. Rungs that stand here come before its last epoch; of those of `base` the ones that do are
    taken."""
    found = record(Training, node, path, RULES[Training], base=base, readers={"rungs": _rungs})
    last = found.max_epochs
    if last is None or all(rung < last for rung in found.rungs):
        return found
    at = node.content.get("rungs") if isinstance(node.content, dict) else None
    if at:
        late = next(rung for rung in found.rungs if rung >= last)
        because = f"no setting is trained beyond epoch {last} (max_epochs)"
        raise error(at.span, f"the rung at epoch {late} decides nothing: {because}", "remove it")
    return replace(found, rungs=tuple(rung for rung in found.rungs if rung < last))


def _rungs(node: Node, what: str) -> tuple[int, ...]:
    """Epochs in their order; an empty list is none."""
    if node.content == ():
        return ()
    low, high = RULES[Training]["rungs"]
    found = distinct(node, what, lambda item, name: whole(item, name, (float(low), float(high))))
    if list(found) != sorted(found):
        raise error(node.span, f"{named(what)} are not in ascending order", "write the smaller epoch first")
    return found


def _mutation(node: Node) -> MutationSpec:
    readers = {
        "edits": lambda node, what: _between(node, what, RULES[MutationSpec]["edits"], "edits of a child"),
        "weights": _weights,
        "activations": lambda node, what: distinct(node, what, _activation),
        "operations": lambda node, what: distinct(node, what, _operation),
        "biases": lambda node, what: distinct(node, what, _bias),
        "structures": lambda node, what: distinct(node, what, _structure),
    }
    return record(MutationSpec, node, "mutation", RULES[MutationSpec], readers=readers)


def _between(node: Node, what: str, limits: Rule, of_what: str) -> tuple[int, int]:
    """The fewest and the most of something."""
    numbers = [whole(item, what, (float(limits[0]), float(limits[1]))) for item in items(node, what)]
    if len(numbers) != 2 or numbers[0] > numbers[1]:
        raise error(node.span, f"{named(what)} is not the fewest and the most {of_what}", "write [1, 3]")
    return numbers[0], numbers[1]


def _weights(node: Node, what: str) -> Mapping[str, float]:
    low, high = RULES[MutationSpec]["weights"]
    given = mapping(node, what, [m.name for m in MUTATIONS])
    found = dict(MutationSpec().weights) | {
        key: number(value, f"{what}.{key}", (float(low), float(high))) for key, value in given.items()
    }
    if not any(found.values()):
        raise error(node.span, "all weights are zero: nothing would be mutated", "give one of them 1")
    return found


def _activation(node: Node, what: str) -> str:
    """An activation by its canonical name: `linear(0.90)` is `linear(0.9)`."""
    value = text(node, what)
    try:
        found = layer(value)
    except CellError:
        known = [op.name for op in OPS.values() if op.arity == 1]
        remedy = nearest(value, [*known, "linear(0.9)"])
        raise error(node.span, f"{shown(node)} is not an activation", remedy) from None
    if not math.isfinite(found.eye):
        raise error(node.span, f"{shown(node)} is not finite", "write a smaller number")
    return found.op or f"linear({int(found.eye) if found.eye.is_integer() else found.eye!r})"


def _bias(node: Node, what: str) -> str:
    """An initial bias by its canonical text."""
    found = _template(bias, node, what)
    return "none" if found is None else initial(found)


def _structure(node: Node, what: str) -> str:
    """A structure by its canonical text."""
    return matrix(_template(structure, node, what)).removeprefix("@")


def _template(read: Callable[[str], T], node: Node, what: str) -> T:
    value = text(node, what) if isinstance(node.content, str) else str(node.content)
    try:
        return read(value)
    except CellError as failure:
        message, _, remedy = str(failure).partition("; ")
        raise error(node.span, message, remedy) from None


def _operation(node: Node, what: str) -> str:
    return word(node, what, [op.name for op in OPS.values() if op.arity == 2])


def _filter(node: Node, grid: Grid, training: Training) -> Filter | None:
    """The filter; nothing, or no key at all, is none."""
    if node.content is None:
        return None
    keys = ("task", "options", "settings", "accuracy", "parameters", "training")
    pairs = mapping(node, FILTER, keys, required=("task",))
    task, options, own_grid, own_training = _stage(pairs["task"], pairs, FILTER, grid, training)
    rules = RULES[Filter]
    given: dict[str, Any] = {
        key: typed(pairs[key], f"{FILTER}.{key}", kind, rules[key])
        for key, kind in (("settings", int), ("accuracy", float))
        if key in pairs
    }
    return Filter(task, options, own_grid, own_training, **given)


def _tasks(node: Node, grid: Grid, training: Training) -> tuple[TaskStage, ...]:
    """The stages; a stage without `task` is named after its task."""
    stages: list[TaskStage] = []
    for k, item in enumerate(items(node, "tasks")):
        path = f"tasks.{k}"
        keys = ("name", "task", "options", "parameters", "training")
        pairs = mapping(item, path, keys, required=("name",))
        name = _name(pairs["name"], f"{path}.name")
        at = pairs["name"].span
        if name == FILTER:
            raise error(
                at, f"a task cannot be called '{FILTER}'", "give it another name, and its task as `task`"
            )
        if name in [stage.name for stage in stages]:
            raise error(at, f"two tasks are called '{name}'", "give one another name, and its task as `task`")
        stages.append(TaskStage(name, *_stage(pairs.get("task", pairs["name"]), pairs, path, grid, training)))
    return tuple(stages)


def _stage(
    at: Node, pairs: Mapping[str, Node], path: str, grid: Grid, training: Training
) -> tuple[str, Mapping[str, Plain], Grid, Training]:
    """What filter and tasks share. `at` is the node that names the task."""
    task = word(at, "task", list(TASKS))
    options = _options(task, pairs.get("options", Node(None, at.span)))
    if "parameters" in pairs:
        own = typed(pairs["parameters"], f"{path}.parameters", tuple[int, ...], RULES[Grid]["parameters"])
        grid = replace(grid, parameters=own)
    if "training" in pairs:
        name = f"{path}.training"
        training = _training(pairs["training"], name, training)
    return task, options, grid, training


def _options(task: str, node: Node) -> dict[str, Plain]:
    """All options of a task: first one by one, so that an error shows where it stands, then together."""
    kind = TASKS[task].options
    known = {f.name for f in fields(kind)}
    for key, value in node.content.items() if isinstance(node.content, dict) else ():
        try:
            parse_each(kind, {key: value.plain}, task)
        except DataError as failure:
            at = value.span if key in known or not value.key else value.key
            raise error(at, str(failure)) from None
    given = {} if node.content is None else node.plain
    try:
        return asdict(parse_options(task, given))  # type: ignore[arg-type]  # it refuses what is no mapping
    except DataError as failure:
        raise error(node.key or node.span, str(failure)) from None
