"""What the outcomes of a stage say as a whole. In: outcomes of training. Out: the same with every
number finite, a cause, or `Broken`."""

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
    """The same; Broken where every setting failed: such a cell was not judged, so it is not filtered."""
    if outcomes and all(outcome.status == Status.FAILED for outcome in outcomes):
        raise Broken(task, first_cause(outcomes))
    return outcomes


def checked(outcome: Outcome) -> Outcome:
    """A number that is not finite is a status, never a score."""
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
    """Why the first setting without an accuracy has none; "" where all have one."""
    for outcome in outcomes:
        if outcome.status != Status.DONE:
            return f"{outcome.status}: {outcome.cause}" if outcome.cause else outcome.status
    return ""
