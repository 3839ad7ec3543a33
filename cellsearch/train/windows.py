"""What a population sees at a time: windows of a text; and what came of one."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Window:
    """T steps of B streams: symbols [T, B], and where and what is scored: positions in T*B, and targets
    there. Where windows are made alike, `scored` says which positions count, and the others fill up."""

    inputs: Tensor
    positions: Tensor | None  # None: all of them
    targets: Tensor
    scored: Tensor | None = None  # bool, as targets; None: all of them


def cut(inputs: Tensor, targets: Tensor, steps: int) -> list[Window]:
    """Cut streams [B, N] in windows of `steps`; the last may be shorter. Targets below 0 are not scored."""
    found = []
    for at in range(0, inputs.shape[1], steps):
        flat = targets[:, at : at + steps].T.reshape(-1)
        positions = (flat >= 0).nonzero()[:, 0]
        everything = len(positions) == len(flat)
        found.append(
            Window(
                inputs[:, at : at + steps].T.contiguous(),
                None if everything else positions,
                flat if everything else flat[positions],
            )
        )
    return found


@dataclass(frozen=True)
class Score:
    """Sums over the scored positions of a window, per member [K]: loss in nats, and how many were predicted
    right."""

    loss: Tensor
    right: Tensor
    count: int
