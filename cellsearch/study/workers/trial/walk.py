"""The steps of the work on a trial, as seen by its driver."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellsearch.dsl.graph import Cell
from cellsearch.study.tables.work_items import Item
from cellsearch.train.outcome import Outcome

if TYPE_CHECKING:  # drivers of trials do not load Optuna
    from optuna.trial import Trial


@dataclass(frozen=True, slots=True)
class Claimed:
    """A stage to train: a cell on settings of a task, all claimed for the trial of `item`."""

    item: Item
    trial: "Trial | None"  # None for a piece of the baseline
    cell: Cell
    task: str
    settings: tuple[str, ...]
    seed: int  # seed of the study, or a fresh one
    label: str  # activity for the live display
    recorded: str  # name of the stage: the task, or a repeat on it


Trained = tuple[tuple[Outcome, ...], float]  # one outcome for each setting, in order; seconds
#: The work on a trial: stages to train, and None at a synchronisation point of the cohort.
Walk = Generator[Claimed | None, Trained | None, None]
