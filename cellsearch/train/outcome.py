"""What training one setting came to. Torch-free: records and leaderboards read it without loading torch."""

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
    epochs: int  # of that accuracy; of a diverged one: in which it did
    hidden: int  # H
    parameters: int  # of the whole model, embedding and output included
    cause: str = ""
    trained: int = 0  # epochs in all, which is what it cost; 0 where a record is older than this field
    note: str = ""  # what its numbers depend on besides: a batch that ran out of memory
