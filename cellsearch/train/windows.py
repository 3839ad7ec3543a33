"""Windows of sequences, and the results of a window."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Window:
    """T steps of B streams: symbols [T, B], and the scored positions in T*B with their targets. In padded
    windows `scored` marks the positions that count."""

    inputs: Tensor
    positions: Tensor | None  # None: all of them
    targets: Tensor
    scored: Tensor | None = None  # bool, as targets; None: all of them


def cut(inputs: Tensor, targets: Tensor, steps: int) -> list[Window]:
    """Cut streams [B, N] into windows of `steps`; the last may be shorter. Targets below 0 are not scored."""
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
    """Sums over the scored positions of a window, per member [K]: loss in nats, and number of correct
    predictions."""

    loss: Tensor
    right: Tensor
    count: int
