"""Waiting for a database that does not answer: what could not be written is kept and offered again."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from cellsearch.study.system.timing import TIMING, Timing
from cellsearch.study.tables.database import Unavailable

T = TypeVar("T")


def patiently(call: Callable[[], T], timing: Timing = TIMING) -> T:
    """`call()`, retried for at most `timing.patience` seconds while the database does not answer: what it
    records is complete already."""
    end = time.monotonic() + timing.patience
    pause = 0.5
    while True:
        try:
            return call()
        except Unavailable:
            if time.monotonic() > end:
                raise
        time.sleep(pause * random.uniform(0.5, 1.5))  # so that many workers do not come back together
        pause = min(2 * pause, 15.0)
