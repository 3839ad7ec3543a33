"""Workers that die, each at some moment of its work, and the next one that continues."""

from collections.abc import Callable

from cellsearch.study.storage import endings
from cellsearch.study.tables.transactions import Store


class Killed(BaseException):
    """As abrupt as a signal, for the code in between."""


def kept_dying(store: Store, work: Callable[[str], None]) -> int:
    """Workers one after another, each of another name; how many were killed. `work` is one worker of that name."""
    for count in range(1_000):
        try:
            work(f"w{count}")
        except Killed:
            endings.release(store, [f"w{count}"], "other", failures=9)
        else:
            return count
    raise AssertionError("it does not come to its end")
