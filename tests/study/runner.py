"""A worker process with the scripted laboratory, for tests of real processes. It reads its orders like a
real one.

`python runner.py [SECONDS] [crash|data|hang]`: how long a stage takes, and what goes wrong.
`python runner.py SECONDS join|hang URL`: one that joins a search by itself.
"""

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.errors import DataError
from cellsearch.study.space import Space
from cellsearch.study.strategies import Propose
from cellsearch.study.system.timing import TIMING
from cellsearch.study.workers.agent import AgentConfig, join
from cellsearch.study.workers.evaluator import Say
from cellsearch.study.workers.main import serve
from cellsearch.study.workers.pool import WorkerConfig
from cellsearch.train.outcome import Outcome
from tests.study.scripted import SEEDS, Scripted, one_of

SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 0.0
WRONG = sys.argv[2] if len(sys.argv) > 2 else ""
MUTANTS = 40


class Slow(Scripted):
    """Takes its time."""

    def evaluate(
        self, cell: Cell, task: str, settings: Sequence[str], seed: int, say: Say
    ) -> Sequence[Outcome]:
        mutant = fingerprint(cell) not in SEEDS.values()
        if WRONG == "crash" and task == "filter" and mutant:
            os.abort()
        if WRONG == "data":
            raise DataError("the data is gone\nbring it back")
        if WRONG == "hang" and task == "filter" and mutant:
            time.sleep(600)
        say("epoch 1 of 1")
        time.sleep(SECONDS)
        return super().evaluate(cell, task, settings, seed, say)


def lab(space: Space, seed: int, orders: WorkerConfig) -> Scripted:
    return Slow()


def propose(space: Space) -> Propose:
    return one_of(MUTANTS)


if __name__ == "__main__":
    timing = replace(TIMING, overdue=0.5)
    if len(sys.argv) > 3:
        folder = tempfile.mkdtemp(dir=Path(sys.argv[3].partition("///")[2]).parent)
        command = (sys.executable, __file__, *sys.argv[1:3])
        sys.exit(
            join(
                AgentConfig("s", sys.argv[3], folder),
                lambda said: print(said, file=sys.stderr),
                command,
                timing,
            )
        )
    sys.exit(serve(lab, propose, timing))
