"""Retries while a database is unavailable: unwritten data is kept and written again."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from cellsearch.study.system.timing import TIMING, Timing
from cellsearch.study.tables.database import Unavailable

T = TypeVar("T")


def patiently(call: Callable[[], T], timing: Timing = TIMING) -> T:
    """`call()`, retried for at most `timing.patience` seconds while the database is unavailable; its data is
    already complete."""
    end = time.monotonic() + timing.patience
    pause = 0.5
    while True:
        try:
            return call()
        except Unavailable:
            if time.monotonic() > end:
                raise
        time.sleep(pause * random.uniform(0.5, 1.5))  # jitter, so that workers do not retry at the same time
        pause = min(2 * pause, 15.0)
