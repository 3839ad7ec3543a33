"""Connections to SQLite that the garbage collector takes away."""

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from cellsearch.study.tables.sqlite import connections
from tests.study.scripted import new_study, space_of

COLLECTED = """
import gc, sys
from cellsearch.study.tables.sqlite import connections
connection = connections.Connection(sys.argv[1])
connection.itself = connection  # a circle: the collector alone ends it
del connection
with connections._LOCK:  # as while the open connections are looked through
    print(gc.collect() > 0)
"""


def test_one_that_is_collected_while_others_are_looked_through_does_not_wait_for_itself(
    tmp_path: Path,
) -> None:
    store = new_study(tmp_path, space_of())
    store.engine.dispose()
    command = [sys.executable, "-c", COLLECTED, str(tmp_path / "study.db")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "True\n"


@pytest.mark.long
def test_those_that_are_gone_are_forgotten(tmp_path: Path) -> None:
    gc.collect()
    before = len(connections._OPEN)
    connection = connections.Connection(tmp_path / "a.db")
    assert len(connections._OPEN) == before + 1
    connection.close()
    del connection
    gc.collect()
    assert len(connections._OPEN) == before
