"""The worker processes of one supervisor: start with configuration on standard input, watch, end.

A worker exits with its parent process: see `system.parent`.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from cellsearch.errors import RunError, printable
from cellsearch.files import NotRegularError, open_own, open_regular
from cellsearch.study.storage import heartbeat
from cellsearch.study.storage.heartbeat import Worker
from cellsearch.study.system import parent, processes
from cellsearch.study.system.timing import TIMING, Timing

WORKER = (sys.executable, "-m", "cellsearch.study.workers.main")
SINGLE = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS", "NUMEXPR")}
POLL_SECONDS = 0.02
MOST_WORKERS = 8  # default maximum on the CPU: each uses a few hundred megabytes
MOST_PER_CORE = 4
STRIKES = 3  # unresponsive workers in a row after which a device is given up


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """The configuration of a worker."""

    name: str
    storage: str
    device: str
    data: str | None
    outbox: str = ""  # folder for stages trained during a database outage
    parent: str = ""  # id of the search that started it


@dataclass(frozen=True, slots=True)
class Child:
    """A running worker process."""

    place: int  # 1, 2, … up to the number of workers; each has its device
    process: "subprocess.Popen[bytes]"
    worker: Worker
    log: Path
    start: int  # start of its part of the log
    since: float  # start time on the monotonic clock


@dataclass(frozen=True, slots=True)
class Exit:
    """A worker process that has exited."""

    worker: str  # id
    code: int  # exit code; negative: number of a signal
    said: str  # the end of its log
    place: int
    device: str


class Pool:
    """Up to `size` worker processes, one per entry of `devices`, which may have duplicates. Their logs have
    the name `log` and a number."""

    def __init__(
        self,
        devices: Sequence[str],
        config: WorkerConfig,
        command: Sequence[str],
        logs: Path,
        log: str = "worker",
        timing: Timing = TIMING,
    ) -> None:
        self.devices, self.config, self.command = tuple(devices), config, tuple(command)
        self.logs, self.log, self.timing = logs, log, timing
        self.children: list[Child] = []
        self.strikes: dict[int, int] = {}  # place -> workers in a row with an unresponsive device

    @property
    def places(self) -> list[int]:
        """The places with a usable device."""
        return [k for k in range(1, len(self.devices) + 1) if self.strikes.get(k, 0) < STRIKES]

    @property
    def size(self) -> int:
        return len(self.places)

    def strike(self, place: int) -> int:
        """Counts a worker of `place` with an unresponsive device; returns the number in a row."""
        self.strikes[place] = self.strikes.get(place, 0) + 1
        return self.strikes[place]

    def fill(self, wanted: int) -> int:
        """Starts workers until `wanted`, at most `size`, are running; returns the number started."""
        taken = {child.place for child in self.children}
        places = [place for place in self.places if place not in taken]
        chosen = places[: max(0, min(wanted, self.size) - len(self.children))]
        for place in chosen:
            self.children.append(self._start(place))
        return len(chosen)

    def _start(self, place: int) -> Child:
        log = self.logs / f"{self.log}-{place}.log"
        line = json.dumps(asdict(replace(self.config, device=self.devices[place - 1])))
        try:
            with os.fdopen(open_own(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "ab") as file:
                start = file.tell()
                process = subprocess.Popen(
                    self.command, stdin=subprocess.PIPE, stdout=file, stderr=file, env=os.environ | SINGLE
                )
        except OSError as error:
            raise RunError(
                f"cannot start a worker (its log is {printable(str(log))}): {error.strerror}\n"
                "free some space, or change the permissions, then run the same command again"
            ) from error
        worker = heartbeat.identity("worker", process.pid, self.config.parent)
        parent.configure(process, line)
        return Child(place, process, worker, log, start, time.monotonic())

    def end_mute(self, known: Collection[str]) -> None:
        """Ends workers that are not in `known` long after their start."""
        for child in self.children:
            if child.worker.id not in known and time.monotonic() - child.since > self.timing.mute:
                child.process.kill()

    def end_silent(self, silent: Collection[str]) -> None:
        """Ends these workers: a process without a heartbeat hangs."""
        for child in self.children:
            if child.worker.id in silent:
                child.process.kill()

    def end_stopped(self) -> int:
        """Ends stopped workers (SIGSTOP, a debugger), and returns their number: one may hold a lock that all
        others wait for."""
        stopped = [child for child in self.children if processes.stopped(child.process.pid)]
        for child in stopped:
            child.process.kill()
        return len(stopped)

    def reap(self) -> list[Exit]:
        """The workers that exited since the last poll."""
        gone = [child for child in self.children if child.process.poll() is not None]
        self.children = [child for child in self.children if child not in gone]
        return [self._exit(child) for child in gone]

    def end(self, at_once: Callable[[], bool] = lambda: False) -> list[str]:
        """Ends all workers in bounded time, or immediately with `at_once`; returns their ids. Unrecorded work
        is lost and repeated."""
        for child in self.children:
            child.process.terminate()
        limit = time.monotonic() + self.timing.grace
        while any(child.process.poll() is None for child in self.children):
            if at_once() or time.monotonic() > limit:
                break
            time.sleep(POLL_SECONDS)
        for child in self.children:
            child.process.kill()
        limit = time.monotonic() + self.timing.grace
        for child in self.children:
            with suppress(subprocess.TimeoutExpired):  # stuck in the kernel
                child.process.wait(max(0.0, limit - time.monotonic()))
        ids = [self._exit(child).worker for child in self.children]
        self.children = []
        return ids

    def _exit(self, child: Child) -> Exit:
        if child.process.stdin is not None:
            with suppress(BrokenPipeError):
                child.process.stdin.close()
        said = ""
        # the log may be deleted or replaced
        with suppress(OSError, NotRegularError), open_regular(child.log) as file:
            file.seek(child.start)
            said = file.read()[-4_000:].decode("utf-8", "replace").strip()
        code = child.process.returncode
        ended = -signal.SIGKILL if code is None else code
        return Exit(child.worker.id, ended, said, child.place, self.devices[child.place - 1])


def most_workers() -> int:
    """The maximum number of workers on the CPU: more of them use memory without speed-up."""
    return max(MOST_WORKERS, MOST_PER_CORE * processes.cores())


def places(devices: Sequence[str], workers: int | None) -> tuple[str, ...]:
    """The device of each worker: `workers` per device, on the CPU at most `most_workers`; None: as many as
    fit."""
    cores = min(MOST_WORKERS, processes.cores())
    most = {}
    for device in devices:
        if device == "cpu":
            most[device] = min(workers or cores, most_workers())
        else:
            most[device] = workers or 1
    rounds = range(max(most.values()))
    return tuple(device for k in rounds for device in devices if k < most[device])
