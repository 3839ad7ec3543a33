"""The loop that keeps worker processes running: that of `cellsearch search` and that of an agent.

It trains nothing and decides nothing. Every wait in it is bounded: by a signal, by the workers it watches, by
the time that a database may be away.
"""

import time
from abc import ABC, abstractmethod

from cellsearch.study.space import Space
from cellsearch.study.storage import heartbeat
from cellsearch.study.system.signals import Signals
from cellsearch.study.tables import queries
from cellsearch.study.tables.database import Unavailable
from cellsearch.study.tables.transactions import Store
from cellsearch.study.workers.pool import Exit, Pool
from cellsearch.study.workers.worker_exits import RESTARTS, handle_exit, keeps_crashing

MOST_SECONDS = 5.0  # between two looks, however long one takes


class Supervisor(ABC):
    """A pool of workers on a study; `id` is that of this process among the workers."""

    def __init__(self, store: Store, space: Space, pool: Pool, id: str) -> None:
        self.store, self.space, self.pool, self.id = store, space, pool, id
        self.timing, self.failures = store.timing, space.strategy.failures
        self.reached = time.monotonic()  # the database, last
        self.exits: list[Exit] = []  # not handled yet, since the database was away
        self.starts, self.ended = 0, -1  # workers started since that number of items had ended
        self._next: dict[str, float] = {}

    @abstractmethod
    def step(self) -> bool:
        """One look at everything; False when there is nothing left to do."""

    @abstractmethod
    def tell(self, message: str) -> None:
        """Shows a message."""

    @abstractmethod
    def close(self, signals: Signals) -> None:
        """Ends the workers, in bounded time."""

    @abstractmethod
    def after_exit(self, gone: Exit, *, done: bool) -> None:
        """More to do for a worker that has ended; `done` where it found nothing left to take."""

    def watch(self, signals: Signals) -> int:
        """Until nothing is left, a signal, or an error. Returns 0, or 128 + the number of the signal."""
        try:
            while not signals.got:
                began = time.monotonic()
                try:
                    if not self.step():
                        break
                    self.reached = time.monotonic()
                except Unavailable as error:
                    if time.monotonic() > self.reached + self.timing.patience:
                        raise
                    self.tell(f"{error} (tried again)")
                    if self.pool.end_stopped():  # one of them may hold a lock that all others wait for
                        self.tell("a worker was stopped, perhaps within a transaction, and was ended")
                    signals.event.wait(self.timing.pause)
                took = time.monotonic() - began  # looks at a long search must not keep its database busy
                signals.event.wait(min(max(self.timing.poll, 4 * took), MOST_SECONDS))
        finally:
            self.close(signals)
        return 128 + signals.got[0] if signals.got else 0

    def due(self, what: str, seconds: float, first: float = 0.0) -> bool:
        """Whether `what` is to be done now: `first` seconds after the first look, then every `seconds`."""
        now = time.monotonic()
        if now < self._next.setdefault(what, now + first):
            return False
        self._next[what] = now + seconds
        return True

    def handle_exits(self) -> None:
        """Handles the workers that have ended since the last look. A RunError where no other one would do
        better."""
        self.exits += self.pool.reap()
        while self.exits:
            self._handle(self.exits[0])
            del self.exits[0]

    def _handle(self, gone: Exit) -> None:
        found = handle_exit(self.store, self.id, self.pool, self.space, gone)
        self.after_exit(gone, done=found.done)
        if found.message:
            self.tell(found.message)
        if found.crash:
            counts = queries.counts(self.store)
            if (ended := counts.baseline + counts.trials) != self.ended:
                self.starts, self.ended = 0, ended
            if self.starts > self.pool.size + RESTARTS:
                raise keeps_crashing(self.pool, found.crash)

    def end_workers(self, signals: Signals) -> None:
        """Ends all workers and releases their trials; a second signal ends them at once."""
        gone = self.pool.end(lambda: len(signals.got) > 1) + [one.worker for one in self.exits]
        heartbeat.leave(self.store, gone, self.id, failures=self.failures)
