"""Collects the errors of a file, so that they are reported at once, each at its place."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from cellsearch.errors import Place, SpaceError

P = ParamSpec("P")
T = TypeVar("T")

MOST = 20  # errors that are reported at once


class Faults:
    """Errors found so far."""

    def __init__(self) -> None:
        self._found: list[SpaceError] = []

    def add(self, error: SpaceError) -> None:
        """Keeps an error; raises all of them once there are MOST."""
        self._found += (part for part in error.parts if part not in self._found)
        if len(self._found) >= MOST:
            self.check()

    def take(self, instead: T, read: Callable[P, T], *args: P.args, **keywords: P.kwargs) -> T:
        """The value that `read` returns; `instead` where it raises a SpaceError, which is kept."""
        try:
            return read(*args, **keywords)
        except SpaceError as error:
            self.add(error)
            return instead

    def check(self) -> None:
        """Raises the errors kept, as one SpaceError in the order of their places; nothing without any."""
        if self._found:
            parts = sorted(self._found, key=lambda error: _order(error.place))[:MOST]
            first = parts[0]
            raise first if len(parts) == 1 else SpaceError(first.message, first.place, first.remedy, parts)


def _order(place: Place | None) -> tuple[bool, str, int, int]:
    """Errors of the file come before those of overrides (`--set`)."""
    if place is None:
        return True, "", 0, 0
    return place.file.startswith("--"), place.file, place.line, place.column
