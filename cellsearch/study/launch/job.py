"""The process around an agent, on the machine of the launcher's choice: it passes the configuration, waits,
and shuts the agent down.

The configuration goes to its standard input: a storage URL may hold a password, and other users can see
command lines. The agent exits with that pipe too, so it never outlives its parent.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from cellsearch.study.system import parent

AGENT = (sys.executable, "-m", "cellsearch.study.workers.agent")
POLL_SECONDS = 0.2
GRACE_SECONDS = 25.0  # for an agent to return the open trials of its workers; Slurm waits for 30


def started(orders: str, command: Sequence[str] = ()) -> "subprocess.Popen[bytes]":
    """Starts an agent and writes its configuration, one line of JSON. Tests pass another `command`."""
    process = subprocess.Popen(command or AGENT, stdin=subprocess.PIPE)
    parent.configure(process, orders)
    return process


def waited(process: "subprocess.Popen[bytes]", look: Callable[[], None] = lambda: None) -> int:
    """Waits for an agent and returns its exit code, 128 + number of the signal if one ended it. Polls `look`
    meanwhile."""
    while (code := process.poll()) is None:
        look()
        time.sleep(POLL_SECONDS)
    return 128 - code if code < 0 else code


def ended(pid: int) -> None:
    """Terminates an agent and waits for its exit, for a bounded time. Safe in a signal handler that
    interrupted `waited`: it does not use Popen, whose lock may be held."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    limit = time.monotonic() + GRACE_SECONDS
    with suppress(ChildProcessError):  # already reaped
        while os.waitpid(pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > limit:
                os.kill(pid, signal.SIGKILL)
            time.sleep(POLL_SECONDS)
