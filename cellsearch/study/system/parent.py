"""The pipe between a process and its parent: one line of configuration, then nothing. End of file means that
the parent process exited, for any reason. (The command line has no configuration: a storage URL may hold a
password, and every user of a machine can see command lines.)
"""

import os
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress


def configure(process: "subprocess.Popen[bytes]", line: str) -> None:
    """Writes the line to a child that was started with a pipe; the pipe stays open."""
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it exited at once: see its exit code
        process.stdin.write(line.encode() + b"\n")
        process.stdin.flush()


def configuration() -> bytes | None:
    """The line from the parent on standard input; None if it exited before."""
    line = b""
    while not line.endswith(b"\n"):
        if not (read := os.read(0, 65_536)):
            return None
        line += read
    return line


def at_exit(call: Callable[[], None]) -> None:
    """Calls `call` in a separate thread when the parent process exits."""

    def wait() -> None:
        with suppress(OSError):
            while os.read(0, 4_096):
                pass
        call()

    threading.Thread(target=wait, name="parent", daemon=True).start()
