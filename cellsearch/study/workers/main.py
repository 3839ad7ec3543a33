"""The worker process: reads the configuration, returns an exit code. `search` and agents start it as
`python -m cellsearch.study.workers.main`.

It reads its configuration as one line of JSON from standard input and exits with it: end of file means that
the parent process exited.
"""

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from cellsearch.errors import CellsearchError, RunError, safe
from cellsearch.study.space import Space, parse_space
from cellsearch.study.storage import heartbeat
from cellsearch.study.storage.heartbeat import Heart
from cellsearch.study.strategies import Propose
from cellsearch.study.system import parent
from cellsearch.study.system.exit_codes import ExitCode
from cellsearch.study.system.timing import TIMING, Timing
from cellsearch.study.tables import records, study_facts
from cellsearch.study.tables.database import Unavailable
from cellsearch.study.tables.outbox import outbox
from cellsearch.study.tables.transactions import Store
from cellsearch.study.workers.cohorts import sizes
from cellsearch.study.workers.evaluator import Evaluator, TorchEvaluator, in_turns, real_propose
from cellsearch.study.workers.pool import WorkerConfig
from cellsearch.study.workers.retry import patiently
from cellsearch.study.workers.worker import CRASHES, work
from cellsearch.train.resources import devices
from cellsearch.train.resources.devices import Gone

T = TypeVar("T")
MakeEvaluator = Callable[[Space, int, WorkerConfig], Evaluator]  # the space, the seed of the study
MakePropose = Callable[[Space], Propose]


def torch_evaluator(space: Space, seed: int, config: WorkerConfig) -> Evaluator:
    """Data and training on this machine."""
    devices.check(config.device)  # checked before a trial is taken
    return TorchEvaluator(space, seed, Path(config.data) if config.data else None, config.device)


def cohort(store: Store, space: Space, evaluator: Evaluator, device: str) -> int:
    """The cohort size of a worker."""
    known = evaluator.vocabularies() if device != "cpu" and isinstance(evaluator, TorchEvaluator) else {}
    return sizes.chosen(store, space, device, in_turns(evaluator).place().room, known)


def serve(
    make_evaluator: MakeEvaluator = torch_evaluator,
    make_propose: MakePropose = real_propose,
    timing: Timing = TIMING,
) -> int:
    """A worker process. Returns the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the supervisor decides
    line = parent.configuration()
    if line is None:
        os._exit(ExitCode.CRASHED)
    # no process reads the code; the trial is adopted as that of a dead process
    parent.at_exit(lambda: os._exit(ExitCode.CRASHED))
    try:
        config = WorkerConfig(**json.loads(line))
        _work(config, make_evaluator, make_propose, timing)
    except CellsearchError as error:
        code = ExitCode.FATAL
        try:
            print(safe(str(error)), file=sys.stderr, flush=True)
        except OSError:  # the log is on a full disk: only the exit code can report it
            code = ExitCode.UNLOGGED
        if isinstance(error, Unavailable):
            return ExitCode.AWAY
        return ExitCode.DEVICE_GONE if isinstance(error, Gone) else code
    except Exception:
        with suppress(OSError):
            print(safe(traceback.format_exc()), file=sys.stderr, flush=True)
        return ExitCode.CRASHED
    return 0


def _work(
    config: WorkerConfig, make_evaluator: MakeEvaluator, make_propose: MakePropose, timing: Timing
) -> None:
    def keep_trying(call: Callable[[], T]) -> T:
        return patiently(call, timing)

    store = keep_trying(lambda: records.open_study(config.storage, config.name, timing=timing))
    known = keep_trying(lambda: records.facts(store))
    if known.numerics != study_facts.NUMERICS:
        raise RunError(
            f"the study {known.name!r} was created by a cellsearch with different results (numerics "
            f"{known.numerics}, this one has {study_facts.NUMERICS})\n"
            f"install cellsearch {known.program} on this machine"
        )
    space = parse_space(known.space, f"{known.name}/space.yaml")
    failures = space.strategy.failures
    me = heartbeat.myself("worker", config.parent)
    keep_trying(lambda: heartbeat.recover(store, me.id, failures))
    keep_trying(lambda: heartbeat.register(store, me))
    with Heart(store, me, failures) as heart:
        try:
            evaluator = make_evaluator(space, known.seed, config)
            # after an error on an accelerator this process cannot trust its later results there
            crashes = CRASHES if config.device == "cpu" else 1
            files = outbox(Path(config.outbox), known) if config.outbox else None
            size = keep_trying(lambda: cohort(store, space, evaluator, config.device))
            work(store, space, evaluator, make_propose(space), heart, crashes, files, cohort=size)
        finally:  # releases the trial at once; otherwise it is released when this process is found dead
            with suppress(Unavailable):
                heartbeat.leave(store, [me.id], me.id, failures=failures)


if __name__ == "__main__":
    sys.exit(serve())
