"""What the outcomes of a stage say as a whole. In: outcomes as training tells them. Out: the same with every
number finite, a cause, or `Broken`."""

import math
from collections.abc import Sequence
from dataclasses import replace

from cellsearch.train.outcome import Outcome


class Broken(Exception):
    """A stage in which every setting failed."""

    def __init__(self, task: str, cause: str) -> None:
        super().__init__(cause)
        self.task, self.cause = task, cause


def judged(task: str, outcomes: tuple[Outcome, ...]) -> tuple[Outcome, ...]:
    """The same; Broken where every setting failed: such a cell was not judged, so it is not filtered."""
    if outcomes and all(outcome.status == "failed" for outcome in outcomes):
        raise Broken(task, first_cause(outcomes))
    return outcomes


def checked(outcome: Outcome) -> Outcome:
    """A number that is not finite is a status, never a score."""
    if outcome.status == "done" and (outcome.accuracy is None or not math.isfinite(outcome.accuracy)):
        return replace(outcome, status="diverged", accuracy=None, loss=None, cause="accuracy is not finite")
    if outcome.status != "done" and (outcome.accuracy is not None or outcome.loss is not None):
        return replace(outcome, accuracy=None, loss=None)
    if outcome.loss is not None and not math.isfinite(outcome.loss):
        return replace(outcome, status="diverged", accuracy=None, loss=None, cause="loss is not finite")
    return outcome


def first_cause(outcomes: Sequence[Outcome]) -> str:
    """Why the first setting without an accuracy has none; "" where all have one."""
    for outcome in outcomes:
        if outcome.status != "done":
            return f"{outcome.status}: {outcome.cause}" if outcome.cause else outcome.status
    return ""
