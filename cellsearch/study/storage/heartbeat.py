"""Liveness of workers: their rows, their heartbeats, and the release of trials of dead ones.

On this machine a dead process is detected at once by its pid and start time. For other machines a live worker
increments a counter: a process that reads the same number for `Timing.silent` of its own beats considers the
worker dead. Clocks of different hosts are never compared, so clock skew, daylight saving and sleeping laptops
release no trial.

Heartbeats of a thousand workers must not load a database. A beat writes the worker's own row and waits for no
lock; the interval grows with the number of workers; and each watches only the next few in a ring.
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

BEATS_A_SECOND = 50.0  # beats per second of all workers, if each still has `LEAST` beats before it is silent
LEAST = 3
NEIGHBOURS = 16  # number of watched workers: the next ones in the order of ids


@dataclass(frozen=True, slots=True)
class Worker:
    """A process at work on a study."""

    id: str
    kind: str  # worker, search
    host: str
    pid: int
    started: str
    parent: str = ""  # id of the search that started it; it exits with that search
    beat: int = 0
    doing: str = ""


def myself(kind: str, parent: str = "") -> Worker:
    """This process."""
    return identity(kind, os.getpid(), parent)


def identity(kind: str, pid: int, parent: str = "") -> Worker:
    """The worker of process `pid` on this machine."""
    host, started = processes.machine(), processes.started(pid)
    return Worker(f"{kind}-{host[-12:]}-{pid}-{started}"[:64], kind, host, pid, started, parent)


def register(store: Store, worker: Worker) -> None:
    """Creates the row of a worker if it is missing."""
    row = {"study": store.study, "id": worker.id, "kind": worker.kind, "parent": worker.parent}
    row |= {"host": worker.host, "pid": worker.pid, "started": worker.started}
    with alone(store) as connection:
        connection.execute(unless_there(store.engine, workers).values(row))


def beat(store: Store, worker: Worker, doing: str) -> None:
    """Records a heartbeat and the activity of `worker`; recreates its row if it was removed."""
    with alone(store) as connection:
        here = (workers.c.study == store.study, workers.c.id == worker.id)
        values = {"beat": workers.c.beat + 1, "doing": doing}
        found = connection.execute(update(workers).where(*here).values(**values)).rowcount
    if not found:
        register(store, worker)


def pace(size: int, seconds: float = TIMING.beat, silent: int = TIMING.silent) -> float:
    """Seconds between heartbeats of a worker among `size` workers; `seconds` is the interval of a single
    one."""
    return min(max(seconds, size / BEATS_A_SECOND), max(seconds, seconds * silent / LEAST))


def listed(store: Store) -> list[Worker]:
    """All registered workers, including dead ones."""
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
    """The counters of the `count` workers after `own` in the ring, by id, and the total number of workers."""
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
    """Releases the trials of dead processes of this machine, except those in `spare`, and of unlisted
    workers, which were removed, took another trial when they returned, and were lost again. `crash` is
    omitted at the start of a search: a whole search may have been killed, which no trial caused.
    """
    host, held = processes.machine(), endings.holders(store)
    everyone = listed(store)  # later than the holders: a worker is listed before it takes a trial
    dead = [w.id for w in everyone if w.host == host and w.id not in spare and not alive(w)]
    dead += sorted(set(held) - {w.id for w in everyone} - set(spare))
    return leave(store, dead, by, crash=crash, failures=failures) if dead else []


def alive(worker: Worker) -> bool:
    """Whether the process of a worker on this machine is still alive and the same."""
    return processes.lives(worker.pid, worker.started)


def end_orphans(store: Store, command: Sequence[str]) -> None:
    """Waits for the exit of orphaned workers on this machine, which normally follows at once. Kills one that
    cannot exit (for example a stopped one) if its identity is certain: a process that runs the program of
    `command`. Heartbeats handle the others."""
    host = processes.machine()
    rows = [worker for worker in listed(store) if worker.host == host]
    searches = {worker.id for worker in rows if worker.kind == "search" and alive(worker)}
    orphans = [worker for worker in rows if worker.parent and worker.parent not in searches]
    _await(orphans, store.timing.orphans)
    killed = [w for w in orphans if processes.kill_recorded(w.pid, w.started, command)]
    _await(killed, store.timing.orphans)


def _await(orphans: Sequence[Worker], seconds: float) -> None:
    """Waits for their exit, at most `seconds`."""
    end = time.monotonic() + seconds
    while any(alive(worker) for worker in orphans) and time.monotonic() < end:
        time.sleep(0.05)


class Watch:
    """Finds workers with an unchanged counter. Call `look` once per own beat."""

    def __init__(self, silent: int = TIMING.silent) -> None:
        self.silent = silent
        self._seen: dict[str, tuple[int, int]] = {}  # id -> counter, number of times seen unchanged

    def look(self, counters: Mapping[str, int], own: str, silent: int | None = None) -> list[str]:
        """The ids of silent workers among `counters`; `silent` overrides the limit if own beats are slower
        now."""
        seen = {}
        for id, beat in counters.items():
            counter, times = self._seen.get(id, (beat, -1))
            seen[id] = (beat, times + 1 if counter == beat else 0)
        self._seen = seen
        most = self.silent if silent is None else silent
        return [id for id, (_, times) in seen.items() if times >= most and id != own]


class Heart:
    """A thread that sends the heartbeats of a worker and watches its neighbours, so that a long stage keeps
    its trial. `doing` is the activity in the live display. A failed beat is retried at the next one; the
    worker itself reports errors of the database. `end` ends this process if a stage does not return: its
    caller starts another one.
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
        self.missed = 0  # failed beats in a row
        self.deadline: Deadline | None = None  # time limit of the current stage
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
        """The number of polls at intervals `pause` that cover `Watch.silent` beats."""
        most = self._watch.silent
        return min(most, max(LEAST, round(most * self.seconds / pause)))
