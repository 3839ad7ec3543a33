"""Compile kernels of a cell ahead of use, in separate processes.

A new cell takes up to seconds of compiling, in the thread that feeds the device. `Compilers` starts when the
cell is proposed and writes to the caches on disk (of Triton or of C libraries), which the training thread
reads. It is optional: if a compilation fails or is late, the training thread compiles the kernels itself.

A process reads requests from its standard input, one line of JSON each, and answers each with a line. It ends
at the end of its input, so it does not outlive its parent process, and it never uses the device.
"""

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass

import torch

from cellsearch.compiler.engines.native import loop as native
from cellsearch.compiler.engines.native import toolchain
from cellsearch.compiler.engines.triton.toolchain import available
from cellsearch.compiler.plan.schedule import plan
from cellsearch.compiler.run.layout import layout
from cellsearch.compiler.run.stack import reads_below
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.text import parse, show

MOST = 8  # processes: a compilation takes a core and about 300 MB
WAITING = 256  # maximum of queued requests; more are dropped
STARTS = 20  # starts of a process before it is given up
NICENESS = 5  # the thread that feeds the device goes first


@dataclass(frozen=True, slots=True)
class Request:
    """A request: a cell by its text, for stacks of these widths."""

    cell: str
    widths: tuple[int, ...]  # H, also the width of the input
    layers: int  # of the highest stack
    dtype: str
    capability: int  # of the CUDA device, 90 for 9.0; 0: for the CPU

    @property
    def line(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self)) + "\n"


def compile_request(request: Request) -> int:
    """Compiles the kernels of a request; returns the number of kernels or libraries."""
    cell, found = parse(request.cell), 0
    schedule = plan(cell)
    for above in read_above(cell, request.layers):
        if request.capability:
            from cellsearch.compiler.engines.triton import ahead  # here: Triton is optional

            with ahead.compiling_for(request.capability):
                found += len(ahead.stages(schedule, above, request.dtype, request.widths))
        else:
            native.code(layout(schedule, request.widths[0], request.widths[0]), above, request.dtype)
            found += 1
    return found


def read_above(cell: Cell, layers: int) -> list[frozenset[int]]:
    """The possible sets of states read by the layer above, in stacks of one cell with up to `layers`
    layers."""
    names = [state.name for state in cell.states]
    read = frozenset(names.index(name) for name in reads_below(cell) if name in names)
    return [frozenset(), *([read] if read and layers > 1 else [])]


class Compilers:
    """Processes that compile for one device. They start with the first request, and `close` ends them."""

    def __init__(self, device: str, processes: int | None = None) -> None:
        """By default one process per core except the training core, at most `MOST`; none on a machine with
        one core."""
        of = torch.device(device)
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.processes = min(MOST, cores - 1) if processes is None else processes
        self.capability = 0
        if of.type == "cuda":
            major, minor = torch.cuda.get_device_capability(of)
            self.capability = 10 * major + minor
        able = available("cuda") if self.capability else toolchain.compiler() is not None
        self.processes = self.processes if able else 0
        self._requests: queue.Queue[Request | None] = queue.Queue(WAITING)
        self._threads: list[threading.Thread] = []
        self._running: set[subprocess.Popen[str]] = set()
        self._closed = False

    def prepare(
        self, cells: Iterable[Cell], widths: Iterable[int], layers: int = 1, dtype: str = "float32"
    ) -> None:
        """Ask for the kernels of cells in stacks of up to `layers` layers of the hidden widths. Returns at
        once, and raises no errors of the processes."""
        if self._closed or not self.processes:
            return
        for cell in cells:
            request = Request(show(cell), tuple(sorted(set(widths))), layers, dtype, self.capability)
            with suppress(queue.Full):
                self._requests.put_nowait(request)
            if len(self._threads) < self.processes:
                self._threads.append(threading.Thread(target=self._feed, daemon=True))
                self._threads[-1].start()

    def wait(self) -> None:
        """Waits until all requests are compiled or have failed."""
        self._requests.join()

    def close(self) -> None:
        """Ends the processes; running and queued requests are lost."""
        self._closed = True
        with suppress(queue.Empty):
            while True:
                self._requests.get_nowait()
                self._requests.task_done()
        for _ in self._threads:
            self._requests.put_nowait(None)
        for process in list(self._running):
            process.kill()
        for thread in self._threads:
            thread.join(timeout=5.0)

    def _feed(self) -> None:
        """Sends requests to one process, which is restarted if it dies."""
        process: subprocess.Popen[str] | None = None
        starts = 0
        while (request := self._requests.get()) is not None:
            if process is None and starts < STARTS and not self._closed:
                starts += 1
                with suppress(OSError):
                    process = _started()
                    self._running.add(process)
            if process is not None and not _answered(process, request):
                self._end(process)
                process = None
            self._requests.task_done()
        if process is not None:
            self._end(process)
        self._requests.task_done()

    def _end(self, process: "subprocess.Popen[str]") -> None:
        self._running.discard(process)
        process.kill()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()
        process.wait()


def _started() -> "subprocess.Popen[str]":
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    pipe, command = subprocess.PIPE, [sys.executable, "-m", "cellsearch.compiler.ahead"]
    return subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env=environment
    )


def _answered(process: "subprocess.Popen[str]", request: Request) -> bool:
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(request.line)
        process.stdin.flush()
    except OSError:
        return False
    return bool(process.stdout.readline())


def main() -> None:
    """Compiles requests from standard input until end of file."""
    with suppress(OSError):
        os.nice(NICENESS)
    torch.set_num_threads(1)
    for line in sys.stdin:
        try:
            asked = json.loads(line)
            asked["widths"] = tuple(asked["widths"])
            answer = f"{compile_request(Request(**asked))}"
        except Exception as error:  # any error: the training thread meets and reports it again
            answer = f"{type(error).__name__}"
        print(answer, flush=True)


if __name__ == "__main__":
    main()
