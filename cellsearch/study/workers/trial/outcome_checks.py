"""Checks of the outcomes of a stage: replaces non-finite numbers by a status, finds causes, detects broken
stages."""

import math
from collections.abc import Sequence
from dataclasses import replace

from cellsearch.train.outcome import Outcome, Status


class Broken(Exception):
    """A stage in which every setting failed."""

    def __init__(self, task: str, cause: str) -> None:
        super().__init__(cause)
        self.task, self.cause = task, cause


def judged(task: str, outcomes: tuple[Outcome, ...]) -> tuple[Outcome, ...]:
    """The checked outcomes; raises Broken if every setting failed: such a cell was not judged, so it is not
    filtered."""
    if outcomes and all(outcome.status == Status.FAILED for outcome in outcomes):
        raise Broken(task, first_cause(outcomes))
    return outcomes


def checked(outcome: Outcome) -> Outcome:
    """Turns a non-finite number into a status, never a score."""
    if outcome.status != Status.DONE:
        return replace(outcome, accuracy=None, loss=None)
    accuracy, loss = outcome.accuracy, outcome.loss
    wrong = ""
    if accuracy is None or not math.isfinite(accuracy):
        wrong = "accuracy"
    elif loss is not None and not math.isfinite(loss):
        wrong = "loss"
    if not wrong:
        return outcome
    cause = f"{wrong} is not finite"
    return replace(outcome, status=Status.DIVERGED, accuracy=None, loss=None, cause=cause)


def first_cause(outcomes: Sequence[Outcome]) -> str:
    """The cause of the first setting without an accuracy, else ""."""
    for outcome in outcomes:
        if outcome.status != Status.DONE:
            return f"{outcome.status}: {outcome.cause}" if outcome.cause else outcome.status
    return ""
