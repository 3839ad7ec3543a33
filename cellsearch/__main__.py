"""`python -m cellsearch`, and the command `cellsearch`.

Ctrl-C during imports ends the process at once, with the exit code of an interrupt: an interrupted import
would print a traceback, or another error if a library swallows the interrupt. No resources are held at that
time, so no clean-up is needed.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

INTERRUPTED = 130


def run() -> int:
    """Runs the command of this process, and returns its exit code."""
    with ended_in_imports():
        from cellsearch.cli.main import main  # imported here, under the handler of Ctrl-C

        return main()


@contextmanager
def ended_in_imports() -> Iterator[None]:
    """A context in which Ctrl-C during an import ends the process; elsewhere it raises KeyboardInterrupt.
    Active only in the main thread, and only with the default handler of Ctrl-C."""
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
