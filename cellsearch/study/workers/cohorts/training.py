"""Training of claimed stages within their time limits: one alone, or those of a cohort side by side."""

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellsearch.errors import printable
from cellsearch.study.storage.heartbeat import Heart
from cellsearch.study.system.stage_timeout import Deadline, Overdue, overdue
from cellsearch.study.workers.evaluator import Alone, Evaluator, InTurns, Say, in_turns
from cellsearch.study.workers.trial.outcome_checks import checked
from cellsearch.study.workers.trial.walk import Claimed, Trained
from cellsearch.train.outcome import Outcome, Status

if TYPE_CHECKING:  # it loads torch
    from cellsearch.train.grouping.cohort import Turns

GiveUp = Callable[[Claimed, Sequence[Outcome], float], None]


@dataclass(frozen=True, slots=True)
class Trainer:
    """Trains stages for at most `hours` each; `give_up` records one that does not return."""

    evaluator: Evaluator
    heart: Heart
    hours: float
    give_up: GiveUp

    def alone(self, stage: Claimed) -> Trained:
        """The outcomes of a stage, and its duration in seconds."""
        deadline, lost = self._deadline(stage)
        start = time.monotonic()
        self.heart.deadline = deadline
        try:
            with deadline:
                found = self.evaluator.evaluate(
                    stage.cell, stage.task, stage.settings, stage.seed, self._say(stage, deadline)
                )
            outcomes = tuple(checked(outcome) for outcome in found)
        except Overdue:
            outcomes = lost
        return outcomes, time.monotonic() - start

    def together(self, stages: Sequence[Claimed]) -> Generator[tuple[int, Trained | Exception], None, None]:
        """The same for several side by side: yields the index and the result or exception of each as soon as
        it ends. The seconds of a stage are those of its own turns.

        The settings of a stage that runs out of memory alone on the device fail.
        """
        # imported here: these load torch, which a worker without a cohort does not need
        from cellsearch.train.grouping.side_by_side import Start, side_by_side
        from cellsearch.train.resources.shortage import ran_out

        within = in_turns(self.evaluator)
        place = within.place()
        starts = [
            Start(
                self._begin(within, stage, len(stages)),
                0.0 if place.room is None else within.needed(stage.cell, stage.task, stage.settings),
            )
            for stage in stages
        ]
        walk = side_by_side(starts, place.device, room=place.room, in_turns=place.in_turns)
        with closing(walk) as ended:
            for k, found in ended:
                if isinstance(found, Exception) and ran_out(found):
                    yield k, (_too_large(stages[k].settings, found), 0.0)
                else:
                    yield k, found

    def _begin(self, within: InTurns, stage: Claimed, count: int) -> Callable[[Alone], "Turns[Trained]"]:
        """Starts the training of a stage, one of `count`."""

        def begin(alone: Alone) -> "Turns[Trained]":
            deadline, lost = self._deadline(stage)
            say = self._say(stage, deadline, f"{count} trials at once; " if count > 1 else "")
            training = within.training(stage.cell, stage.task, stage.settings, stage.seed, say, alone)
            spent = 0.0
            while True:
                began = time.monotonic()
                self.heart.deadline = deadline
                try:
                    with deadline:
                        next(training)
                        deadline.check()
                except StopIteration as end:
                    outcomes = tuple(checked(outcome) for outcome in end.value)
                    return outcomes, spent + time.monotonic() - began
                except Overdue:
                    training.close()
                    return lost, spent + time.monotonic() - began
                spent += time.monotonic() - began
                yield

        return begin

    def _deadline(self, stage: Claimed) -> tuple[Deadline, tuple[Outcome, ...]]:
        """The time limit of a stage, and the record made when it is exceeded."""
        seconds, lost = 3600 * self.hours, overdue(stage.settings, self.hours)
        end, grace = self.heart.end, self.heart.store.timing.overdue
        return Deadline(seconds, lambda: self.give_up(stage, lost, seconds), end, grace), lost

    def _say(self, stage: Claimed, deadline: Deadline, before: str = "") -> Say:
        def say(text: str) -> None:
            self.heart.doing = f"{before}{stage.label}: {text}"
            deadline.check()

        return say


def _too_large(settings: Sequence[str], error: Exception) -> tuple[Outcome, ...]:
    """The record of a stage that ran out of memory on a device."""
    said = printable(str(error).partition("\n")[0] or type(error).__name__, 300)
    cause = f"out of memory, alone on the device: {said}"
    return tuple(Outcome(setting, Status.FAILED, None, None, 0, 0, 0, cause) for setting in settings)
