"""Ctrl-C while modules are imported: the process ends at once, with the exit code of an interrupt.

An import that is interrupted leaves a traceback, or becomes another error where a library swallows the
interrupt. Nothing is held by then, so nothing has to be cleaned up.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

INTERRUPTED = 130


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
