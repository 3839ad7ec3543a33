"""Collect the located errors of a file and report them together."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from cellsearch.errors import Place, SpaceError

P = ParamSpec("P")
T = TypeVar("T")

MOST = 20  # maximum errors in one report


class Faults:
    """Errors found so far."""

    def __init__(self) -> None:
        self._found: list[SpaceError] = []

    def add(self, error: SpaceError) -> None:
        """Adds an error; raises all at MOST errors."""
        self._found += (part for part in error.parts if part not in self._found)
        if len(self._found) >= MOST:
            self.check()

    def take(self, instead: T, read: Callable[P, T], *args: P.args, **keywords: P.kwargs) -> T:
        """The value of `read()`; on a SpaceError keeps the error and returns `instead`."""
        try:
            return read(*args, **keywords)
        except SpaceError as error:
            self.add(error)
            return instead

    def check(self) -> None:
        """Raises the collected errors, if any, as one SpaceError in the order of their places."""
        if self._found:
            parts = sorted(self._found, key=lambda error: _order(error.place))[:MOST]
            first = parts[0]
            raise first if len(parts) == 1 else SpaceError(first.message, first.place, first.remedy, parts)


def _order(place: Place | None) -> tuple[bool, str, int, int]:
    """Errors of the file come before those of overrides (`--set`)."""
    if place is None:
        return True, "", 0, 0
    return place.file.startswith("--"), place.file, place.line, place.column
