"""Train one cell on a batch of settings of one task and return the outcome of each.

Settings are grouped by shape (layers, width), and groups are split into batches that fit the memory limit; a
batch is trained at once. Batches depend only on the settings and that limit, and a member's initial weights
on the seed, the cell, the task and the setting, never on its position.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.errors import RunError
from cellsearch.tasks.data import Dataset, Part
from cellsearch.train import halving, windows
from cellsearch.train.grouping.batch import cut, waves
from cellsearch.train.grouping.cohort import Alone, Turns, always, finish, lane, together
from cellsearch.train.model import Shape
from cellsearch.train.outcome import Outcome
from cellsearch.train.population import Member, Progress
from cellsearch.train.resources import cost, memory
from cellsearch.train.settings import Grid, Training, key
from cellsearch.train.steps import Data
from cellsearch.train.windows import Window


def on_device(dataset: Dataset, steps: int, device: str) -> Data:
    """Move a dataset to a device."""

    def cut(part: Part) -> list[Window]:
        inputs, targets = (
            torch.from_numpy(np.ascontiguousarray(a)).to(device) for a in (part.inputs, part.targets)
        )
        return windows.cut(inputs, targets, steps)

    return Data(cut(dataset.train), cut(dataset.valid))


def member_seed(seed: int, cell: Cell, task: str, setting: int) -> int:
    """The seed of a member's initial weights."""
    text = f"{seed} {fingerprint(cell)} {task} {setting}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1


@dataclass(frozen=True, slots=True)
class Request:
    """The request of `evaluate`: a cell on settings of the grid of a task."""

    cell: Cell
    dataset: Dataset
    grid: Grid
    indices: Sequence[int]
    training: Training
    seed: int
    stop_at: float | None = None
    memory: float | None = None  # memory limit in bytes for batches that train side by side; None: no limit
    progress: Progress | None = None


def evaluate(
    cell: Cell,
    dataset: Dataset,
    grid: Grid,
    indices: Sequence[int],
    training: Training,
    *,
    seed: int,
    device: str = "cpu",
    stop_at: float | None = None,
    memory: float | None = None,
    progress: Progress | None = None,
) -> list[Outcome]:
    """The outcome of each setting, in the order of `indices`.

    `stop_at` ends a member once its validation accuracy reaches it, for filters. `memory` is a limit in
    bytes, see `memory.memory`: larger requests are trained in several batches, and a setting that exceeds it
    alone fails. `progress` is called with 0 epochs at the start, then after each epoch.
    """
    request = Request(cell, dataset, grid, indices, training, seed, stop_at, memory, progress)
    return finish(evaluating(request, device))


def evaluating(
    request: Request, device: str, data: Data | None = None, alone: Alone = always
) -> Turns[list[Outcome]]:
    """`evaluation`, with an extra call of `progress` after the first window, when the kernels are
    compiled."""
    walk = evaluation(request, device, data, alone)
    try:
        next(walk)
    except StopIteration as end:
        found: list[Outcome] = end.value
        return found
    if request.progress is not None:
        request.progress(0, len(request.indices))
    return (yield from walk)


def predicted(request: Request) -> float:
    """Peak memory of a request in bytes, with all its shapes side by side."""
    training = request.training
    found = sum(
        memory.memory(shape, len(members), training).total for shape, members in _groups(request).items()
    )
    return found if request.memory is None else min(found, request.memory)


def _check(device: str) -> None:
    if device != "cpu" and not torch.cuda.is_available():
        raise RunError(f"device {device!r} is not available here; use --device cpu")


def evaluation(
    request: Request, device: str, data: Data | None = None, alone: Alone = always
) -> Turns[list[Outcome]]:
    """`evaluate`, with a pause after every window. Each batch has its own lane. `data` is the data set if it
    is already on the device. Raises the exception for a lack of memory if the training is not `alone` on the
    device."""
    _check(device)
    training, progress, bound = request.training, request.progress, request.memory
    data = data or on_device(request.dataset, training.steps, device)
    groups = _groups(request)
    if bound is not None and training.rungs:  # between rungs the weights of all settings are kept
        bound -= sum(
            memory.memory(shape, len(group), training).weights / 2 for shape, group in groups.items()
        )
    lanes = [lane(device) for _ in groups]
    batches = []
    for mine, (shape, group) in zip(lanes, groups.items(), strict=True):
        with mine.here():
            batches.append(cut(shape, group, training, device, request.stop_at, bound))
    order = waves(batches, bound)

    def tell(epoch: int, _: int) -> None:
        if progress is not None:
            progress(epoch, sum(len(batch.running) for batch in batches))

    def everyone(to_epoch: int | None) -> Turns[None]:
        for wave in order:
            walks = [batches[k].windows(data, to_epoch, tell, alone) for k in wave]
            yield from together(walks, [lanes[k] for k in wave])

    for rung in training.rungs:
        yield from everyone(rung)
        running = {i: accuracy for batch in batches for i, accuracy in batch.running.items()}
        out = set(running) - halving.chosen(running, training.keep)
        for mine, batch in zip(lanes, batches, strict=True):
            with mine.here():
                batch.drop(out)
    yield from everyone(None)
    found: dict[int, Outcome] = {}
    for shape, batch in zip(groups, batches, strict=True):
        size = cost.parameters(shape.cell, shape.vocabulary, shape.layers, shape.hidden)
        for index, r in batch.results.items():
            found[index] = Outcome(
                key(request.grid[index]), r.status, r.accuracy, r.loss, r.epochs, shape.hidden, size, r.cause,
                r.trained, batch.notes.get(index, ""),
            )  # fmt: skip
    return [found[i] for i in request.indices]


def _groups(request: Request) -> dict[Shape, list[Member]]:
    """The settings by the shape of their models, in order."""
    cell, vocabulary = request.cell, request.dataset.vocabulary
    found: dict[Shape, list[Member]] = {}
    for index in request.indices:
        setting = request.grid[index]
        hidden = cost.width(cell, vocabulary, setting.layers, setting.parameters)
        seed = member_seed(request.seed, cell, request.dataset.task, index)
        shape = Shape(cell, vocabulary, setting.layers, hidden)
        found.setdefault(shape, []).append(Member(index, setting, seed))
    return found
