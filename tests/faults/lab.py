"""A worker process with a scripted laboratory that misbehaves as it is told to.

`python lab.py WRONG`, with WRONG as JSON; see `Wrong`. It reads its orders like a real worker; with `join` it is
the command `worker` instead, whose workers are such ones.
"""

import hashlib
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

sys.path.insert(0, str(Path(__file__).parents[2]))

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.errors import CellsearchError
from cellsearch.study.space import Space
from cellsearch.study.strategies import Propose
from cellsearch.study.system.timing import TIMING, Timing
from cellsearch.study.workers import agent
from cellsearch.study.workers import main as worker_main
from cellsearch.study.workers.agent import AgentConfig
from cellsearch.study.workers.evaluator import Say
from cellsearch.study.workers.pool import WorkerConfig
from cellsearch.train.outcome import Outcome
from tests.study.scripted import DIGESTS, SEEDS, Scripted, one_of, uniform

MUTANTS = 40


@dataclass(frozen=True)
class Wrong:
    """What a worker of a test does, and how patient everybody is."""

    seconds: float = 0.0  # a stage takes as long, give or take a half
    mutants: int = MUTANTS
    join: str = ""  # a storage URL
    results: str = ""  # where a command `worker` has its logs and its outbox
    data: str = ""  # a file whose bytes are the data of xml
    memory: int = 0  # megabytes that one cell in five wants, under a limit of `limit`
    limit: int = 0
    fail: bool = False  # no mutant can be trained, on any task but the filter
    log: str = ""  # a file with a line for every stage that is trained
    stop: str = (
        ""  # a file: the first to remove it stops itself, as SIGSTOP does, within the record of a stage
    )
    beat: float = TIMING.beat
    silent: int = TIMING.silent
    busy: float = TIMING.busy
    patience: float = TIMING.patience
    grace: float = TIMING.grace

    @property
    def timing(self) -> Timing:
        return replace(
            TIMING,
            beat=self.beat,
            silent=self.silent,
            busy=self.busy,
            patience=self.patience,
            grace=self.grace,
        )


def read(words: Sequence[str]) -> Wrong:
    """What a command line says."""
    wrong = Wrong(**json.loads(words[1])) if len(words) > 1 else Wrong()
    if wrong.stop:
        event.listen(Engine, "after_cursor_execute", partial(_stop, Path(wrong.stop)))
    return wrong


def _stop(file: Path, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
    if statement.startswith("INSERT INTO cellsearch_stage ") and file.exists():
        file.unlink()
        os.kill(os.getpid(), signal.SIGSTOP)


class Misbehaving(Scripted):
    """Takes its time, wants memory, diverges."""

    def __init__(self, wrong: Wrong) -> None:
        super().__init__()
        self.wrong = wrong
        if wrong.data:
            self.data = digests(wrong.data)

    def evaluate(self, cell: Cell, task: str, settings: Sequence[str], seed: int, say: Say) -> list[Outcome]:
        say("epoch 1 of 1")
        if self.wrong.log:
            with Path(self.wrong.log).open("a") as file:
                file.write(f"{fingerprint(cell)} {task} {sorted(settings)}\n")
        time.sleep(self.wrong.seconds * (0.5 + uniform("time", str(cell), task, *settings)))
        if self.wrong.memory and task == "filter" and uniform("memory", cell.nodes) < 0.2:
            bytearray(self.wrong.memory << 20)
        if self.wrong.fail and fingerprint(cell) not in SEEDS.values() and task != "filter":
            return [Outcome(key, "failed", None, None, 0, 8, 100, "out of memory") for key in settings]
        return super().evaluate(cell, task, settings, seed, say)


def digests(file: str) -> Mapping[str, str]:
    """Those of the stages, one of them as a file is now."""
    return DIGESTS | {"xml": hashlib.sha256(Path(file).read_bytes()).hexdigest()}


def main(words: Sequence[str]) -> int:
    wrong = read(words)
    if wrong.limit:
        resource.setrlimit(resource.RLIMIT_AS, (wrong.limit << 20, wrong.limit << 20))

    def lab(space: Space, seed: int, orders: WorkerConfig) -> Scripted:
        return Misbehaving(wrong)

    def propose(space: Space) -> Propose:
        return one_of(wrong.mutants)

    if wrong.join:
        command = (sys.executable, __file__, json.dumps(json.loads(words[1]) | {"join": ""}))
        try:
            return agent.join(AgentConfig("s", wrong.join, wrong.results), tell, command, wrong.timing)
        except CellsearchError as error:
            tell(str(error))
            return error.exit_code
    return worker_main.serve(lab, propose, wrong.timing)


def tell(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
