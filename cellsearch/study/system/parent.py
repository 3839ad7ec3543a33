"""The pipe between a process and the one that started it: one line of configuration, then silence.

Its end means that the parent process exited, in whatever way. (No configuration is on a command line: a
storage URL may hold a password, and every user of a machine sees command lines.)
"""

import os
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress


def configure(process: "subprocess.Popen[bytes]", line: str) -> None:
    """Writes the line to a child that was started with a pipe; the pipe stays open."""
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it exited at once: its exit code says more
        process.stdin.write(line.encode() + b"\n")
        process.stdin.flush()


def configuration() -> bytes | None:
    """The line that the parent wrote to standard input; None where it exited before."""
    line = b""
    while not line.endswith(b"\n"):
        if not (read := os.read(0, 65_536)):
            return None
        line += read
    return line


def at_exit(call: Callable[[], None]) -> None:
    """Calls `call` in a thread of its own once the parent process exited."""

    def wait() -> None:
        with suppress(OSError):
            while os.read(0, 4_096):
                pass
        call()

    threading.Thread(target=wait, name="parent", daemon=True).start()
