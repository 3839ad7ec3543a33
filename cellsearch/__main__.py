"""`python -m cellsearch`, and the command `cellsearch`.

Ctrl-C while modules are imported ends the process at once, with the exit code of an interrupt: an import that
is interrupted leaves a traceback, or becomes another error where a library swallows the interrupt. Nothing is
held by then, so nothing has to be cleaned up.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

INTERRUPTED = 130


def run() -> int:
    """Runs the command of this process, and gives its exit code."""
    with ended_in_imports():
        from cellsearch.cli.main import main  # here: Ctrl-C is listened to while it is imported

        return main()


@contextmanager
def ended_in_imports() -> Iterator[None]:
    """Within it Ctrl-C ends an import; elsewhere it is a KeyboardInterrupt. Of the main thread, and only
    where Ctrl-C had its usual meaning."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    before = signal.signal(signal.SIGINT, _interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupted(_number: int, frame: FrameType | None) -> None:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            with suppress(OSError):
                os.write(2, b"interrupted\n")
            os._exit(INTERRUPTED)
        frame = frame.f_back
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(run())
