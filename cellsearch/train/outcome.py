"""What training one setting came to. Torch-free: records and leaderboards read it without loading torch."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["done", "diverged", "failed"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One setting of one cell on one task. A diverged or failed one has no accuracy and no loss."""

    setting: int  # index in the grid of the task
    status: Status
    accuracy: float | None  # best validation accuracy
    loss: float | None  # validation loss in nats at that epoch
    epochs: int
    hidden: int  # H
    parameters: int  # of the whole model, embedding and output included
    cause: str = ""
