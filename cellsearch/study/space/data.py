"""The data of a space on this machine: sizes per stage, or located errors."""

from collections.abc import Mapping
from pathlib import Path

from cellsearch.errors import DataError, Place, SpaceError
from cellsearch.study.space.faults import Faults
from cellsearch.study.space.model import FILTER, Filter, Space, TaskStage
from cellsearch.study.space.yaml_text import parse
from cellsearch.tasks import TASKS
from cellsearch.tasks.look import MOST_BYTES, MOST_SYMBOLS, Look, look
from cellsearch.tasks.options import paths

MOST = 2 * (MOST_SYMBOLS + MOST_BYTES)  # limits in symbols and bytes; data beyond them is not opened
SEED = 1  # seed of generated data, whose sizes do not depend on it


def looks(space: Space, file: str, data: Path | None) -> Mapping[str, Look]:
    """Stage -> its data, built or opened within seconds. Raises a SpaceError with the errors of all stages,
    each at its place in the source of the space, named `file`."""
    faults = Faults()
    first: dict[str, Filter | TaskStage] = {FILTER: space.filter} if space.filter else {}
    stages = first | {f"tasks.{k}": task for k, task in enumerate(space.tasks)}
    found = {}
    spent = 0
    for key, stage in stages.items():
        name = stage.name if isinstance(stage, TaskStage) else FILTER
        if spent > MOST:
            found[name] = Look({}, None, 0, "skipped, since the data before it is large")
            continue
        try:
            found[name] = look(stage.task, stage.options, batch=stage.training.batch, seed=SEED, data=data)
            spent += sum(found[name].sizes.values()) + found[name].size
        except DataError as error:
            given = [option for option in paths(TASKS[stage.task].options) if stage.options[option]]
            place = place_of(space.source, file, ".".join([key, "options", *given[:1]]))
            faults.add(SpaceError(str(error), place))
    faults.check()
    return found


def place_of(source: str, file: str, key: str) -> Place:
    """The place of the value with the override name `key`, or else of the nearest enclosing mapping."""
    node = parse(source, file)
    for step in key.split("."):
        content = node.content
        inner = content.get(step) if isinstance(content, dict) else None
        if isinstance(content, tuple) and step.isdecimal() and int(step) < len(content):
            inner = content[int(step)]
        if inner is None:
            break
        node = inner
    return (node.key if isinstance(node.content, dict) and node.key else node.span).place
