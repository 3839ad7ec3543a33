"""Studies on a PostgreSQL server that is restarted, cut off, full, or refuses: nothing is lost or run twice.

Skipped without a server: CELLSEARCH_TEST_POSTGRES is the URL of one where databases may be made, and
CELLSEARCH_TEST_POSTGRES_RESTART a command that ends and starts it again. `.ci/run` has both.
"""

import json
import multiprocessing
import os
import shlex
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, NullPool, create_engine, event, select, text
from sqlalchemy.exc import OperationalError

from cellsearch.errors import RunError
from cellsearch.study.leaderboard import board
from cellsearch.study.storage import heartbeat, queue
from cellsearch.study.storage.create import create
from cellsearch.study.storage.driver import open_driver
from cellsearch.study.storage.heartbeat import Heart
from cellsearch.study.storage.queue import Idle
from cellsearch.study.system.timing import TIMING
from cellsearch.study.tables import cellrecords, database, queries, records, schema, transactions
from cellsearch.study.tables.database import Unavailable
from cellsearch.study.tables.integrity import damages
from cellsearch.study.tables.study_facts import Identity, Target
from cellsearch.study.tables.transactions import Store
from cellsearch.study.workers import run, worker
from cellsearch.study.workers.retry import patiently
from cellsearch.study.workers.run import Options, seeds_of
from tests.postgres import NONE, SERVER, new_database
from tests.study.scripted import DIGESTS, SEEDS, Scripted, one_of, searched, space_of, work

RESTART = os.environ.get("CELLSEARCH_TEST_POSTGRES_RESTART", "")
COORDINATING = Path(__file__).parents[1] / "coordinating.py"
SPACE = space_of()

pytestmark = [pytest.mark.server, pytest.mark.skipif(not SERVER, reason=NONE)]
restartable = pytest.mark.skipif(not RESTART, reason="CELLSEARCH_TEST_POSTGRES_RESTART is not set")


@pytest.fixture
def url() -> Iterator[str]:
    """A database of its own."""
    with new_database() as made:
        yield made


def made(url: str, trials: int) -> Store:
    identity = Identity(SPACE.text, 1, DIGESTS)
    return create(url, "s", SPACE, identity, "test", Target(trials), seeds_of(SPACE))


def table(store: Store) -> list[board.Row]:
    return board.leaderboard(store, SPACE, every=True)


def check_whole(store: Store, trials: int) -> None:
    """Everything is done, every claim is recorded, and nothing twice."""
    counts = queries.counts(store)
    assert (counts.baseline, counts.trials, counts.failed, counts.running, counts.free) == (
        12,
        trials,
        0,
        0,
        0,
    )
    with transactions.reading(store.engine, store.url) as connection:
        claimed = [tuple(row) for row in connection.execute(
            select(schema.claims.c.fingerprint, schema.claims.c.task, schema.claims.c.setting)
        )]  # fmt: skip
        recorded = [
            (row.fingerprint, row.task, outcome["setting"])
            for row in connection.execute(select(schema.stages))
            for outcome in json.loads(row.outcomes)
        ]
    assert sorted(recorded) == sorted(claimed)
    assert len(set(recorded)) == len(recorded) == counts.settings
    assert not damages(store)  # Optuna's trials have the state and the value of their items, among others

    import optuna

    storage = optuna.storages.RDBStorage(database.driven(store.url).render_as_string(False))
    study = optuna.load_study(study_name="s", storage=storage)
    assert [trial.number for trial in study.trials] == list(range(len(SEEDS) + trials))
    storage.remove_session()
    storage.engine.dispose()


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[board.Row]:
    """The table of a search of one worker that nobody disturbed, on SQLite."""
    return table(searched(tmp_path_factory.mktemp("whole"), Scripted(), SPACE, one_of(40), trials=15))


def start(folder: Path, url: str, workers: int, trials: int, seconds: float) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, str(COORDINATING), str(folder), str(workers), str(trials), str(seconds)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1", "CELLSEARCH_TEST_STORAGE": url},
    )  # fmt: skip


def until_settings(url: str, process: "subprocess.Popen[bytes]", wanted: int) -> None:
    limit = time.monotonic() + 60
    while True:
        store = records.find(url, "s")
        if store is not None:
            known = queries.counts(store).settings
            store.engine.dispose()
            if known >= wanted:
                return
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit, "it did not happen in time"
        time.sleep(0.05)


def test_a_search_is_the_same_as_on_sqlite(url: str, expected: list[board.Row]) -> None:
    store = made(url, 15)
    lab = Scripted()
    work(store, SPACE, lab, one_of(40))
    assert table(store) == expected
    assert len(set(lab.runs)) == len(lab.runs)
    check_whole(store, 15)
    status = board.status(store, SPACE)
    assert status.finished
    best = next(row for row in expected if row.rank == 1)
    assert cellrecords.matching(store, best.fingerprint[:12])[0].text == best.text
    store.engine.dispose()


@restartable
@pytest.mark.timeout(200)
def test_a_server_that_crashes_in_the_middle_loses_nothing(
    tmp_path: Path, url: str, expected: list[board.Row]
) -> None:
    process = start(tmp_path, url, 1, 15, 0.1)
    for wanted in (10, 60):
        until_settings(url, process, wanted)
        subprocess.run(shlex.split(RESTART), check=True, stdout=subprocess.DEVNULL)
    _, said = process.communicate(timeout=120)
    assert (process.returncode, said.decode()) == (0, "")
    store = records.open_study(url, "s")
    assert table(store) == expected
    check_whole(store, 15)
    store.engine.dispose()


