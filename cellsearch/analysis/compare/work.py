"""A unit of training of a comparison: settings of one shape of a cell on a task, as one population.

A member is the training that `cellsearch train CELL --task T --setting … --seed S --seeds 1` repeats: its
initial weights depend on the seed, the cell, the task and the setting. The weights of the epoch with the best
validation accuracy are scored on the test part, which was not used for any choice.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

from cellsearch.analysis.training.plan import place_of
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.text import parse, show
from cellsearch.study.space import TaskStage
from cellsearch.study.tables.study_facts import NUMERICS
from cellsearch.tasks import Dataset, build
from cellsearch.train.evaluate import member_seed
from cellsearch.train.settings import Setting, Training, key


@dataclass(frozen=True, slots=True)
class Place:
    """The seed and the device of training."""

    seed: int
    data: str | None = None  # directory
    device: str = "cpu"
    memory: float = 16.0  # gigabytes for a population


@dataclass(frozen=True, slots=True)
class Work:
    """A unit of training."""

    cell: str  # text
    task: str  # name of the stage
    kind: str  # the task of that stage
    options: str  # of the task, as JSON
    training: Training
    hidden: int  # H
    places: tuple[int, ...]  # numbers of the settings
    settings: tuple[Setting, ...]  # all with the same number of layers
    seeds: tuple[int, ...]  # of initial weights, one for each setting
    keys: tuple[str, ...]  # of recorded outcomes


@dataclass(frozen=True, slots=True)
class Trained:
    """The outcome of one setting of one cell. A diverged one has no accuracies and no losses."""

    key: str
    cell: str  # name
    task: str  # name of the stage
    setting: str  # its values as text
    hidden: int  # H
    status: str  # done, diverged
    accuracy: float | None  # the best of the validation part
    loss: float | None  # on the validation part at that epoch, in nats
    test_accuracy: float | None  # with the weights of that epoch
    test_loss: float | None  # with the same weights, in nats
    epochs: int  # of that accuracy
    trained: int  # epochs in all
    cause: str


def training_of(stage: TaskStage) -> Training:
    """The schedule without rungs, which would end settings early."""
    return replace(stage.training, rungs=())


def dataset_of(place: Place, stage: TaskStage) -> Dataset:
    """The data of a task."""
    return _dataset(place.seed, place.data, stage.task, _text(stage), stage.training.batch)


def _text(stage: TaskStage) -> str:
    return json.dumps(dict(stage.options), sort_keys=True)


@lru_cache(maxsize=4)  # works are ordered by task
def _dataset(seed: int, data: str | None, task: str, options: str, batch: int) -> Dataset:
    return build(task, json.loads(options), batch=batch, seed=seed, data=Path(data) if data else None)


def work_of(place: Place, cell: Cell, stage: TaskStage, hidden: int, numbered: Mapping[int, Setting]) -> Work:
    """The unit that trains these settings by their numbers; they have one shape."""
    settings = tuple(numbered.values())
    dataset, training = dataset_of(place, stage), training_of(stage)
    seeds = tuple(
        member_seed(place.seed, cell, dataset.task, place_of(stage.grid, setting)) for setting in settings
    )
    mark = fingerprint(cell)
    keys = tuple(
        _key([mark, dataset.digest, key(setting), hidden, seed, asdict(training), NUMERICS])
        for setting, seed in zip(settings, seeds, strict=True)
    )
    return Work(
        show(cell), stage.name, stage.task, _text(stage), training, hidden, tuple(numbered), settings, seeds,
        keys,
    )  # fmt: skip


def _key(parts: list[object]) -> str:
    """The key of a training: 64 hex digits."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def train(place: Place, work: Work) -> list[Trained]:
    """Trains the settings of a work, all together as far as memory allows."""
    # here: these load the compiler
    from cellsearch.train.final.fit import Job, fit, joined, split
    from cellsearch.train.resources.threads import one_thread

    one_thread()
    cell = parse(work.cell)
    dataset = _dataset(place.seed, place.data, work.kind, work.options, work.training.batch)
    job = Job(cell, dataset, work.settings[0], work.hidden, work.training, work.seeds, work.settings)
    scores = joined(job, [fit(part, device=place.device) for part in split(job, 1e9 * place.memory)]).scores
    return [
        Trained(
            mark, cell.name, work.task, key(setting), work.hidden, s.status.value, s.accuracy, s.loss,
            s.test_accuracy, s.test_loss, s.epochs, s.trained, s.cause,
        )
        for mark, setting, s in zip(work.keys, work.settings, scores, strict=True)
    ]  # fmt: skip
