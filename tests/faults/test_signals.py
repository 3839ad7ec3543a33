"""F14: signals. What one signal does to a search is in tests/study/workers/test_run.py; here is what else there is."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cellsearch.study.tables import schema
from tests.faults.processes import ROOT, Search, end, gone, until
from tests.faults.witness import Witness, accounts
from tests.study.scripted import Scripted, one_of, searched, space_of

pytestmark = pytest.mark.long


def test_a_second_interrupt_ends_everything_at_once(folder: Path) -> None:
    search = Search(folder, {"workers": 2, "wrong": {"seconds": 60.0, "grace": 100.0}})
    process = search.start()
    until(lambda: search.running() == 2, process)
    for worker in search.workers():
        os.kill(worker.pid, signal.SIGSTOP)  # such a one does not end when it is asked to
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    assert end(process) == (130, "")
    assert time.monotonic() - began < 50
    assert not search.workers() and search.running() == 0
    assert all(row["attempts"] == 0 for row in search.rows(schema.items))  # it was nobody's fault


@pytest.mark.soak
def test_workers_that_are_ended_one_by_one_are_replaced(folder: Path) -> None:
    search = Search(folder, {"trials": 3, "wrong": {"seconds": 0.2}})
    process = search.start()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        until(lambda: search.running() == 1 and len(search.workers()) == 1, process)
        (worker,) = search.workers()
        os.kill(worker.pid, number)
        until(lambda: number == signal.SIGINT or gone([worker]), process)  # noqa: B023
    assert end(process) == (0, "")
    accounts(search.url, 3)
    assert not any(row["attempts"] for row in search.rows(schema.items))  # that is no fault of a cell


@pytest.mark.soak
def test_signals_while_it_starts_and_while_it_ends_lose_nothing(folder: Path) -> None:
    search = Search(folder, {"trials": 60, "workers": 2, "wrong": {"seconds": 0.02}})
    witness = Witness(search.url)
    for k, pause in enumerate((0.05, 0.3, 0.6, 0.9, 1.2)):
        process = search.start()
        time.sleep(pause)
        number = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)[k % 3]
        os.killpg(process.pid, number)
        time.sleep(0.05)
        os.killpg(process.pid, signal.SIGTERM)
        code, said = end(process)
        either = {
            sign * each + base for each in (number, signal.SIGTERM) for sign, base in ((1, 128), (-1, 0))
        }
        assert code in {0, 1, *either} and search.running() == 0, said
        witness.look()
    assert search.run(trials=6, wrong={}) == (0, "")
    witness.look()
    accounts(search.url, max(6, witness.counts["trials"]))


@pytest.mark.parametrize(
    "words",
    [
        ["leaderboard", "s", "--all"],
        ["leaderboard", "s", "--json"],
        ["status"],
        ["check", "results/s/study.db"],
    ],
)
def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path, words: list[str]) -> None:
    searched(tmp_path / "results" / "s", Scripted(), space_of(), one_of(40), 20).engine.dispose()
    line = f'"$0" -m cellsearch {" ".join(words)} | head -c 10'
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line, sys.executable], cwd=tmp_path, capture_output=True, check=False,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert (done.returncode, done.stderr, len(done.stdout)) == (0, b"", 10)
