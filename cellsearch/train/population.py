"""A population in training: members of one shape, advanced by epochs.

`advance` trains to an epoch, or to the end, and may be called repeatedly; `results` gives the current result
of each member. Between calls a population holds only its rows on the device, and nothing before its first
epoch and after its last one.

Members end one by one: by the schedule, by diverging, by being accurate enough, by `drop`. Finished members
stay in the batch with a rate of zero until at least a quarter of it has finished, and then leave it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from cellsearch.train import model, schedule
from cellsearch.train.grouping.cohort import Turns, finish
from cellsearch.train.model import Shape
from cellsearch.train.outcome import Status
from cellsearch.train.schedule import Schedule
from cellsearch.train.settings import Setting, Training
from cellsearch.train.steps import Data, Steps

#: Members leave the batch only when at least this share of it has finished: moving rows takes time.
LEAVE_SHARE = 0.25

#: Called after every epoch: epochs done, members still in training.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Epoch:
    """The results of an epoch for the members in the batch [K], in order."""

    number: int  # the first is 1
    index: np.ndarray  # of the members
    rows: Tensor  # [K, P]; updated in place by later training, so readers must copy
    loss: np.ndarray  # of the validation part, in nats
    accuracy: np.ndarray
    trained: np.ndarray  # bool: in training during this epoch


@dataclass(frozen=True, slots=True)
class State:
    """The state of a population after an epoch: everything that its next epoch depends on, besides the data.
    Plain SGD has no state between steps, and nothing is random after the initial weights."""

    epoch: int
    index: np.ndarray  # of the members in the batch [K]
    rows: Tensor  # [K, P]
    plan: Schedule


@dataclass(frozen=True, slots=True)
class Member:
    """One setting, by its index in the grid; `seed` determines its initial weights."""

    index: int
    setting: Setting
    seed: int


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one member."""

    status: Status = Status.DONE
    accuracy: float | None = None
    loss: float | None = None
    epochs: int = 0  # of the best accuracy
    cause: str = ""
    trained: int = 0  # epochs in all


@dataclass(slots=True)
class Population:
    """Members of one shape, and their state."""

    shape: Shape
    members: Sequence[Member]
    training: Training
    device: str = "cpu"
    stop_at: float | None = None  # a member ends once its validation accuracy reaches it
    seen: Callable[[Epoch], None] | None = None  # called with the results of each epoch
    epoch: int = 0
    results: dict[int, Result] = field(default_factory=dict)  # by index in the grid
    # Of the members in the batch, in order: indices, rows [K, P], norms [K] and rates.
    _index: np.ndarray = field(init=False)
    _rows: Tensor | None = field(init=False, default=None)
    _norms: Tensor = field(init=False)
    _plan: Schedule = field(init=False)

    def __post_init__(self) -> None:
        self.results = {m.index: Result() for m in self.members}
        self._index = np.array([m.index for m in self.members], dtype=np.int64)
        self._plan = schedule.begin(np.array([m.setting.learning_rate for m in self.members]))
        self._norms = self._norms_of(self._index)

    @property
    def dtype(self) -> torch.dtype:
        return {"float32": torch.float32, "float64": torch.float64}[self.training.dtype]

    @property
    def running(self) -> list[int]:
        """The members in training, by index in the grid."""
        return [int(i) for i in self._index[~self._plan.stopped]]

    def advance(self, data: Data, to_epoch: int | None = None, progress: Progress | None = None) -> None:
        """Trains until `to_epoch` epochs are done, or until every member has ended."""
        finish(self.windows(data, to_epoch, progress))

    def windows(
        self, data: Data, to_epoch: int | None = None, progress: Progress | None = None
    ) -> Turns[None]:
        """Does what `advance` does, and pauses after every window, when others may take their turn."""
        if not self.running or (to_epoch is not None and self.epoch >= to_epoch):
            return
        if self._rows is None:
            scales = [m.setting.init_scale for m in self.members]
            seeds = [m.seed for m in self.members]
            self._rows = model.first_rows(self.shape, scales, seeds, self.dtype).to(self.device)
        steps: Steps | None = None
        while self._rows is not None and (to_epoch is None or self.epoch < to_epoch):
            if steps is None:
                steps = Steps(
                    self.shape, data, self._rows, self._norms, mean=self.training.gradient == "mean"
                )
            yield from self._one_epoch(steps)
            if progress is not None:
                progress(self.epoch, len(self.running))
            if self._plan.stopped.mean() >= LEAVE_SHARE:
                steps = None  # before some of the rows are copied
            self._leave()

    def drop(self, indices: Iterable[int]) -> None:
        """Ends members with what they have come to."""
        self._plan.stopped[np.isin(self._index, list(indices))] = True
        self._leave()

    def state(self) -> State:
        """The current state; call it in `progress`, after an epoch."""
        assert self._rows is not None, "there are no rows before the first epoch and after the last one"
        return State(self.epoch, self._index, self._rows, self._plan)

    def resume(self, state: State, results: Mapping[int, Result]) -> None:
        """Resumes from a state of a population with the same members, and their results."""
        self.epoch, self._index, self._plan = state.epoch, state.index, state.plan
        self._rows, self._norms = state.rows.to(self.device), self._norms_of(state.index)
        self.results = dict(results)
        self._leave()  # as `windows` does after `progress`

    def _norms_of(self, index: np.ndarray) -> Tensor:
        norms = {m.index: m.setting.max_norm for m in self.members}
        return torch.tensor([norms[int(i)] for i in index], dtype=self.dtype, device=self.device)

    def release(self) -> None:
        """Frees the rows of a population that does not continue."""
        self._rows = None

    def _one_epoch(self, steps: Steps) -> Turns[None]:
        """An epoch of training, a validation pass, and the consequences for each member."""
        yield from steps.train(self._plan.rate * ~self._plan.stopped)
        yield from steps.score()
        broken, loss, accuracy = steps.found()
        self.epoch += 1
        finite = np.isfinite(loss) & ~broken
        for k in np.flatnonzero(~self._plan.stopped):
            i = int(self._index[k])
            best = self.results[i]
            if not finite[k]:
                cause = f"{'gradient' if broken[k] else 'loss'} non-finite in epoch {self.epoch}"
                self.results[i] = Result(Status.DIVERGED, None, None, self.epoch, cause, self.epoch)
            elif best.accuracy is None or accuracy[k] > best.accuracy:
                found = float(accuracy[k]), float(loss[k])
                self.results[i] = Result(Status.DONE, *found, self.epoch, trained=self.epoch)
            else:
                self.results[i] = replace(best, trained=self.epoch)
        if self.seen is not None:
            trained = ~self._plan.stopped
            self.seen(Epoch(self.epoch, self._index, steps.rows, loss, accuracy, trained))
        plan = schedule.after_epoch(self._plan, np.where(finite, loss, np.inf), self.training)
        ended = plan.stopped | ~finite
        if self.training.max_epochs is not None and self.epoch >= self.training.max_epochs:
            ended[:] = True
        if self.stop_at is not None:
            ended |= finite & (accuracy >= self.stop_at)
        plan.stopped[:] = ended
        self._plan = plan

    def _leave(self) -> None:
        """Removes finished members from the batch if they are many; all of them at the end."""
        ended = self._plan.stopped
        if ended.all():
            self._rows = None
        elif ended.mean() >= LEAVE_SHARE and self._rows is not None:
            stay = np.flatnonzero(~ended)
            index = torch.from_numpy(stay).to(self._rows.device)
            self._rows, self._norms = self._rows[index], self._norms[index]
            self._index, self._plan = self._index[stay], self._plan.keep(stay)
