"""Places where a test may end the process: `CELLSEARCH_FAILPOINT=name:action[:count]`, read at each place.

`action` is kill (SIGKILL to the process itself) or raise; with a count it happens when the place is reached
that often. Without the variable a place costs one look at the environment.
"""

import os
import signal

VARIABLE = "CELLSEARCH_FAILPOINT"
_reached: dict[str, int] = {}


class Failpoint(Exception):
    """What the action `raise` raises: like any defect, it is no error for people."""


def failpoint(name: str) -> None:
    """Ends the process here, or raises, when the environment says so."""
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
