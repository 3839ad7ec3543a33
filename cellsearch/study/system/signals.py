"""Termination signals: collected, and handled where the process can shut down cleanly.

SIGINT is Ctrl-C, SIGTERM comes from the system or a scheduler, SIGHUP from a closed terminal. Cluster
schedulers send SIGUSR1 or SIGUSR2 some time before they end a job.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


class Signals:
    """The received termination signals, in order."""

    def __init__(self) -> None:
        self.got: list[int] = []
        self.event = threading.Event()

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        self.got.append(number)
        self.event.set()


@contextmanager
def listening(signals: Signals | None = None) -> Iterator[Signals]:
    """Collects the signals of `ENDING` instead of terminating; works only in the main thread."""
    signals = Signals() if signals is None else signals
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    before = {number: signal.signal(number, signals) for number in ENDING}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
