"""The outcome of training one setting. Torch-free: records and leaderboards read it without loading torch."""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How the training of a setting ended."""

    DONE = "done"
    DIVERGED = "diverged"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One setting of one cell on one task. A diverged or failed one has no accuracy and no loss."""

    setting: str  # its values as text (`settings.key`)
    status: Status
    accuracy: float | None  # best validation accuracy
    loss: float | None  # validation loss in nats at that epoch
    epochs: int  # epoch of that accuracy, or of the divergence
    hidden: int  # H
    parameters: int  # parameters of the whole model, including embedding and output
    cause: str = ""
    trained: int = 0  # total epochs; 0 in records older than this field
    note: str = ""  # other influences on its numbers: a batch that ran out of memory
