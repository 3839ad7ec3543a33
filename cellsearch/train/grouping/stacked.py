"""Windows of one size in one tensor, so that a step recorded once applies to all of them.

Scored positions differ between windows. If their numbers differ too, windows are padded with other positions,
whose loss and gradient are set to zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from cellsearch.train.windows import Window


@dataclass(frozen=True)
class Windows:
    """W windows of T steps of B streams, with at most n scored positions each."""

    inputs: Tensor  # [W, T, B]
    positions: Tensor | None  # [W, n]; None: all of them
    targets: Tensor  # [W, n]
    scored: Tensor | None  # [W, n], bool; None: all of them
    count: int  # scored positions of all windows

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def steps(self) -> int:
        """T."""
        return self.inputs.shape[1]

    def at(self, index: Tensor) -> Window:
        """The window with the index in a tensor [1] on the device, without synchronisation."""

        def pick(value: Tensor | None) -> Tensor | None:
            return None if value is None else value.index_select(0, index)[0]

        inputs, targets = pick(self.inputs), pick(self.targets)
        assert inputs is not None and targets is not None
        return Window(inputs, pick(self.positions), targets, pick(self.scored))


def alike(windows: Sequence[Window]) -> list[Windows]:
    """Windows in order, grouped by size: `windows.cut` gives all but the last the same size."""
    return [_together(list(group)) for _, group in groupby(windows, key=lambda w: w.inputs.shape)]


def _together(group: list[Window]) -> Windows:
    inputs = torch.stack([w.inputs for w in group])
    counts = [len(w.targets) for w in group]
    if all(w.positions is None for w in group):
        return Windows(inputs, None, torch.stack([w.targets for w in group]), None, sum(counts))
    most = max(counts)
    every = torch.arange(inputs[0].numel(), device=inputs.device)
    positions, targets = [], []
    for w in group:
        own = every if w.positions is None else w.positions
        rest = torch.ones_like(every, dtype=torch.bool).index_fill_(0, own, False)
        positions.append(torch.cat([own, every[rest]])[:most])
        targets.append(torch.cat([w.targets, w.targets.new_zeros(most - len(own))]))
    scored = torch.arange(most, device=inputs.device) < torch.tensor(counts, device=inputs.device)[:, None]
    return Windows(
        inputs,
        torch.stack(positions),
        torch.stack(targets),
        None if min(counts) == most else scored,
        sum(counts),
    )
