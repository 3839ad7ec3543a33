"""Train one cell on a batch of settings of one task and say what each came to.

Settings fall into groups of one shape (layers, width); a group is a population that is trained at once. A
member's first weights follow from the seed, the cell, the task and the setting, never from its place in a
population.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cellsearch.dsl.fingerprint import fingerprint
from cellsearch.dsl.graph import Cell
from cellsearch.errors import CellsearchError, RunError
from cellsearch.tasks.data import Dataset, Part
from cellsearch.train import model, schedule
from cellsearch.train.model import Shape, Window
from cellsearch.train.outcome import Outcome, Status
from cellsearch.train.settings import Grid, Setting, Training

#: Called after every epoch of a population: epochs done, members still in training.
Progress = Callable[[int, int], None]

#: Members leave the batch only when at least this share of it has stopped: moving rows takes time.
LEAVE_SHARE = 0.25


@dataclass(frozen=True)
class Data:
    """A dataset on a device, cut in windows."""

    train: list[Window]
    valid: list[Window]


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
    groups: dict[Shape, list[int]] = {}
    for index in indices:
        setting = grid[index]
        hidden = model.width(cell, dataset.vocabulary, setting.layers, setting.parameters)
        groups.setdefault(Shape(cell, dataset.vocabulary, setting.layers, hidden), []).append(index)
    found: dict[int, Outcome] = {}
    for shape, members in groups.items():
        settings = [grid[i] for i in members]
        seeds = [member_seed(seed, cell, dataset.task, i) for i in members]
        results = train(shape, data, settings, seeds, training, device, stop_at, progress)
        size = model.parameters(cell, dataset.vocabulary, shape.layers, shape.hidden)
        for index, r in zip(members, results, strict=True):
            found[index] = Outcome(index, r.status, r.accuracy, r.loss, r.epochs, shape.hidden, size, r.cause)
    return [found[i] for i in indices]


@dataclass(frozen=True)
class Result:
    """What became of one member."""

    status: Status = "done"
    accuracy: float | None = None
    loss: float | None = None
    epochs: int = 0
    cause: str = ""


def train(
    shape: Shape,
    data: Data,
    settings: Sequence[Setting],
    seeds: Sequence[int],
    training: Training,
    device: str = "cpu",
    stop_at: float | None = None,
    progress: Progress | None = None,
) -> list[Result]:
    """Train a population of one shape; settings and results stand in one order."""
    dtype = {"float32": torch.float32, "float64": torch.float64}[training.dtype]
    rows = model.first_rows(shape, [s.init_scale for s in settings], seeds, dtype).to(device)
    gradient = torch.zeros_like(rows)
    norms = torch.tensor([s.max_norm for s in settings], dtype=dtype, device=device)
    plan = schedule.begin(np.array([s.learning_rate for s in settings]))
    results = [Result() for _ in settings]
    members = np.arange(len(settings))  # whose row stands where
    epoch = 0
    while len(members):
        epoch += 1
        rates = torch.tensor(plan.rate * ~plan.stopped, dtype=dtype, device=device)
        broken = _epoch(shape, data.train, rows, gradient, rates, norms)
        loss, accuracy = _score(shape, data.valid, rows)
        finite = np.isfinite(loss) & ~broken
        running = ~plan.stopped
        for k in np.flatnonzero(running):
            i = members[k]
            if not finite[k]:
                cause = "gradient not finite" if broken[k] else "loss not finite"
                results[i] = Result("diverged", None, None, epoch, f"{cause} in epoch {epoch}")
            elif results[i].accuracy is None or accuracy[k] > results[i].accuracy:
                results[i] = Result("done", float(accuracy[k]), float(loss[k]), epoch)
        plan = schedule.after_epoch(plan, np.where(finite, loss, np.inf), training)
        ended = plan.stopped | ~finite
        if training.max_epochs is not None and epoch >= training.max_epochs:
            ended[:] = True
        if stop_at is not None:
            ended |= finite & (accuracy >= stop_at)
        plan.stopped[:] = ended
        if progress is not None:
            progress(epoch, int((~ended).sum()))
        if ended.all():
            break
        if ended.mean() >= LEAVE_SHARE:
            stay = np.flatnonzero(~ended)
            index = torch.from_numpy(stay).to(device)
            rows, norms = rows[index], norms[index]
            gradient = torch.zeros_like(rows)
            members, plan = members[stay], plan.keep(stay)
    return results


def _epoch(
    shape: Shape, windows: Sequence[Window], rows: Tensor, gradient: Tensor, rates: Tensor, norms: Tensor
) -> np.ndarray:
    """One pass of plain SGD with each member's gradient scaled to its norm; says whose gradient was not
    finite [K]."""
    states = model.first_states(shape, rows.shape[0], windows[0].inputs.shape[1], rows)
    broken = torch.zeros(rows.shape[0], dtype=torch.bool, device=rows.device)
    start = 0
    for window in windows:
        _, states = model.run(shape, rows, window, states, start, gradient)
        start += len(window.inputs)
        norm = torch.linalg.vector_norm(gradient, dim=1)
        broken |= ~torch.isfinite(norm)
        factor = rates * torch.clamp(norms / norm, max=1.0)
        factor = torch.where(broken, 0.0, factor)
        rows.addcmul_(gradient, -factor[:, None])
    return broken.cpu().numpy()


def _score(shape: Shape, windows: Sequence[Window], rows: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Mean loss in nats and accuracy of each member [K] on a part."""
    states = model.first_states(shape, rows.shape[0], windows[0].inputs.shape[1], rows)
    loss = torch.zeros(rows.shape[0], dtype=torch.float64, device=rows.device)
    right = torch.zeros(rows.shape[0], dtype=torch.int64, device=rows.device)
    start, total = 0, 0
    for window in windows:
        score, states = model.run(shape, rows, window, states, start)
        start += len(window.inputs)
        loss += score.loss
        right += score.right
        total += score.count
    if total == 0:
        raise CellsearchError("the validation part has no position to score")
    return (loss / total).cpu().numpy(), (right / total).cpu().numpy()
