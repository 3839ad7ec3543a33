"""A worker process with the scripted laboratory, for tests of real processes. It reads its orders like a
real one.

`python runner.py [SECONDS] [slow|crash|data]`: how long a stage takes, and what goes wrong.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from cellsearch.dsl.graph import Cell
from cellsearch.errors import DataError
from cellsearch.search.serve import serve
from cellsearch.search.worker import Say
from cellsearch.train.outcome import Outcome
from tests.search.scripted import Scripted, one_of

SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 0.0
WRONG = sys.argv[2] if len(sys.argv) > 2 else ""
MUTANTS = 40


@dataclass
class Slow(Scripted):
    """Takes its time, and tells each run in a file, one line each: what the records are compared with."""

    log: Callable[[str], None] = print

    def evaluate(
        self, cell: Cell, task: str, settings: Sequence[int], seed: int, say: Say
    ) -> Sequence[Outcome]:
        if WRONG == "crash" and task == "filter":
            os.abort()
        if WRONG == "data":
            raise DataError("the data is gone\nbring it back")
        say("epoch 1 of 1")
        time.sleep(SECONDS)
        return super().evaluate(cell, task, settings, seed, say)


if __name__ == "__main__":
    sys.exit(serve(lambda space, seed, orders: Slow(), lambda space: one_of(MUTANTS)))
