"""F7, F9 and F36: searches that start at one instant, two coordinators on one study, and databases that another
program holds."""

import sqlite3
import threading
import time
from pathlib import Path

import pytest

from cellsearch.errors import RunError
from cellsearch.study.storage import heartbeat
from cellsearch.study.storage.create import create
from cellsearch.study.tables import schema
from cellsearch.study.tables.study_facts import Identity, Target
from cellsearch.study.tables.transactions import Store
from cellsearch.study.workers.run import seeds_of
from tests.faults.processes import Search, end, until
from tests.faults.witness import Witness, accounts, board, undisturbed
from tests.study.scripted import DIGESTS, Scripted, new_study, one_of, space_of, work

pytestmark = pytest.mark.long

SPACE = space_of()


def at_once(searches: list[Search]) -> list[tuple[int, str]]:
    """What becomes of commands that begin at the same instant."""
    at = time.monotonic() + 1.0 + 0.7 * len(searches)  # they have loaded everything by then
    processes = [search.start(at=at) for search in searches]
    return [end(process) for process in processes]


@pytest.mark.soak
def test_of_searches_that_start_at_one_instant_one_runs_and_the_others_say_so(folder: Path) -> None:
    found = at_once([Search(folder, {"trials": 8})] * 3)
    assert sorted(code for code, _ in found) == [0, 1, 1]
    assert all("is already running on this machine" in said for code, said in found if code)
    accounts(f"sqlite:///{folder}/s/study.db", 8)


def test_searches_on_one_database_start_at_one_instant_and_share_the_work(folder: Path) -> None:
    """Each has a folder of its own; they make Optuna's tables together, too."""
    store = new_study(folder, SPACE, 12)
    store.engine.dispose()
    orders = {"trials": 12, "storage": store.url, "wrong": {"seconds": 0.01}}
    found = at_once([Search(folder / str(k), orders) for k in range(3)])
    assert found == [(0, "")] * 3
    accounts(store.url, 12)


def test_two_coordinators_on_one_study_one_of_them_killed(folder: Path) -> None:
    """Each has workers of its own. Those of the killed one end, and the trials they had are adopted; the other one
    reaches the target, and the first command again finds nothing left to do."""
    store = new_study(folder, SPACE, 16)
    store.engine.dispose()
    orders = {"trials": 16, "storage": store.url, "workers": 2, "wrong": {"seconds": 0.1}}
    searches, witness = [Search(folder / str(k), orders) for k in range(2)], Witness(store.url)
    first, second = (search.start() for search in searches)

    def of_first() -> list[str]:
        parent = heartbeat.identity("search", first.pid).id
        return [worker.id for worker in searches[0].workers() if worker.parent == parent]

    def at_work() -> bool:
        return bool({row["owner"] for row in searches[0].rows(schema.items)} & set(of_first()))

    until(lambda: searches[0].settings() >= 20 and at_work(), first)
    witness.look()
    first.kill()
    first.communicate()
    assert end(second) == (0, "")
    witness.look()
    accounts(store.url, 16)
    assert searches[0].run() == (0, "")
    witness.look()
    accounts(store.url, 16)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_eight_searches_at_one_instant_again_and_again(folder: Path) -> None:
    for k in range(5):
        store = new_study(folder, SPACE, 60) if k % 2 else None
        url = store.url if store else f"sqlite:///{folder}/{k}.db"
        if store:
            store.engine.dispose()
        orders = {"trials": 60, "storage": url, "wrong": {"seconds": 0.01}}
        found = at_once([Search(folder / f"{k}-{n}", orders) for n in range(8)])
        for code, said in found:
            assert (code, said) == (0, "") or (
                not store and "run the command again if a search was just started there" in said
            )
        accounts(url, 60)
        for file in folder.glob("study.db*"):  # its backup too
            file.unlink()


def test_of_eight_that_make_a_study_at_one_instant_one_does(folder: Path) -> None:
    url, barrier = f"sqlite:///{folder}/study.db", threading.Barrier(8)
    found: list[Store | RunError] = []

    def make() -> None:
        barrier.wait(20)
        try:
            identity = Identity(SPACE.text, 1, DIGESTS)
            found.append(create(url, "s", SPACE, identity, "test", Target(3), seeds_of(SPACE)))
        except RunError as error:
            found.append(error)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert sum(isinstance(one, Store) for one in found) == 1
    refused = [str(one) for one in found if isinstance(one, RunError)]
    assert len(refused) == 7
    assert all("run the command again if a search was just started there" in one for one in refused)
    for one in found:
        if isinstance(one, Store):
            one.engine.dispose()


def held(folder: Path, seconds: float, trials: int = 12, **wrong: float) -> float:
    """A search while another program holds the database for so long; the time from the hold to the end."""
    search = Search(folder, {"trials": trials, "workers": 2, "wrong": {"seconds": 0.02, **wrong}})
    witness = Witness(search.url)
    process = search.start()
    until(lambda: search.settings() >= 12, process)
    other = sqlite3.connect(folder / "s" / "study.db", isolation_level=None, timeout=20)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    witness.look()  # reading goes on
    time.sleep(seconds)
    assert process.poll() is None
    other.execute("COMMIT")
    other.close()
    assert end(process) == (0, "")
    witness.look()
    accounts(search.url, trials)
    return time.monotonic() - began


@pytest.mark.soak
def test_a_database_that_another_program_holds_is_waited_for(folder: Path) -> None:
    held(folder, 1.5)


def test_a_database_that_is_held_for_longer_than_a_write_waits_is_asked_again(folder: Path) -> None:
    held(folder, 3.0, trials=40, busy=0.2)
    assert not list((folder / "s" / "outbox").glob("*"))


@pytest.mark.soak
def test_a_database_that_is_held_for_thirty_seconds(folder: Path) -> None:
    held(folder, 30.0)


@pytest.mark.soak
@pytest.mark.timeout(400)
def test_a_database_that_is_held_for_longer_than_a_minute(folder: Path) -> None:
    held(folder, 75.0)


def test_somebody_who_reads_all_the_time_is_no_obstacle(folder: Path) -> None:
    """A dashboard with an open transaction sees its own moment, and nobody waits for it."""
    store = new_study(folder, SPACE, 12)
    reader = sqlite3.connect(folder / "study.db", isolation_level=None)
    reader.execute("BEGIN")
    before = reader.execute("SELECT count(*) FROM cellsearch_stage").fetchone()
    work(store, SPACE, Scripted(), one_of(40))
    assert reader.execute("SELECT count(*) FROM cellsearch_stage").fetchone() == before
    reader.close()
    store.engine.dispose()
    assert board(store.url) == undisturbed(folder, 12)
