"""The worker processes that join a search from one machine: one for each device and more where asked for,
started again where one ends, until nothing is left.

`python -m cellsearch.study.workers.agent` reads its orders as one line of JSON from standard input and ends
with it, as a worker does: so launchers start it on other machines, and no password is on a command line.
"""

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cellsearch.errors import CellsearchError
from cellsearch.files import own_folder
from cellsearch.study.space import Space, parse_space
from cellsearch.study.storage import heartbeat
from cellsearch.study.system.signals import Signals, listening
from cellsearch.study.tables import database, queries, records
from cellsearch.study.tables.database import Unavailable
from cellsearch.study.tables.schema import Store
from cellsearch.study.workers.exit_codes import RESTARTS, bury, hopeless
from cellsearch.study.workers.pool import WORKER, Crew, Exit, Orders, places
from cellsearch.study.workers.retry import PATIENCE_SECONDS, patiently
from cellsearch.train.resources import devices

POLL_SECONDS = 0.25
PAUSE_SECONDS = 2.0  # before a database that does not answer is asked again
LOOK_SECONDS = 30.0  # between two looks whether the workers are known to the records

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Posting:
    """What a station has to know."""

    name: str
    storage: str
    results: str = "results"  # where logs and spool are, in a folder of the search's name
    data: str | None = None
    devices: Sequence[str] = ("cpu",)  # as they were asked for: of this machine, wherever it is
    workers: int | None = 1  # on each device


def join(posting: Posting, tell: Tell, command: Sequence[str] = WORKER) -> int:
    """Works on a search until nothing is left. Returns 0, or 128 + the number of the signal that ended it.

    A RunError where the search cannot be worked on here.
    """
    with listening() as signals:
        return _join(posting, tell, command, signals)


def _join(posting: Posting, tell: Tell, command: Sequence[str], signals: Signals) -> int:
    store = patiently(lambda: records.open_study(posting.storage, posting.name))
    try:
        return _work(store, posting, tell, command, signals)
    finally:
        database.settle(store.engine)


def _work(store: Store, posting: Posting, tell: Tell, command: Sequence[str], signals: Signals) -> int:
    space = parse_space(patiently(lambda: records.facts(store)).space, f"{posting.name}/space.yaml")
    folder = Path(posting.results) / posting.name
    logs = folder / "logs"
    for own in (folder, logs):
        own_folder(own)
    orders = Orders(posting.name, posting.storage, "cpu", posting.data, str(folder / "spool"))
    everywhere = places(devices.chosen(posting.devices), posting.workers)
    crew = Crew(everywhere, orders, command, logs, f"{socket.gethostname()[:60]}-{os.getpid()}")
    return Station(store, space, crew, tell).run(signals)


class Station:
    """Workers on this machine, and nothing else: they find their work and beat by themselves."""

    def __init__(self, store: Store, space: Space, crew: Crew, tell: Tell) -> None:
        self.store, self.space, self.crew, self.tell = store, space, crew, tell
        self.id = heartbeat.myself("station").id
        self.idle = 0  # workers for which nothing was left
        self.starts, self.ended = 0, -1  # workers started since that number of items had ended
        self.unburied: list[Exit] = []  # of workers that ended while the database was away
        self.reached = time.monotonic()  # the database, last
        self._next_look = time.monotonic() + LOOK_SECONDS
        self._missing: set[str] = set()  # workers that were not listed at the last look

    def run(self, signals: Signals) -> int:
        """Until nothing is left, a signal, or an error."""
        try:
            while not signals.got:
                try:
                    if not self.step():
                        break
                    self.reached = time.monotonic()
                except Unavailable as error:
                    if time.monotonic() > self.reached + PATIENCE_SECONDS:
                        raise
                    self.tell(f"{error} (tried again)")
                    self.crew.end_stopped()  # one of them may hold a lock for which everybody waits
                    signals.event.wait(PAUSE_SECONDS)
                signals.event.wait(POLL_SECONDS)
        finally:
            gone = self.crew.end(lambda: len(signals.got) > 1)
            gone += [one.worker for one in self.unburied]
            with suppress(Unavailable):  # whoever is heard of no more is given up by the others
                heartbeat.leave(self.store, gone, self.id, failures=self.space.strategy.failures)
        return 128 + signals.got[0] if signals.got else 0

    def step(self) -> bool:
        """One look at the processes; False when there is nothing left to do."""
        self.unburied += self.crew.reap()
        while self.unburied:
            self.bury(self.unburied[0])
            del self.unburied[0]
        if time.monotonic() > self._next_look:
            self._next_look = time.monotonic() + LOOK_SECONDS
            self.look()
        self.starts += self.crew.fill(self.crew.size - self.idle)
        return bool(self.crew.children)

    def look(self) -> None:
        """Ends the workers that are not listed for long, and not again with a beat soon after."""
        mine = {child.worker.id for child in self.crew.children}
        missing = mine - heartbeat.known(self.store, list(mine))
        self.crew.end_mute(mine - (missing & self._missing))
        self._missing = missing

    def bury(self, gone: Exit) -> None:
        """Deals with a worker that has ended."""
        found = bury(self.store, self.id, self.crew, self.space, gone)
        if found.told:
            self.tell(found.told)
        if found.done:
            self.idle += 1
            return
        self.idle = 0  # what it had can be taken
        if found.crash:
            counts = queries.counts(self.store)
            if (ended := counts.baseline + counts.trials) != self.ended:
                self.starts, self.ended = 0, ended
            if self.starts > self.crew.size + RESTARTS:
                raise hopeless(self.crew, found.crash)


def main(command: Sequence[str] = WORKER) -> int:
    """Orders in, exit code out."""
    signals = Signals()

    def end_with_input() -> None:
        with suppress(OSError):
            while os.read(0, 4_096):
                pass
        signals.got.append(0)
        signals.event.set()

    with listening(signals):
        line = b""
        while not line.endswith(b"\n"):
            if not (read := os.read(0, 65_536)):
                return 1  # whoever was to give orders is gone
            line += read
        threading.Thread(target=end_with_input, name="parent", daemon=True).start()

        def tell(message: str) -> None:
            with suppress(OSError):
                print(message, file=sys.stderr, flush=True)

        try:
            return _join(Posting(**json.loads(line)), tell, command, signals)
        except CellsearchError as error:
            tell(str(error))
            return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
