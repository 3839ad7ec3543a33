"""The time limit of a stage: checked at every epoch, and enforced if training does not return.

Training calls `check` regularly, which raises `Overdue` after the limit; only the stage is lost. If it is not
called (a hung kernel, hours for one epoch), the heartbeat's thread calls `enforce`, which records the stage
as failed and ends the process, since nothing else ends a computation in it.
"""

import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType

from cellsearch.study.system.timing import TIMING
from cellsearch.train.outcome import Outcome, Status


class Overdue(BaseException):
    """A stage exceeded its time limit. Handlers of defects must not catch it."""


class Deadline:
    """`with Deadline(...)`: limits the time inside the block to `seconds`; `give_up` records the failure,
    `end` does not return. Leaving the block raises Overdue if giving up has begun and could not be recorded.
    Reentry continues the count: stages that take turns each have their own time, and the one whose turn hangs
    is given up."""

    def __init__(
        self,
        seconds: float,
        give_up: Callable[[], None],
        end: Callable[[], None],
        grace: float = TIMING.overdue,
    ) -> None:
        self.seconds, self.give_up, self.end, self.grace = seconds, give_up, end, grace
        self._lock = threading.Lock()  # either the stage is recorded normally, or it is given up
        self._until: float | None = None
        self._spent = 0.0
        self._given_up = False

    def __enter__(self) -> "Deadline":
        self._until = time.monotonic() + self.seconds - self._spent
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        with self._lock:
            if self._until is not None:
                self._spent = self.seconds - (self._until - time.monotonic())
            self._until = None
            if self._given_up:
                raise Overdue

    def check(self) -> None:
        """Raises Overdue after the limit."""
        if self._until is not None and time.monotonic() > self._until:
            raise Overdue

    def enforce(self) -> None:
        """Gives up the stage and ends the process some time after the limit."""
        with self._lock:
            if self._until is not None and time.monotonic() > self._until + self.grace:
                self._given_up = True
                self.give_up()
                self.end()


def overdue(settings: Sequence[str], hours: float) -> tuple[Outcome, ...]:
    """The recorded cause for a stage that exceeded `hours`."""
    cause = f"the stage took longer than {hours:g} hours (budget.stage_hours)"
    return tuple(Outcome(setting, Status.FAILED, None, None, 0, 0, 0, cause) for setting in settings)
