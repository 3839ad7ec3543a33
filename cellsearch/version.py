"""The version of this program."""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as _installed


def version() -> str:
    """The version that is installed; "0+unknown" where the program runs from a copy that is not."""
    try:
        return _installed("cellsearch")
    except PackageNotFoundError:
        return "0+unknown"
