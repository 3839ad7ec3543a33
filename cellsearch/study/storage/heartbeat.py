"""Which workers live: their rows, their heartbeats, and whose trials may be adopted.

On this machine a dead process is known at once by its id and the time it started. For other machines there
is a counter that a living worker raises: a process that sees the same number for `Timing.silent` of its own
beats takes the worker for dead. No clock is compared with another, so skew, summer time and sleeping laptops
steal no trial.

A thousand workers must not keep a database busy by living. A beat writes the worker's own row and waits for
no lock; the more workers there are, the slower each beats; and each watches the next few in a ring, not all.
"""

import os
import random
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, select, update

from cellsearch.errors import RunError
from cellsearch.study.storage import endings
from cellsearch.study.system import processes
from cellsearch.study.system.exit_codes import ExitCode
from cellsearch.study.system.stage_timeout import Deadline
from cellsearch.study.system.timing import TIMING
from cellsearch.study.tables.schema import workers
from cellsearch.study.tables.transactions import Store, alone, reading, unless_there

BEATS_A_SECOND = (
    50.0  # of all workers together, where that leaves each of them `LEAST` beats before it is silent
)
LEAST = 3
NEIGHBOURS = 16  # that a worker watches: those that follow it in the order of their ids


@dataclass(frozen=True, slots=True)
class Worker:
    """A process at work on a study."""

    id: str
    kind: str  # worker, search
    host: str
    pid: int
    started: str
    parent: str = ""  # id of the search that started it and without which it ends
    beat: int = 0
    doing: str = ""


def myself(kind: str, parent: str = "") -> Worker:
    """This process."""
    return identity(kind, os.getpid(), parent)


def identity(kind: str, pid: int, parent: str = "") -> Worker:
    """The worker that process `pid` of this machine is."""
    host, started = processes.machine(), processes.started(pid)
    return Worker(f"{kind}-{host[-12:]}-{pid}-{started}"[:64], kind, host, pid, started, parent)


def register(store: Store, worker: Worker) -> None:
    """Makes the row of a worker, or leaves it as it is."""
    row = {"study": store.study, "id": worker.id, "kind": worker.kind, "parent": worker.parent}
    row |= {"host": worker.host, "pid": worker.pid, "started": worker.started}
    with alone(store) as connection:
        connection.execute(unless_there(store.engine, workers).values(row))


def beat(store: Store, worker: Worker, doing: str) -> None:
    """Says that `worker` lives and what it does; its row is made again where others have given it up."""
    with alone(store) as connection:
        here = (workers.c.study == store.study, workers.c.id == worker.id)
        values = {"beat": workers.c.beat + 1, "doing": doing}
        found = connection.execute(update(workers).where(*here).values(**values)).rowcount
    if not found:
        register(store, worker)


def pace(size: int, seconds: float = TIMING.beat, silent: int = TIMING.silent) -> float:
    """Seconds between two heartbeats of a worker among `size`, where `seconds` are those of one alone."""
    return min(max(seconds, size / BEATS_A_SECOND), max(seconds, seconds * silent / LEAST))


def listed(store: Store) -> list[Worker]:
    """All workers that have a row, dead ones too."""
    with reading(store.engine, store.url) as connection:
        rows = connection.execute(
            select(workers).where(workers.c.study == store.study).order_by(workers.c.id)
        ).all()
    return [Worker(r.id, r.kind, r.host, r.pid, r.started, r.parent, r.beat, r.doing) for r in rows]


def known(store: Store, ids: Sequence[str]) -> set[str]:
    """Those of the workers `ids` that have a row."""
    query = select(workers.c.id).where(workers.c.study == store.study, workers.c.id.in_(list(ids)))
    with reading(store.engine, store.url) as connection:
        return set(connection.execute(query).scalars())


def neighbours(store: Store, own: str, count: int = NEIGHBOURS) -> tuple[dict[str, int], int]:
    """The counters of the `count` workers that follow `own` in the ring, by id, and how many workers there
    are in all: each looks at a few, and each is looked at."""
    mine = workers.c.study == store.study
    query = select(workers.c.id, workers.c.beat).where(mine).order_by(workers.c.id).limit(count)
    with reading(store.engine, store.url) as connection:
        total = connection.execute(select(func.count()).select_from(workers).where(mine)).scalar_one()
        found = {row.id: int(row.beat) for row in connection.execute(query.where(workers.c.id > own))}
        if len(found) < count:
            first = connection.execute(query.where(workers.c.id < own).limit(count - len(found)))
            found |= {row.id: int(row.beat) for row in first}
    return found, total


