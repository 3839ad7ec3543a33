"""Run pieces of work in separate processes and yield results as they finish.

The function, the context and the pieces must be picklable. The processes exit with this one, and at once if
it is interrupted.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from cellsearch.errors import RunError

Place = TypeVar("Place")
Piece = TypeVar("Piece")
Result = TypeVar("Result")


def results(
    train: Callable[[Place, Piece], Result], place: Place, pieces: Sequence[Piece], workers: int
) -> Iterator[Result]:
    """The result of each piece; with one worker, or one piece, `train` is called in this process. Raises
    RunError if a process was killed."""
    if workers == 1 or len(pieces) < 2:
        for one in pieces:
            yield train(place, one)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(pieces)), context, _begin) as pool:
        futures = [pool.submit(train, place, one) for one in pieces]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool:
            raise RunError(
                "a worker process was killed, possibly for lack of memory\n"
                "finished work is recorded: run the same command again, or with --workers 1"
            ) from None
        finally:  # interrupted, or failed: do not wait for any process
            for future in futures:
                future.cancel()
            if not all(future.done() for future in futures):
                for child in multiprocessing.active_children():
                    child.terminate()


def _begin() -> None:
    """Runs in each process: ignores Ctrl-C, which the parent handles, and exits with the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, name="parent", daemon=True).start()
