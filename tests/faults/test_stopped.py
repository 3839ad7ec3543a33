"""F11 and F12: workers that are stopped, cut off or asleep for longer than they are waited for, and come back."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from cellsearch.study.storage import endings, heartbeat, queue
from cellsearch.study.storage.driver import open_driver
from cellsearch.study.storage.heartbeat import Worker
from cellsearch.study.system.timing import TIMING
from cellsearch.study.tables import schema
from tests.faults.processes import Process, Search, end, stop, until
from tests.faults.witness import Witness, accounts, board, undisturbed
from tests.study.scripted import new_study, space_of

pytestmark = pytest.mark.long

LEASE = {"beat": 0.1, "silent": 10}  # a worker is given up after a second
SECOND = 1.0


Key = tuple[int, int]  # trial and piece


def held(search: Search) -> dict[str, Key]:
    """Worker -> the work item that it has."""
    return {row["owner"]: (row["trial"], row["piece"]) for row in search.rows(schema.items) if row["owner"]}


def attempts(search: Search) -> dict[Key, int]:
    """Work item -> how often its worker was given up or died since its last stage, where it was."""
    rows = search.rows(schema.items)
    return {(row["trial"], row["piece"]): row["attempts"] for row in rows if row["attempts"]}


def joined(search: Search, **wrong: Any) -> tuple[Process, Worker]:
    """A worker that belongs to no search, once it has a work item."""
    known = {worker.id for worker in search.workers()}
    process = search.join(**wrong)
    found: list[Worker] = []

    def there() -> bool:
        found[:] = [w for w in search.workers() if w.id not in known and w.id in held(search)]
        return bool(found)

    until(there, process)
    return process, found[0]


def late(folder: Path, lease: dict[str, Any], seconds: float, stage: float) -> None:
    """A worker that is stopped in the middle of a stage for twice the lease comes back while others go on."""
    wrong = {"seconds": stage, **lease}
    search = Search(folder, {"trials": 6, "wrong": wrong})
    witness = Witness(search.url)
    process = search.start()
    until(lambda: search.running() > 0, process)
    guest, worker = joined(search, **wrong)
    stop(worker.pid, search.url)
    item = held(search)[worker.id]
    began = time.monotonic()
    until(lambda: worker.id not in held(search), process, 10 * seconds + 20)
    assert time.monotonic() - began > 0.5 * seconds, "it was given up too early"
    witness.look()
    time.sleep(max(0.0, began + 2 * seconds - time.monotonic()))
    os.kill(worker.pid, signal.SIGCONT)
    assert end(process, 600) == (0, "")
    assert end(guest, 60) == (0, "")
    witness.look()
    accounts(search.url, 6)
    assert attempts(search).get(item, 0) <= 1


def test_a_worker_that_comes_back_late_neither_counts_twice_nor_crashes(folder: Path) -> None:
    late(folder, LEASE, SECOND, 0.25)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_worker_that_is_stopped_for_two_minutes(folder: Path) -> None:
    late(folder, {}, TIMING.silent * TIMING.beat, 4.0)


def asleep(folder: Path, lease: dict[str, Any], seconds: float, stage: float) -> None:
    """All processes stop and go on together, as when a laptop sleeps: nobody loses anything."""
    search = Search(folder, {"trials": 6, "workers": 2, "wrong": {"seconds": stage, **lease}})
    process = search.start()
    until(lambda: len(held(search)) == 2, process)
    before = {worker.id for worker in search.workers()}
    os.killpg(process.pid, signal.SIGSTOP)
    time.sleep(2 * seconds)
    os.killpg(process.pid, signal.SIGCONT)
    time.sleep(0.5 * seconds)
    assert {worker.id for worker in search.workers()} == before
    assert not attempts(search)
    assert end(process, 600) == (0, "")
    accounts(search.url, 6)
    assert not attempts(search)


@pytest.mark.soak
def test_a_sleep_of_everybody_takes_no_trial_away(folder: Path) -> None:
    asleep(folder, LEASE, SECOND, 0.1)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_sleep_of_two_minutes(folder: Path) -> None:
    asleep(folder, {}, TIMING.silent * TIMING.beat, 6.0)


@pytest.mark.soak
def test_a_search_that_is_stopped_for_long_goes_on(folder: Path) -> None:
    """Its workers give its row up, and work on."""
    search = Search(folder, {"trials": 8, "workers": 1, "wrong": {"seconds": 0.15, **LEASE}})
    process = search.start()
    until(lambda: search.running() > 0, process)
    stop(process.pid, search.url)
    before = search.settings()
    time.sleep(2 * SECOND)
    assert search.settings() > before
    os.kill(process.pid, signal.SIGCONT)
    assert end(process) == (0, "")
    accounts(search.url, 8)
    assert board(search.url) == undisturbed(folder, 8)


def test_a_worker_that_is_stopped_within_a_transaction_is_ended(folder: Path) -> None:
    """It holds the lock of the whole database, and nobody else can write that it is silent."""
    (folder / "stop").touch()
    wrong = {"seconds": 0.02, "stop": str(folder / "stop"), "busy": 0.5, "patience": 30.0, **LEASE}
    search = Search(folder, {"trials": 8, "wrong": wrong})
    assert search.run() == (0, "")
    assert not (folder / "stop").exists()
    accounts(search.url, 8)
    assert board(search.url) == undisturbed(folder, 8)


def test_a_trial_of_a_worker_that_is_not_listed_is_adopted(tmp_path: Path) -> None:
    """Given up while it was silent, it came back, took another trial, and died before its next beat."""
    store = new_study(tmp_path, space_of())
    me = heartbeat.myself("worker")
    heartbeat.register(store, me)
    assert isinstance(queue.take(open_driver(store, me.id)), list)
    ghost = queue.take(open_driver(store, "ghost"))
    assert isinstance(ghost, list)
    assert heartbeat.recover(store, me.id, 9) == [ghost[0].trial]
    assert endings.holders(store) == [me.id]
    store.engine.dispose()
