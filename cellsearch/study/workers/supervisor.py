"""The loop that keeps worker processes running, shared by `cellsearch search` and agents.

It trains and decides nothing. Every wait is bounded: by a signal, by the watched workers, or by the timeout
for the database.
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

MOST_SECONDS = 5.0  # minimum seconds between two polls


class Supervisor(ABC):
    """A pool of workers on a study; `id` is that of this process among the workers."""

    def __init__(self, store: Store, space: Space, pool: Pool, id: str) -> None:
        self.store, self.space, self.pool, self.id = store, space, pool, id
        self.timing, self.failures = store.timing, space.strategy.failures
        self.reached = time.monotonic()  # last poll of the database
        self.exits: list[Exit] = []  # exits not yet handled, because the database was unavailable
        self.starts, self.ended = 0, -1  # workers started since that number of finished items
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
        """Hook for an exited worker; `done` if it found no trial left."""

    def watch(self, signals: Signals) -> int:
        """Runs until the search is done, a signal, or an error. Returns 0, or 128 + number of the signal."""
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
                    if self.pool.end_stopped():  # a stopped worker may hold a lock that all others wait for
                        self.tell("a worker was stopped, perhaps within a transaction, and was ended")
                    signals.event.wait(self.timing.pause)
                took = time.monotonic() - began  # polls of a long search must not load its database
                signals.event.wait(min(max(self.timing.poll, 4 * took), MOST_SECONDS))
        finally:
            self.close(signals)
        return 128 + signals.got[0] if signals.got else 0

    def due(self, what: str, seconds: float, first: float = 0.0) -> bool:
        """Whether `what` is due: `first` seconds after the first poll, then every `seconds`."""
        now = time.monotonic()
        if now < self._next.setdefault(what, now + first):
            return False
        self._next[what] = now + seconds
        return True

    def handle_exits(self) -> None:
        """Handles exited workers. Raises RunError if restarting would not help."""
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
