"""Starts workers by fork, for tests that kill hundreds of them: a fork takes milliseconds, an import of torch seconds.

`python nursery.py`; a line of JSON on standard input is a command, the answer is a line of JSON. `start` with the
orders forks a worker with the laboratory of `lab` and returns its process id; `ended` returns the processes that have
ended with their status, and with `wait` it waits for these. Nothing here opens the database: a connection does not
survive a fork. Workers end with this process.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from cellsearch.errors import CellsearchError
from cellsearch.study.space import Space
from cellsearch.study.storage import driver, sampler  # loaded once, not in each worker
from cellsearch.study.strategies import Propose
from cellsearch.study.workers import main as worker_main
from cellsearch.study.workers.pool import WorkerConfig
from tests.faults import lab
from tests.study.scripted import Scripted, one_of

LOADED = (driver, sampler)
END_WITH_PARENT = 1  # of prctl


class Nursery:
    """A process of this file, as the one who gives the commands sees it."""

    def __init__(self, url: str, log: Path, **wrong: Any) -> None:
        self.orders = {"url": url, "log": str(log), "wrong": wrong}
        self.process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self) -> int:
        """A new worker, by its process id."""
        return int(self._ask(self.orders))

    def ended(self, *wait: int) -> dict[int, int]:
        """The processes that have ended since the last call, those of `wait` among them: id -> status."""
        return {int(pid): int(status) for pid, status in self._ask({"wait": wait})}

    def close(self) -> None:
        """Ends it, and the workers with it."""
        self.process.kill()
        self.process.communicate()

    def _ask(self, words: Any) -> Any:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def work(orders: dict[str, Any]) -> int:
    """The worker: what `serve` does, without its standard input."""
    wrong = lab.read(["", json.dumps(orders["wrong"])])

    def make_evaluator(space: Space, seed: int, orders: WorkerConfig) -> Scripted:
        return lab.Misbehaving(wrong)

    def propose(space: Space) -> Propose:
        return one_of(wrong.mutants)

    try:
        worker_main._work(
            WorkerConfig("s", orders["url"], "cpu", None), make_evaluator, propose, wrong.timing
        )
    except CellsearchError as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    return 0


def fork(orders: dict[str, Any]) -> int:
    parent = os.getpid()
    if pid := os.fork():
        return pid
    code = 3
    with suppress(BaseException):  # a worker never goes back to the loop of its parent
        ctypes.CDLL(None).prctl(END_WITH_PARENT, signal.SIGKILL)
        log = os.open(orders["log"], os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o644)
        null = os.open(os.devnull, os.O_RDWR)
        for target, source in ((0, null), (1, null), (2, log)):
            os.dup2(source, target)
        if os.getppid() == parent:
            code = traced(orders)
    os._exit(code)


def traced(orders: dict[str, Any]) -> int:
    """As `work`, with a traceback of whatever it raises."""
    try:
        return work(orders)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        raise


def ended(wait: list[int]) -> list[tuple[int, int]]:
    found = []
    for pid in wait:
        with suppress(ChildProcessError):
            found.append((pid, os.waitpid(pid, 0)[1]))
    with suppress(ChildProcessError):
        while (one := os.waitpid(-1, os.WNOHANG))[0]:
            found.append(one)
    return found


def main() -> None:
    for line in sys.stdin:
        words = json.loads(line)
        print(json.dumps(fork(words) if "url" in words else ended(words["wait"])), flush=True)


if __name__ == "__main__":
    main()
