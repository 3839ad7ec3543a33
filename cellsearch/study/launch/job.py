"""The process around an agent, on whatever machine a launcher has placed it: it passes the configuration on,
waits, and ends the agent in order.

The configuration goes to its standard input: a storage URL may hold a password, and others see command lines.
The agent exits with that pipe too, so it never outlives its parent.
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
GRACE_SECONDS = 25.0  # for an agent to give back what its workers have begun; Slurm waits for 30


def started(orders: str, command: Sequence[str] = ()) -> "subprocess.Popen[bytes]":
    """An agent that has its configuration, one line of JSON. `command` is for tests: another one."""
    process = subprocess.Popen(command or AGENT, stdin=subprocess.PIPE)
    parent.configure(process, orders)
    return process


def waited(process: "subprocess.Popen[bytes]", look: Callable[[], None] = lambda: None) -> int:
    """The exit code of an agent, 128 + the number of the signal where one ended it. `look` is called again
    and again meanwhile."""
    while (code := process.poll()) is None:
        look()
        time.sleep(POLL_SECONDS)
    return 128 - code if code < 0 else code


def ended(pid: int) -> None:
    """Tells an agent to end and waits until it has; bounded. Safe within the handler of a signal that has
    interrupted `waited`: nothing of Popen is used, whose lock may be held."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    limit = time.monotonic() + GRACE_SECONDS
    with suppress(ChildProcessError):  # it was waited for already
        while os.waitpid(pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > limit:
                os.kill(pid, signal.SIGKILL)
            time.sleep(POLL_SECONDS)
