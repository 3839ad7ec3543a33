"""The version of this program, and the newest versions of others that it was tested with."""

import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as _installed

PYTHON = "Python"
#: Package -> the newest minor version with which the tests have passed; a new row needs a run of the tests.
TESTED: Mapping[str, str] = {
    PYTHON: "3.11",
    "torch": "2.14",
    "optuna": "5.0",
    "numpy": "2.4",
    "sqlalchemy": "2.1",
    "triton": "3.9",
}


def version() -> str:
    """The version that is installed; "0+unknown" where the program runs from a copy that is not."""
    return installed("cellsearch") or "0+unknown"


def installed(package: str) -> str | None:
    """The installed version of a package, from its metadata; None where it is missing."""
    if package == PYTHON:
        return ".".join(map(str, sys.version_info[:3]))
    try:
        return _installed(package)
    except PackageNotFoundError:
        return None


def untested(tested: Mapping[str, str] = TESTED) -> dict[str, str]:
    """Package -> installed version, for packages newer than the tested version."""
    found = {package: installed(package) for package in tested}
    return {
        package: here for package, here in found.items() if here and _minor(here) > _minor(tested[package])
    }


def _minor(version: str) -> tuple[int, int]:
    """Major and minor number; 0 for a part that is no number."""
    major, minor, *_ = [*version.split("."), "0"]
    return (int(major) if major.isdigit() else 0, int(minor) if minor.isdigit() else 0)
