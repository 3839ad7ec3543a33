"""Agents placed on a Ray of this machine, by a command that is a process of its own."""

import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from cellsearch.study.leaderboard import board
from cellsearch.study.storage import heartbeat
from cellsearch.study.tables import queries
from tests.study.launch.test_slurm import LAUNCHED, OPEN, until
from tests.study.scripted import new_study, space_of

SPACE = space_of()

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(240),
    pytest.mark.skipif(find_spec("ray") is None, reason="the extra `ray` is not installed"),
]


def start(folder: Path, url: str, seconds: float) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, str(LAUNCHED), str(seconds), "ray", "2", url, str(folder)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
        env={name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"},
    )  # fmt: skip


def test_tasks_work_a_search_off(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    store = new_study(tmp_path / "s", SPACE, trials=6)
    process = start(tmp_path, store.url, 0.1)
    _, said = process.communicate(timeout=200)
    assert process.returncode == 0, said.decode()
    assert board.status(store, SPACE).finished
    assert queries.counts(store).failed == 0
    until(lambda: not heartbeat.listed(store))
    assert len(list((tmp_path / "s" / "logs").glob("*-1.log"))) == 2  # both had a worker


def test_what_is_interrupted_gives_back(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    store = new_study(tmp_path / "s", SPACE, trials=6)
    process = start(tmp_path, store.url, 60.0)
    until(lambda: queries.counts(store).running == 2, 120)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=90)
    assert process.returncode == 130, said.decode()
    assert time.monotonic() - began < 60
    until(lambda: queries.counts(store).free == OPEN)
    until(lambda: not heartbeat.listed(store))
    assert queries.counts(store).failed == 0
