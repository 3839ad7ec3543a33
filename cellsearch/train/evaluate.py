"""Train one cell on a batch of settings of one task and say what each came to.

Settings fall into groups of one shape (layers, width), and a group into batches that fit the memory they may
take; a batch is trained at once. Batches follow from the settings and that bound alone, and a member's first
weights from the seed, the cell, the task and the setting, never from its place among others.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch

from cellsearch.dsl.fingerprint import fingerprint
from cellsearch.dsl.graph import Cell
from cellsearch.errors import RunError
from cellsearch.tasks.data import Dataset, Part
from cellsearch.train import cost, halving, model
from cellsearch.train.batch import Batch
from cellsearch.train.model import Shape, Window
from cellsearch.train.outcome import Outcome
from cellsearch.train.population import Data, Member, Population, Progress
from cellsearch.train.settings import Grid, Training


def on_device(dataset: Dataset, steps: int, device: str) -> Data:
    """Move a dataset to a device."""

    def cut(part: Part) -> list[Window]:
        inputs, targets = (
            torch.from_numpy(np.ascontiguousarray(a)).to(device) for a in (part.inputs, part.targets)
        )
        return model.windows(inputs, targets, steps)

    return Data(cut(dataset.train), cut(dataset.valid))


def member_seed(seed: int, cell: Cell, task: str, setting: int) -> int:
    """The seed of a member's first weights."""
    text = f"{seed} {fingerprint(cell)} {task} {setting}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1


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
    progress: Progress | None = None,
) -> list[Outcome]:
    """The outcome of each setting, in the order of `indices`.

    `stop_at` ends a member once its validation accuracy reaches it, for filters that ask no more than that.
    """
    if device != "cpu" and not torch.cuda.is_available():
        raise RunError(f"device {device!r} is not available here; use --device cpu")
    data = on_device(dataset, training.steps, device)
    groups: dict[Shape, list[Member]] = {}
    for index in indices:
        setting = grid[index]
        hidden = cost.width(cell, dataset.vocabulary, setting.layers, setting.parameters)
        shape = Shape(cell, dataset.vocabulary, setting.layers, hidden)
        member = Member(index, setting, member_seed(seed, cell, dataset.task, index))
        groups.setdefault(shape, []).append(member)
    batches = [Batch([Population(shape, g, training, device, stop_at)]) for shape, g in groups.items()]

    def tell(epoch: int, _: int) -> None:
        if progress is not None:
            progress(epoch, sum(len(batch.running) for batch in batches))

    for rung in training.rungs:
        for batch in batches:
            batch.advance(data, rung, tell)
        running = {i: accuracy for batch in batches for i, accuracy in batch.running.items()}
        out = set(running) - halving.chosen(running, training.keep)
        for batch in batches:
            batch.drop(out)
    for batch in batches:
        batch.advance(data, None, tell)
    found: dict[int, Outcome] = {}
    for shape, batch in zip(groups, batches, strict=True):
        size = cost.parameters(cell, dataset.vocabulary, shape.layers, shape.hidden)
        for index, r in batch.results.items():
            found[index] = Outcome(
                index, r.status, r.accuracy, r.loss, r.epochs, shape.hidden, size, r.cause, r.trained,
                batch.notes.get(index, ""),
            )  # fmt: skip
    return [found[i] for i in indices]