def test_a_connection_cut_inside_a_transaction_changes_nothing(url: str, expected: list[board.Row]) -> None:
    store = made(url, 15)
    other = create_engine(database.driven(url), isolation_level="AUTOCOMMIT")
    written, cut = Counter[str](), Counter[str]()

    @event.listens_for(store.engine, "after_cursor_execute")
    def after(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        what = " ".join(statement.split()[:3])
        if not statement.startswith(("INSERT", "UPDATE")):
            return
        written[what] += 1
        if written[what] in (2, 9):  # within the transaction: this was written, and is not committed
            cut[what] += 1
            pid = connection.connection.driver_connection.info.backend_pid
            with other.connect() as by:
                by.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})

    lab = Scripted()
    work(store, SPACE, lab, one_of(40))
    assert {what.split()[-1] for what in cut} >= {
        "cellsearch_stage", "cellsearch_claim", "cellsearch_cell", "cellsearch_item",
        "trials", "trial_params", "trial_user_attributes", "trial_intermediate_values", "trial_values",
    }  # fmt: skip
    assert table(store) == expected
    assert len(set(lab.runs)) == len(lab.runs)  # what was trained is offered again, not trained again
    check_whole(store, 15)
    store.engine.dispose()
    other.dispose()


def _together(url: str, barrier: Any, answers: Any) -> None:
    store = records.open_study(url, "s")
    barrier.wait(30)
    lab = Scripted()
    heart = Heart(store, heartbeat.myself("worker"), 99)
    worker.work(store, SPACE, lab, one_of(15), heart)
    answers.put(lab.runs)


def test_processes_that_start_at_the_same_instant_run_nothing_twice(url: str) -> None:
    store = made(url, 30)
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(4), context.Queue()
    processes = [
        context.Process(target=_together, args=(url, barrier, answers), daemon=True) for _ in range(4)
    ]
    for process in processes:
        process.start()
    runs = [answers.get(timeout=90) for _ in processes]
    for process in processes:
        process.join(20)
        assert process.exitcode == 0
    everything = Counter(one for part in runs for one in part)
    assert set(everything.values()) == {1}
    assert sum(bool(part) for part in runs) > 1
    check_whole(store, 30)
    store.engine.dispose()


def test_of_two_searches_that_make_a_study_at_one_instant_one_is_refused(url: str) -> None:
    barrier = threading.Barrier(4)
    answers: list[Store | RunError] = []

    def make() -> None:
        barrier.wait(20)
        try:
            answers.append(made(url, 3))
        except RunError as error:
            answers.append(error)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    stores = [answer for answer in answers if isinstance(answer, Store)]
    refused = [str(answer) for answer in answers if isinstance(answer, RunError)]
    assert len(stores) == 1
    assert len(refused) == 3
    assert all("Optuna already has a study 's'" in one for one in refused)
    stores[0].engine.dispose()


def test_a_wrong_password_is_refused_at_once_and_never_told(tmp_path: Path, url: str) -> None:
    wrong = database.driven(url).set(password="verysecret", drivername="postgresql")
    began = time.monotonic()
    with pytest.raises(RunError, match="check user and password") as error:
        options = Options(storage=wrong.render_as_string(False), results=tmp_path)
        run.search(SPACE, "s", lambda _: DIGESTS, options)
    assert not isinstance(error.value, Unavailable)
    assert time.monotonic() - began < 10
    assert "verysecret" not in "".join(traceback.format_exception(error.value))
    assert "…@" in str(error.value) and f'"{wrong.username}"' not in str(error.value)


def test_a_server_that_is_not_there_may_come_back(url: str) -> None:
    gone = database.driven(url).set(port=9, drivername="postgresql").render_as_string(False)
    with pytest.raises(Unavailable, match="is the server running"):
        records.open_study(gone, "s")


def test_a_database_that_is_not_there_is_said_to_be_none(url: str) -> None:
    none = database.driven(url).set(database="none", drivername="postgresql").render_as_string(False)
    with pytest.raises(RunError, match="createdb") as error:
        records.open_study(none, "s")
    assert not isinstance(error.value, Unavailable)


def test_a_server_out_of_connections_is_asked_again(url: str) -> None:
    store = made(url, 3)
    store.engine.dispose()
    engine = create_engine(database.driven(url), poolclass=NullPool)
    held: list[Connection] = []

    def give_back() -> None:
        for connection in held:
            connection.close()

    timer = threading.Timer(1.0, give_back)
    try:
        with pytest.raises(OperationalError, match=r"too many clients|connection slots"):
            for _ in range(100):
                held.append(engine.connect())
        with pytest.raises(Unavailable, match="start fewer workers") as error:
            records.facts(store)
        assert database.shown(url) in str(error.value)
        timer.start()
        work(store, SPACE, Scripted(), one_of(9))
    finally:
        timer.cancel()
        give_back()
    check_whole(store, 3)
    store.engine.dispose()


def test_who_was_stopped_within_a_transaction_keeps_no_lock(url: str) -> None:
    timing = replace(TIMING, busy=1.0)
    store = replace(made(url, 3), timing=timing)
    stopped = records.open_study(url, "s", timing=timing)
    driver = open_driver(store, "me")
    with pytest.raises(Unavailable), transactions.writing(stopped) as connection:
        began = time.monotonic()
        assert not isinstance(queue.take(driver), Idle)  # waits for no lock of the study
        assert time.monotonic() - began < 0.5
        patiently(lambda: records.spend(store, 1.0))  # this does, until it is taken away
        assert 0.5 < time.monotonic() - began < 10
        connection.execute(select(schema.studies))
    store.engine.dispose()
    stopped.engine.dispose()
