"""Searches as processes: started, watched by a `Witness`, killed.

`Search` is one command `search` with scripted workers; `torment` kills its processes until enough were killed.
"""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cellsearch.study.storage import heartbeat
from cellsearch.study.storage.endings import RETRIES
from cellsearch.study.storage.heartbeat import Worker
from cellsearch.study.tables import records, schema
from tests.faults.witness import Witness, rows_of, there

ROOT = Path(__file__).parents[2]
SEARCHING = Path(__file__).with_name("searching.py")
LAB = Path(__file__).with_name("lab.py")
Process = subprocess.Popen[bytes]
STARTED: list[Process] = []  # by the test that runs now: a test that fails leaves none of them behind


@dataclass
class Search:
    """The search s in a folder, and the orders of its commands."""

    folder: Path
    orders: dict[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    before: Sequence[str] = ()  # words in front of the command, such as setpriv

    @property
    def url(self) -> str:
        return str(self.orders.get("storage") or f"sqlite:///{self.folder / 's' / 'study.db'}")

    @property
    def python(self) -> list[str]:
        return [sys.executable]

    @property
    def variables(self) -> dict[str, str]:
        """The environment of its processes."""
        own = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
        return os.environ | own | dict(self.environment)

    def start(self, **changes: Any) -> Process:
        """Starts the command, in a process group of its own."""
        orders = json.dumps({"folder": str(self.folder)} | self.orders | changes)
        return begun([*self.before, *self.python, str(SEARCHING), orders], self.variables)

    def run(self, **changes: Any) -> tuple[int, str]:
        """The whole command: its exit code and what it said."""
        return end(self.start(**changes))

    def join(self, environment: Mapping[str, str] | None = None, **wrong: Any) -> Process:
        """A worker that joins by itself."""
        orders = json.dumps({"join": self.url, "results": str(self.folder)} | wrong)
        return begun([*self.python, str(LAB), orders], self.variables | dict(environment or {}))

    def workers(self) -> list[Worker]:
        """The living workers of this machine."""
        store = records.find(self.url, "s") if there(self.url) else None
        if store is None:
            return []
        try:
            return [w for w in heartbeat.listed(store) if w.kind == "worker" and heartbeat.alive(w)]
        finally:
            store.engine.dispose()

    def settings(self) -> int:
        """How many settings are recorded."""
        return sum(row["settings"] for row in self.rows(schema.stages))

    def running(self) -> int:
        """How many work items have an owner."""
        return sum(bool(row["owner"]) for row in self.rows(schema.items))

    def rows(self, table: Any) -> list[dict[str, Any]]:
        """The rows of a table; none where the study is not made yet."""
        return rows_of(self.url, table) if there(self.url) else []


def begun(words: Sequence[str], variables: Mapping[str, str], folder: Path | None = None) -> Process:
    """A process in a group of its own, of which what it says on stderr is kept."""
    process = subprocess.Popen(
        words, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env=variables, start_new_session=True,
    )  # fmt: skip
    STARTED.append(process)
    return process


def clear() -> None:
    """Ends what a test has left running."""
    while STARTED:
        process = STARTED.pop()
        if process.poll() is None:  # else its workers end by themselves
            os.killpg(process.pid, signal.SIGKILL)
        if process.stderr is not None and not process.stderr.closed:
            process.communicate()


def end(process: Process, timeout: float = 120) -> tuple[int, str]:
    """The exit code of a command and what it said. It is killed where it takes longer, and that is an error."""
    try:
        _, said = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return process.returncode, said.decode()


def until(condition: Callable[[], bool], process: Process | None = None, seconds: float = 180) -> None:
    """Waits for something, and fails where it does not come or `process` ends before."""
    limit = time.monotonic() + seconds
    while not condition():
        assert process is None or process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < limit, "it did not happen in time"
        time.sleep(0.02)


def gone(workers: Sequence[Worker]) -> bool:
    return not any(heartbeat.alive(worker) for worker in workers)


def free(url: str) -> bool:
    """Whether nobody writes to the SQLite database at `url`."""
    file = url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(file, isolation_level=None, timeout=0.1)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        return True


def stop(pid: int, url: str) -> None:
    """Stops a process of the search at `url` outside of its transactions: a lock that it kept would stop
    everybody, and `test_a_worker_that_is_stopped_within_a_transaction_is_ended` is about that."""
    while True:
        os.kill(pid, signal.SIGSTOP)
        if free(url):
            return
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.01)


def torment(
    search: Search,
    witness: Witness,
    kills: int,
    seed: int,
    most: int = 12,
    longest: float = 0.05,
    say: Callable[[dict[str, Any]], None] = lambda line: None,
) -> int:
    """Starts `search` and kills its processes -9, `kills` of them: one worker, all workers, the coordinator, or
    everything, at random moments of its work and now and then of its start. Returns how often a trial was at work.
    From one kill to the next up to `most` settings are recorded, and up to `longest` seconds more; `say` gets a line
    for each of them.

    No trial is killed so often that it would rightly fail: a worker is spared on its last attempt.
    """
    chance = random.Random(seed)
    process: Process | None = None
    done = hit = 0
    while done < kills:
        if process is None:
            process = search.start()
        if chance.random() < 0.2:
            time.sleep(chance.uniform(0.0, 1.0))
        else:
            wanted = search.settings() + chance.randint(1, most)  # a stage has one or four
            until(lambda: search.settings() >= wanted, process)  # noqa: B023
            time.sleep(chance.uniform(0.0, longest))
        witness.look()
        assert process.poll() is None, "it is done before it was killed often enough: give it more trials"
        victim = chance.choice(("worker", "workers", "coordinator", "everything"))
        living = search.workers()
        busy = search.running() > 0
        hit += busy
        before = done
        if victim in ("worker", "workers"):
            spared = _on_their_last_try(search)
            chosen = [w for w in living if w.id not in spared][: 1 if victim == "worker" else None]
            for worker in chosen:
                _kill(worker.pid)
            done += len(chosen)
            until(lambda: gone(chosen))  # noqa: B023
        else:
            if victim == "everything":
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
            process.communicate()
            process = None
            done += 1 + (len(living) if victim == "everything" else 0)
        say({"victim": victim, "killed": done - before, "at work": busy, "settings": witness.acknowledged})
        witness.look()
    if process is not None:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    return hit


def _on_their_last_try(search: Search) -> set[str]:
    return {row["owner"] for row in search.rows(schema.items) if row["attempts"] >= RETRIES}


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