def leave(store: Store, gone: Sequence[str], by: str, *, crash: str = "", failures: int) -> list[int]:
    """Releases the trials of these workers and removes their rows: see `endings.release`."""
    released = endings.release(store, gone, by, crash=crash, failures=failures)
    with alone(store) as connection:
        connection.execute(
            delete(workers).where(workers.c.study == store.study, workers.c.id.in_(list(gone)))
        )
    return released


def recover(
    store: Store, by: str, failures: int, *, crash: str = "", spare: Collection[str] = ()
) -> list[int]:
    """Releases the trials of dead processes of this machine, except those in `spare`; and those of workers
    that are not listed: they were given up, took another trial when they came back, and were lost again.

    `crash` is left out at the start of a search: then a whole search may have been killed, which is no
    trial's fault.
    """
    host, held = processes.machine(), endings.holders(store)
    everyone = listed(store)  # later than the holders: a worker is listed before it takes a trial
    dead = [w.id for w in everyone if w.host == host and w.id not in spare and not alive(w)]
    dead += sorted(set(held) - {w.id for w in everyone} - set(spare))
    return leave(store, dead, by, crash=crash, failures=failures) if dead else []


def alive(worker: Worker) -> bool:
    """Whether a worker of this machine is still the process that it was."""
    return processes.lives(worker.pid, worker.started)


def end_orphans(store: Store, command: Sequence[str]) -> None:
    """Waits for the workers of dead searches on this machine to end, which they do by themselves at once.
    Kills a worker that cannot (it was stopped, say), if it certainly is one: a process that runs the program
    of `command`. Others are left to the heartbeats. Whatever a dead worker held can be taken over."""
    host = processes.machine()
    rows = [worker for worker in listed(store) if worker.host == host]
    searches = {worker.id for worker in rows if worker.kind == "search" and alive(worker)}
    orphans = [worker for worker in rows if worker.parent and worker.parent not in searches]
    _await(orphans, store.timing.orphans)
    killed = [w for w in orphans if processes.kill_recorded(w.pid, w.started, command)]
    _await(killed, store.timing.orphans)


def _await(orphans: Sequence[Worker], seconds: float) -> None:
    """Waits until these have ended, at most `seconds`."""
    end = time.monotonic() + seconds
    while any(alive(worker) for worker in orphans) and time.monotonic() < end:
        time.sleep(0.05)


class Watch:
    """Finds the workers whose counter stands still. Call `look` once per own beat."""

    def __init__(self, silent: int = TIMING.silent) -> None:
        self.silent = silent
        self._seen: dict[str, tuple[int, int]] = {}  # id -> its counter, how often seen unchanged

    def look(self, counters: Mapping[str, int], own: str, silent: int | None = None) -> list[str]:
        """The ids to give up, of the `counters` by id; `silent` where one's own beats are slower now."""
        seen = {}
        for id, beat in counters.items():
            counter, times = self._seen.get(id, (beat, -1))
            seen[id] = (beat, times + 1 if counter == beat else 0)
        self._seen = seen
        most = self.silent if silent is None else silent
        return [id for id, (_, times) in seen.items() if times >= most and id != own]


class Heart:
    """A thread that beats for a worker and watches its neighbours, so that a long stage keeps its trial.

    `doing` is what the live display shows. A beat that fails is tried again at the next one; the worker
    itself meets the same database, and its errors are the ones that count. `end` ends this process where a
    stage does not end: its caller goes on with another one.
    """

    def __init__(
        self,
        store: Store,
        worker: Worker,
        failures: int,
        end: Callable[[], None] = lambda: os._exit(ExitCode.OVERDUE),
    ) -> None:
        self.store, self.worker, self.failures, self.end = store, worker, failures, end
        self.seconds = store.timing.beat
        self.doing = "starting"
        self.missed = 0  # beats in a row that did not reach the database
        self.deadline: Deadline | None = None  # of the stage at work
        self._watch = Watch(store.timing.silent)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heart", daemon=True)

    def __enter__(self) -> "Heart":
        register(self.store, self.worker)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=2 * self.seconds)

    def _run(self) -> None:
        pause = self.seconds
        while not self._stop.wait(pause):
            try:
                if (deadline := self.deadline) is not None:
                    deadline.enforce()
                beat(self.store, self.worker, self.doing)
                counters, total = neighbours(self.store, self.worker.id)
                silent = self._watch.look(counters, self.worker.id, self._silence(pause))
                if silent:
                    crash = "its heartbeat stopped"
                    leave(self.store, silent, self.worker.id, crash=crash, failures=self.failures)
                self.missed = 0
                pause = pace(total, self.seconds, self._watch.silent) * random.uniform(0.9, 1.1)
            except RunError:
                self.missed += 1

    def _silence(self, pause: float) -> int:
        """How many looks as far apart as `pause` make the time of `Watch.silent` beats."""
        most = self._watch.silent
        return min(most, max(LEAST, round(most * self.seconds / pause)))
