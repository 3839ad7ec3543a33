"""The steps of a population: one training or validation step per window.

`train` and `score` iterate over the windows of a part and pause after each, so that several populations can
take turns; `found` gives the results of an epoch. Between its start and `found` there is no host-device
synchronisation. If steps are *recorded* (on a CUDA device, see `compiler.graphs`), everything that a step
reads or changes keeps its address: the states of the streams, the number of the first step, the index of the
window.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from cellsearch.compiler import graphs
from cellsearch.errors import CellsearchError
from cellsearch.train import model
from cellsearch.train.grouping.stacked import Windows, alike
from cellsearch.train.model import Shape
from cellsearch.train.resources.subnormal import flushed_on
from cellsearch.train.windows import Window


@dataclass(frozen=True)
class Data:
    """A dataset on a device, cut into windows."""

    train: Sequence[Window]
    valid: Sequence[Window]

    def __post_init__(self) -> None:
        """On a GPU the windows for recorded steps are created here, in the stream of the data, which precedes
        all lanes. Created lazily in a lane, they would be written while other lanes read them."""
        if any(w.inputs.device.type == "cuda" for w in self.train[:1]):
            _ = self.train_alike, self.valid_alike

    @cached_property
    def train_alike(self) -> list[Windows]:
        """The windows for recorded steps."""
        return alike(self.train)

    @cached_property
    def valid_alike(self) -> list[Windows]:
        """The same for the validation part."""
        return alike(self.valid)


class Steps:
    """The steps of members of one shape; updates their rows [K, P] in place. The shape owns the layouts, and
    with them the masks and kernels that recorded steps read."""

    def __init__(
        self,
        shape: Shape,
        data: Data,
        rows: Tensor,
        norms: Tensor,
        *,
        mean: bool = False,
        recorded: bool | None = None,
        engine: str = "auto",
    ) -> None:
        """With `mean` the gradient of a window is that of the mean loss of its scored positions, else that of
        the summed loss divided by B (`Training.gradient`)."""
        self.shape, self.data, self.rows, self.norms, self.engine = shape, data, rows, norms, engine
        self.mean = mean
        self.recorded = rows.device.type == "cuda" if recorded is None else recorded
        members, device = rows.shape[0], rows.device
        self.gradient = torch.zeros_like(rows)
        self.rates = torch.zeros_like(norms)
        self.broken = torch.zeros(members, dtype=torch.bool, device=device)
        self.loss = torch.zeros(members, dtype=torch.float64, device=device)
        self.right = torch.zeros(members, dtype=torch.int64, device=device)
        self.total = 0  # number of scored positions
        self.states = self._first_states() if self.recorded else []
        # The numbers of the first step and of the window: recorded steps read them from tensors.
        self.start: Tensor | int = torch.zeros(1, dtype=torch.int64, device=device) if self.recorded else 0
        self.index = torch.zeros(1, dtype=torch.int64, device=device)
        self._place = graphs.place(device)
        self._calls: dict[tuple[str, int], graphs.Step] = {}

    def train(self, rates: np.ndarray) -> Iterator[None]:
        """One pass of plain SGD over the training part, with each member's gradient scaled to its norm."""
        self.rates.copy_(torch.from_numpy(rates))
        self.broken.zero_()
        yield from self._walk("train", self._train)

    def score(self) -> Iterator[None]:
        """A validation pass."""
        self.loss.zero_()
        self.right.zero_()
        self.total = 0
        yield from self._walk("valid", self._score)
        if self.total == 0:
            raise CellsearchError("the validation part has no scored positions")

    def found(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Per member [K]: whether its gradient was non-finite; mean loss in nats; accuracy. Synchronises with
        the device."""
        loss, accuracy = self.loss / self.total, self.right / self.total
        return self.broken.cpu().numpy(), loss.cpu().numpy(), accuracy.cpu().numpy()

    def _first_states(self) -> model.States:
        batch = self.data.train[0].inputs.shape[1]
        return model.first_states(self.shape, self.rows.shape[0], batch, self.rows)

    def _walk(self, part: str, step: Callable[[Window], None]) -> Iterator[None]:
        """Every window of a part, from the start of its streams."""
        if not self.recorded:
            self.start, self.states = 0, self._first_states()
            for window in self.data.train if part == "train" else self.data.valid:
                with flushed_on(self.rows.device):
                    step(window)
                self.total += len(window.targets)
                yield
            return
        assert isinstance(self.start, Tensor)
        self.start.zero_()
        for layer, first in zip(self.states, self._first_states(), strict=True):
            for state, value in zip(layer, first, strict=True):
                state.copy_(value)
        for k, windows in enumerate(self.data.train_alike if part == "train" else self.data.valid_alike):
            self.index.zero_()
            if (part, k) not in self._calls:
                self._calls[part, k] = self._record(windows, step)
            call = self._calls[part, k]
            for _ in range(len(windows)):
                with flushed_on(self.rows.device):
                    call()
                yield
            self.total += windows.count

    def _record(self, windows: Windows, step: Callable[[Window], None]) -> graphs.Step:
        """A step for the window at `index`, which then advances."""

        def next_one() -> None:
            step(windows.at(self.index))
            self.index.add_(1)

        assert isinstance(self.start, Tensor)
        states = [state for layer in self.states for state in layer]
        changed = [self.rows, self.broken, self.loss, self.right, self.start, self.index, *states]
        return graphs.capture(next_one, changed, self._place)

    def _train(self, window: Window) -> None:
        _, last = model.run(
            self.shape, self.rows, window, self.states, self.start, self.gradient, self.engine
        )
        self._go_on(last, len(window.inputs))
        norm = torch.linalg.vector_norm(self.gradient, dim=1)
        self.broken |= ~torch.isfinite(norm)
        # The gradient at hand is the sum divided by B; the mean and its norm are smaller by this factor.
        scale = _sum_to_mean(window) if self.mean else 1.0
        factor = scale * self.rates * torch.clamp(self.norms / (scale * norm), max=1.0)
        factor = torch.where(self.broken, 0.0, factor)
        self.rows.addcmul_(self.gradient, -factor[:, None])

    def _score(self, window: Window) -> None:
        found, last = model.run(self.shape, self.rows, window, self.states, self.start, engine=self.engine)
        self._go_on(last, len(window.inputs))
        self.loss += found.loss
        self.right += found.right

    def _go_on(self, last: model.States, steps: int) -> None:
        """Carries the final states to the next window."""
        self.start += steps
        if not self.recorded:
            self.states = last
            return
        for layer, ended in zip(self.states, last, strict=True):
            for state, value in zip(layer, ended, strict=True):
                state.copy_(value)


def _sum_to_mean(window: Window) -> float | Tensor:
    """B divided by the number of scored positions of a window; 0 if there are none."""
    batch = window.inputs.shape[1]
    if window.scored is not None:
        count = window.scored.sum()
        return torch.where(count > 0, batch / count, 0.0)
    return batch / len(window.targets) if len(window.targets) else 0.0
