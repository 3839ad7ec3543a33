"""Train a job to its end: one population on a task, several seeds of one setting or several settings of one
shape; returns scores and weights.

Population, steps and schedule are those of a search. The kept weights are those of the epoch with the best
validation accuracy, the number that a search records. The test part is scored once, with these weights, and
is never used for decisions.
"""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.errors import RunError
from cellsearch.tasks.data import Dataset, Part
from cellsearch.train import windows
from cellsearch.train.final import checkpoint
from cellsearch.train.final.checkpoint import Checkpoint
from cellsearch.train.model import Shape
from cellsearch.train.outcome import Status
from cellsearch.train.population import Epoch, Member, Population, Result
from cellsearch.train.resources import memory
from cellsearch.train.settings import Setting, Training, key
from cellsearch.train.steps import Data, Steps
from cellsearch.train.windows import Window

#: Maximum share of the time for checkpoints; every epoch has one if possible.
CHECKPOINT_SHARE = 0.05

#: Called after every epoch: epochs done, members in training, best validation accuracy so far.
Tell = Callable[[int, int, float | None], None]


@dataclass(frozen=True, slots=True)
class Job:
    """The training job: a setting of a cell on a data set, once per seed of initial weights; or one setting
    per seed."""

    cell: Cell
    dataset: Dataset
    setting: Setting
    hidden: int  # H
    training: Training
    seeds: tuple[int, ...]
    settings: tuple[Setting, ...] = ()  # one per seed, if they differ; all with `setting.layers`

    @property
    def members(self) -> list[Member]:
        """The members of its population, numbered from 0."""
        settings = self.settings or (self.setting,) * len(self.seeds)
        pairs = zip(settings, self.seeds, strict=True)
        return [Member(k, setting, seed) for k, (setting, seed) in enumerate(pairs)]

    @property
    def shape(self) -> Shape:
        return Shape(self.cell, self.dataset.vocabulary, self.setting.layers, self.hidden)

    @property
    def key(self) -> str:
        """Its identity: 64 hex digits."""
        parts = [
            fingerprint(self.cell), self.dataset.digest, key(self.setting), self.hidden,
            asdict(self.training), self.seeds, *map(key, self.settings),
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    @property
    def bytes(self) -> int:
        """The predicted peak memory of its training."""
        return memory.memory(self.shape, len(self.seeds), self.training).total


@dataclass(frozen=True, slots=True)
class Score:
    """The result of one seed."""

    seed: int  # seed of its initial weights
    status: Status
    cause: str
    epochs: int  # epoch of the best validation accuracy
    trained: int  # in all
    accuracy: float | None  # of the validation part, at that epoch
    loss: float | None  # likewise, in nats
    test_accuracy: float | None
    test_loss: float | None  # in nats
    curve: tuple[tuple[float, float], ...]  # validation loss and accuracy after each epoch

    def best_of(self, epochs: int) -> tuple[float, float] | None:
        """The best accuracy of the first epochs (the first of ties) and its loss, or None."""
        some = [(accuracy, loss) for loss, accuracy in self.curve[:epochs]]
        return max(some, key=lambda pair: pair[0], default=None)


@dataclass(frozen=True, slots=True)
class Fitted:
    """A trained job."""

    job: Job
    scores: tuple[Score, ...]
    rows: Tensor  # [K, P]: the weights of each seed at its best epoch

    @property
    def chosen(self) -> int | None:
        """The seed with the best validation accuracy, the first of ties; None if all diverged."""
        there = [k for k, score in enumerate(self.scores) if score.accuracy is not None]
        return max(there, key=lambda k: self.scores[k].accuracy or 0.0, default=None)


def fit(
    job: Job,
    *,
    device: str = "cpu",
    file: Path | None = None,
    share: float = CHECKPOINT_SHARE,
    tell: Tell | None = None,
) -> Fitted:
    """Trains a job, from its checkpoint in `file` if there is one. Raises RunError if that cannot be read or
    written; CellsearchError if the data have no scored positions."""
    shape = job.shape
    members = job.members
    population = Population(shape, members, job.training, device)
    keeper = _Keeper(population, share)
    population.seen = keeper.see
    if file is not None and (found := checkpoint.read(file, job.key)) is not None:
        keeper.take(found)

    def after_epoch(epoch: int, running: int) -> None:
        if file is not None:
            keeper.keep(file, job.key, last=running == 0)
        if tell is not None:
            best = [r.accuracy for r in population.results.values() if r.accuracy is not None]
            tell(epoch, running, max(best, default=None))

    train, valid = (windows_of(part, job, device) for part in (job.dataset.train, job.dataset.valid))
    population.advance(Data(train, valid), progress=after_epoch)
    accuracy, loss = scored_on(shape, keeper.best, windows_of(job.dataset.test, job, device))
    scores = [
        _score(job.seeds[k], population.results[k], accuracy[k], loss[k], keeper.curve(k))
        for k in range(len(members))
    ]
    return Fitted(job, tuple(scores), keeper.best)


def windows_of(part: Part, job: Job, device: str) -> list[Window]:
    """A part of the data, cut into the windows of training."""
    inputs, targets = (
        torch.from_numpy(np.ascontiguousarray(a)).to(device) for a in (part.inputs, part.targets)
    )
    return windows.cut(inputs, targets, job.training.steps)


def scored_on(shape: Shape, rows: Tensor, part: list[Window]) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy and mean loss in nats of members with rows [K, P] on a part of the data, each [K]."""
    norms = torch.ones(len(rows), dtype=rows.dtype, device=rows.device)
    steps = Steps(shape, Data(part, part), rows, norms)
    for _ in steps.score():
        pass
    _, loss, accuracy = steps.found()
    return accuracy, loss


def _score(
    seed: int, result: Result, accuracy: float, loss: float, curve: tuple[tuple[float, float], ...]
) -> Score:
    done = result.accuracy is not None
    return Score(
        seed, result.status, result.cause, result.epochs, result.trained, result.accuracy, result.loss,
        float(accuracy) if done else None, float(loss) if done else None, curve,
    )  # fmt: skip


class _Keeper:
    """Keeps the best weights and the curves of a population, and its checkpoints."""

    def __init__(self, population: Population, share: float) -> None:
        self.population, self.share = population, share
        size, members = population.shape.size, len(population.members)
        self.best = torch.zeros(members, size, dtype=population.dtype, device=population.device)
        self.loss: list[Tensor] = []  # an epoch each [K]
        self.accuracy: list[Tensor] = []
        self.next = 0.0  # earliest time of the next checkpoint

    def see(self, epoch: Epoch) -> None:
        """Takes the weights of members with a new best epoch."""
        results = self.population.results
        better = [
            k for k, i in enumerate(epoch.index)
            if epoch.trained[k] and results[int(i)].status == Status.DONE and
            results[int(i)].epochs == epoch.number
        ]  # fmt: skip
        if better:
            self.best[torch.from_numpy(epoch.index[better])] = epoch.rows[better]
        for kept, values in ((self.loss, epoch.loss), (self.accuracy, epoch.accuracy)):
            line = torch.full((len(self.best),), torch.nan, dtype=torch.float64)
            line[torch.from_numpy(epoch.index)] = torch.from_numpy(
                np.where(epoch.trained, values, np.nan).astype(np.float64)
            )
            kept.append(line)

    def curve(self, k: int) -> tuple[tuple[float, float], ...]:
        """Loss and accuracy of a member after each of its epochs."""
        trained = self.population.results[k].trained
        pairs = zip(self.loss[:trained], self.accuracy[:trained], strict=True)
        return tuple((float(loss[k]), float(accuracy[k])) for loss, accuracy in pairs)

    def keep(self, file: Path, key: str, *, last: bool) -> None:
        """Writes a checkpoint, unless it would exceed its share of the time."""
        begun = time.monotonic()
        if begun < self.next and not last:
            return
        found = Checkpoint(
            self.population.state(), self.population.results, self.best,
            torch.stack(self.loss), torch.stack(self.accuracy),
        )  # fmt: skip
        checkpoint.write(file, key, found)
        ended = time.monotonic()
        self.next = ended + (ended - begun) / self.share

    def take(self, found: Checkpoint) -> None:
        """Resumes from a checkpoint."""
        self.population.resume(found.state, found.results)
        self.best = found.best.to(self.population.device)
        self.loss, self.accuracy = list(found.loss), list(found.accuracy)


def split(job: Job, bound: float) -> list[Job]:
    """The job in the fewest parts of at most `bound` bytes each; raises RunError if one seed needs more."""
    sizes = memory.batches(job.shape, len(job.seeds), job.training, bound)
    if not sizes:
        alone = memory.memory(job.shape, 1, job.training).total
        raise RunError(
            f"one seed needs about {alone / 1e9:.3g} GB to be trained, more than {bound / 1e9:.3g} GB\n"
            "allow more with --memory, or train a smaller model"
        )
    found, first = [], 0
    for size in sizes:
        part = slice(first, first + size)
        found.append(replace(job, seeds=job.seeds[part], settings=job.settings[part]))
        first += size
    return found


def joined(job: Job, parts: Sequence[Fitted]) -> Fitted:
    """The result of a job from its trained parts."""
    scores = tuple(score for part in parts for score in part.scores)
    return Fitted(job, scores, torch.cat([part.rows for part in parts]))
