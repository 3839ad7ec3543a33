"""Waiting for a database that does not answer: what could not be written is kept and offered again."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from cellsearch.study.tables.database import Unavailable

PATIENCE_SECONDS = 300.0  # how long a result is kept and offered again

T = TypeVar("T")


def patiently(call: Callable[[], T]) -> T:
    """`call()`, again and again while the database does not answer: what it records is complete already."""
    end = time.monotonic() + PATIENCE_SECONDS
    pause = 0.5
    while True:
        try:
            return call()
        except Unavailable:
            if time.monotonic() > end:
                raise
        time.sleep(pause * random.uniform(0.5, 1.5))  # so that many workers do not come back together
        pause = min(2 * pause, 15.0)
