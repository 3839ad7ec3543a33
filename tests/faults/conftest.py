"""Folders for tests that kill processes: in memory where that can be, since what is killed is never the machine."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.processes import clear
from tests.faults.shim import Shim, build

MEMORY = Path("/dev/shm")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An empty folder on a fast disk."""
    if not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < 2**28:
        yield tmp_path
        return
    made = Path(tempfile.mkdtemp(prefix="cellsearch-", dir=MEMORY))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def shim(tmp_path: Path) -> Shim:
    """A disk that can be full and a clock that can be wrong."""
    built = build(tmp_path)
    if built is None:
        pytest.skip("needs Linux and a C compiler")
    return built


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """No test leaves a process behind, whatever becomes of it."""
    yield
    clear()
