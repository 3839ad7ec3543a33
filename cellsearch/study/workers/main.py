"""The process around a worker: orders in, exit code out. `search` and agents start it as
`python -m cellsearch.study.workers.main`.

It reads its orders as one line of JSON from standard input and ends with it: its end means that whoever
started it is gone.
"""

import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cellsearch.errors import CellsearchError, RunError
from cellsearch.study.space import Space, parse_space
from cellsearch.study.storage import heartbeat
from cellsearch.study.storage.heartbeat import Heart
from cellsearch.study.strategies import Propose
from cellsearch.study.tables import records
from cellsearch.study.tables.database import Unavailable
from cellsearch.study.tables.outbox import spool
from cellsearch.study.workers.evaluator import Lab, RealLab, real_propose
from cellsearch.study.workers.pool import AWAY, FATAL, GONE, UNTOLD, Orders
from cellsearch.study.workers.retry import patiently
from cellsearch.study.workers.worker import CRASHES, work
from cellsearch.train.resources import devices
from cellsearch.train.resources.devices import Gone

MakeLab = Callable[[Space, int, Orders], Lab]  # the space, the seed of the study
MakePropose = Callable[[Space], Propose]
CRASHED = 3  # exit code


def real_lab(space: Space, seed: int, orders: Orders) -> Lab:
    """Data and training on this machine."""
    devices.check(orders.device)  # before a trial is taken
    return RealLab(space, seed, Path(orders.data) if orders.data else None, orders.device)


def serve(make_lab: MakeLab = real_lab, make_propose: MakePropose = real_propose) -> int:
    """A worker process. Returns the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the coordinator decides
    line = _first_line()
    threading.Thread(target=_end_with_input, name="parent", daemon=True).start()
    try:
        orders = Orders(**json.loads(line))
        _work(orders, make_lab, make_propose)
    except CellsearchError as error:
        told = FATAL
        try:
            print(error, file=sys.stderr, flush=True)
        except OSError:  # the log is on a full disk: the exit code is all there is to say it with
            told = UNTOLD
        if isinstance(error, Unavailable):
            return AWAY
        return GONE if isinstance(error, Gone) else told
    except Exception:
        with suppress(OSError):
            traceback.print_exc()
        return CRASHED
    return 0


def _work(orders: Orders, make_lab: MakeLab, make_propose: MakePropose) -> None:
    store = patiently(lambda: records.open_study(orders.storage, orders.name))
    known = patiently(lambda: records.facts(store))
    if known.numerics != records.NUMERICS:
        raise RunError(
            f"the study {known.name!r} was made by a cellsearch whose results differ "
            f"(numerics {known.numerics}, this one has {records.NUMERICS})\n"
            f"install cellsearch {known.program} on this machine"
        )
    space = parse_space(known.space, f"{known.name}/space.yaml")
    failures = space.strategy.failures
    me = heartbeat.myself("worker", orders.parent)
    patiently(lambda: heartbeat.recover(store, me.id, failures))
    patiently(lambda: heartbeat.register(store, me))
    with Heart(store, me, failures) as heart:
        try:
            lab = make_lab(space, known.seed, orders)
            # after an error on an accelerator nothing that this process runs there can be trusted
            crashes = CRASHES if orders.device == "cpu" else 1
            files = spool(Path(orders.spool), known) if orders.spool else None
            work(store, space, lab, make_propose(space), heart, crashes, files)
        finally:  # the trial is free at once, or else once this process is found dead
            with suppress(Unavailable):
                heartbeat.leave(store, [me.id], me.id, failures=failures)


def _first_line() -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        read = os.read(0, 65_536)
        if not read:
            os._exit(CRASHED)  # the coordinator went before it gave orders
        line += read
    return line


def _end_with_input() -> None:
    while os.read(0, 4_096):
        pass
    os._exit(CRASHED)  # nobody waits for the code; the trial is adopted as that of a dead process


if __name__ == "__main__":
    sys.exit(serve())
