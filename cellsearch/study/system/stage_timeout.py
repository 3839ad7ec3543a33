"""The time that a stage may take: asked for at every epoch, and enforced where training does not come back.

In: a bound and what to record. Training calls `check` now and then, which raises `Overdue` once the
time is up; that costs nothing but the stage. Where it is not called (a kernel that hangs, a giant that needs
hours for one epoch), `enforce`, called from the heartbeat's thread, records the stage as failed and ends the
process, since nothing else ends a computation that runs in it.
"""

import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType

from cellsearch.study.system.timing import TIMING
from cellsearch.train.outcome import Outcome, Status


class Overdue(BaseException):
    """A stage took too long. No handler of defects may take it for one."""


class Deadline:
    """`with Deadline(...)`: from entering to leaving at most `seconds`; `give_up` records, `end` does not
    return. Leaving raises Overdue where giving up has begun and could not be recorded.

    It may be entered again: the times between entering and leaving add up. So stages that take turns each
    have their own time, and the one in whose turn the process hangs is the one that is given up."""

    def __init__(
        self,
        seconds: float,
        give_up: Callable[[], None],
        end: Callable[[], None],
        grace: float = TIMING.overdue,
    ) -> None:
        self.seconds, self.give_up, self.end, self.grace = seconds, give_up, end, grace
        self._lock = threading.Lock()  # either the stage is recorded as it ended, or it is given up
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
        """Raises Overdue when the time is up."""
        if self._until is not None and time.monotonic() > self._until:
            raise Overdue

    def enforce(self) -> None:
        """Gives the stage up and ends the process when the time is up for long."""
        with self._lock:
            if self._until is not None and time.monotonic() > self._until + self.grace:
                self._given_up = True
                self.give_up()
                self.end()


def overdue(settings: Sequence[str], hours: float) -> tuple[Outcome, ...]:
    """What is recorded of a stage that took longer than `hours`."""
    cause = f"the stage took longer than {hours:g} hours (budget.stage_hours)"
    return tuple(Outcome(setting, Status.FAILED, None, None, 0, 0, 0, cause) for setting in settings)
