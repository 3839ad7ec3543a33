"""Failpoints for tests: `CELLSEARCH_FAILPOINT=name:action[:count]`, read at each point.

`action` is kill (SIGKILL to the process itself) or raise; with a count it triggers at that visit. Without the
variable a failpoint costs one read of the environment.
"""

import os
import signal

VARIABLE = "CELLSEARCH_FAILPOINT"
_reached: dict[str, int] = {}


class Failpoint(Exception):
    """Raised by the action `raise`: like any defect, not a user-facing error."""


def failpoint(name: str) -> None:
    """Ends the process or raises, if the environment names this failpoint."""
    wanted, _, rest = os.environ.get(VARIABLE, "").partition(":")
    if wanted != name:
        return
    action, _, count = rest.partition(":")
    _reached[name] = _reached.get(name, 0) + 1
    if _reached[name] != int(count or 1):
        return
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    raise Failpoint(name)
