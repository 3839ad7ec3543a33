"""Workers that join a search from this machine: one or more per device, restarted after an exit, until the
search is done.

`python -m cellsearch.study.workers.agent` reads its configuration as one line of JSON from standard input and
exits with it, as a worker does: so launchers start it on other machines, and no password is on a command
line.
"""

import json
import os
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cellsearch.errors import CellsearchError, safe
from cellsearch.files import own_folder
from cellsearch.study.space import Space, parse_space
from cellsearch.study.storage import heartbeat
from cellsearch.study.system import parent
from cellsearch.study.system.signals import Signals, listening
from cellsearch.study.system.timing import TIMING, Timing
from cellsearch.study.tables import database, records
from cellsearch.study.tables.database import Unavailable
from cellsearch.study.tables.outbox import OUTBOX
from cellsearch.study.tables.transactions import Store
from cellsearch.study.workers.pool import WORKER, Exit, Pool, WorkerConfig, places
from cellsearch.study.workers.retry import patiently
from cellsearch.study.workers.supervisor import Supervisor
from cellsearch.train.resources import devices

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """The configuration of an agent."""

    name: str
    storage: str
    results: str = "results"  # parent folder of logs and outbox, which are in a folder named after the search
    data: str | None = None
    devices: Sequence[str] = ("cpu",)  # as requested; resolved on this machine
    workers: int | None = 1  # workers per device


def join(config: AgentConfig, tell: Tell, command: Sequence[str] = WORKER, timing: Timing = TIMING) -> int:
    """Works on a search until it is done. Returns 0, or 128 + number of the signal that ended it. Raises
    RunError if the search cannot be worked on here.
    """
    with listening() as signals:
        return _join(config, tell, command, signals, timing)


def _join(config: AgentConfig, tell: Tell, command: Sequence[str], signals: Signals, timing: Timing) -> int:
    def opened() -> Store:
        return records.open_study(config.storage, config.name, timing=timing)

    store = patiently(opened, timing)
    try:
        return _work(store, config, tell, command, signals)
    finally:
        database.settle(store.engine)


def _work(store: Store, config: AgentConfig, tell: Tell, command: Sequence[str], signals: Signals) -> int:
    space = parse_space(
        patiently(lambda: records.facts(store), store.timing).space, f"{config.name}/space.yaml"
    )
    folder = Path(config.results) / config.name
    logs = folder / "logs"
    for own in (folder, logs):
        own_folder(own)
    worker = WorkerConfig(config.name, config.storage, "cpu", config.data, str(folder / OUTBOX))
    everywhere = places(devices.chosen(config.devices), config.workers)
    log = f"{socket.gethostname()[:60]}-{os.getpid()}"
    pool = Pool(everywhere, worker, command, logs, log, store.timing)
    return Agent(store, space, pool, tell).watch(signals)


class Agent(Supervisor):
    """Only workers on this machine: they take trials and send heartbeats themselves."""

    def __init__(self, store: Store, space: Space, pool: Pool, tell: Tell) -> None:
        super().__init__(store, space, pool, heartbeat.myself("agent").id)
        self._tell = tell
        self.idle = 0  # workers that found no trial left
        self._missing: set[str] = set()  # workers that were unregistered at the last check

    def tell(self, message: str) -> None:
        self._tell(message)

    def step(self) -> bool:
        """Polls the processes; False when the search is done."""
        self.handle_exits()
        if self.due("roll call", self.timing.roll_call, first=self.timing.roll_call):
            self.roll_call()
        self.starts += self.pool.fill(self.pool.size - self.idle)
        return bool(self.pool.children)

    def after_exit(self, gone: Exit, *, done: bool) -> None:
        self.idle = self.idle + 1 if done else 0  # released trials of other workers can be taken

    def roll_call(self) -> None:
        """Ends workers that stay unregistered, without a heartbeat soon after."""
        mine = {child.worker.id for child in self.pool.children}
        missing = mine - heartbeat.known(self.store, list(mine))
        self.pool.end_mute(mine - (missing & self._missing))
        self._missing = missing

    def close(self, signals: Signals) -> None:
        """Ends the workers; if the database is unavailable now, their trials are adopted later."""
        with suppress(Unavailable):
            self.end_workers(signals)


def main(command: Sequence[str] = WORKER) -> int:
    """Runs an agent with the configuration from standard input; returns the exit code."""
    signals = Signals()

    def end() -> None:
        signals.got.append(0)
        signals.event.set()

    with listening(signals):
        line = parent.configuration()
        if line is None:
            return 1
        parent.at_exit(end)

        def tell(message: str) -> None:
            with suppress(OSError):
                print(safe(message), file=sys.stderr, flush=True)

        try:
            return _join(AgentConfig(**json.loads(line)), tell, command, signals, TIMING)
        except CellsearchError as error:
            tell(str(error))
            return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
