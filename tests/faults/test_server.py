"""F10, F11 and F38 with a PostgreSQL server: it is away, the network is cut, the password is another one, it has few
connections.

A server that crashes, that cuts a connection within a transaction, or that is out of connections is in
tests/study/tables/test_postgres.py. Skipped without a server, as that is.
"""

import gc
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text

from cellsearch.study.space import parse_space
from cellsearch.study.storage.create import create
from cellsearch.study.system.timing import TIMING
from cellsearch.study.tables import database, schema
from cellsearch.study.tables.database import Unavailable
from cellsearch.study.tables.study_facts import Identity, Target
from cellsearch.study.workers.run import seeds_of
from tests.faults.killing import SLOW, Plan, kill
from tests.faults.processes import ROOT, Search, end, torment, until
from tests.faults.proxy import Proxy
from tests.faults.witness import Witness, accounts, board, command, there, undisturbed
from tests.postgres import NONE, SERVER, administer
from tests.study.scripted import DIGESTS, TEXT, space_of

pytestmark = [pytest.mark.server, pytest.mark.skipif(not SERVER, reason=NONE)]


@pytest.fixture
def url() -> Iterator[str]:
    """A database of its own, whose owner has the password `first`."""
    name = f"faults_{secrets.token_hex(6)}"
    administer(f"CREATE ROLE {name} LOGIN PASSWORD 'first'", f"CREATE DATABASE {name} OWNER {name}")
    given = database.driven(SERVER).set(
        drivername="postgresql", database=name, username=name, password="first"
    )
    yield given.render_as_string(False)
    administer(f"DROP DATABASE {name} WITH (FORCE)", f"DROP ROLE {name}")


@pytest.fixture
def proxy(url: str) -> Iterator[Proxy]:
    parsed = make_url(url)
    assert parsed.host and parsed.port
    with Proxy(parsed.host, parsed.port) as made:
        yield made


def through(proxy: Proxy, url: str) -> str:
    return make_url(url).set(host="127.0.0.1", port=proxy.port).render_as_string(False)


def cut(folder: Path, url: str, proxy: Proxy, cuts: list[tuple[int, Callable[[], None], float]]) -> None:
    """A search whose way to the server is cut at some points for some seconds is the search that was not cut."""
    wrong = {"seconds": 0.05}
    search = Search(folder, {"trials": 12, "storage": through(proxy, url), "wrong": wrong})
    seen = Search(folder, {"storage": url})  # by somebody whose way is not cut
    witness = Witness(url)
    process = search.start()
    for wanted, do, seconds in cuts:
        until(lambda: seen.settings() >= wanted, process)  # noqa: B023
        witness.look()
        do()
        time.sleep(seconds)
        assert process.poll() is None
        proxy.open()
        witness.look()
    assert end(process, 300) == (0, "")
    witness.look()
    accounts(url, 12)
    assert board(url) == undisturbed(folder, 12)
    assert not list((folder / "s" / "outbox").glob("*"))


def test_a_server_that_is_away_for_a_while_is_waited_for(folder: Path, url: str, proxy: Proxy) -> None:
    cut(folder, url, proxy, [(8, proxy.refuse, 3.0), (56, proxy.silence, 2.0)])


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_a_server_that_is_away_for_a_minute(folder: Path, url: str, proxy: Proxy) -> None:
    cut(folder, url, proxy, [(8, proxy.refuse, 60.0), (56, proxy.silence, 70.0)])


def partitioned(
    folder: Path, url: str, proxy: Proxy, lease: dict[str, Any], seconds: float, stage: float
) -> None:
    """A worker that is cut off for twice the lease comes back with what it has trained."""
    space, wrong = space_of(), {"seconds": stage, **lease}
    create(
        url, "s", space, Identity(space.text, 1, DIGESTS), "test", Target(4), seeds_of(space)
    ).engine.dispose()
    search, witness = Search(folder, {"storage": url, "trials": 4, "wrong": wrong}), Witness(url)
    # alone at first, so that there is work for it however long it takes to start
    guest = Search(folder / "far", {"storage": through(proxy, url)}).join(**wrong)

    def owners() -> set[str]:
        return {row["owner"] for row in search.rows(schema.items) if not row["outcome"]}

    until(lambda: bool(search.workers()), guest)
    (far,) = search.workers()
    until(lambda: far.id in owners(), guest)
    proxy.silence()
    began = time.monotonic()
    process = search.start()
    until(lambda: far.id not in owners(), process, 5 * seconds + 60)
    witness.look()
    time.sleep(max(0.0, began + 2 * seconds - time.monotonic()))
    proxy.open()
    assert end(process, 300) == (0, "")
    assert end(guest, 120) == (0, "")
    witness.look()
    accounts(url, 4)


def test_a_worker_that_is_cut_off_for_longer_than_the_lease(folder: Path, url: str, proxy: Proxy) -> None:
    partitioned(folder, url, proxy, {"beat": 0.2, "silent": 10}, 2.0, 0.5)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_worker_that_is_cut_off_for_two_minutes(folder: Path, url: str, proxy: Proxy) -> None:
    partitioned(folder, url, proxy, {}, TIMING.silent * TIMING.beat, 4.0)


def test_a_password_that_is_changed_ends_the_search_with_a_word_and_loses_nothing(
    folder: Path, url: str
) -> None:
    role = make_url(url).username
    search = Search(folder, {"trials": 8, "storage": url, "wrong": {"seconds": 0.3}})
    witness = Witness(url)
    process = search.start()
    until(lambda: search.settings() >= 20, process)
    witness.look()
    administer(
        f"ALTER ROLE {role} PASSWORD 'second'",
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'",
    )
    code, said = end(process)
    assert code == 1 and "check user and password" in said
    assert "first" not in said and "Traceback" not in said
    for log in (folder / "s" / "logs").iterdir():
        assert "first" not in log.read_text()
    witness.url = make_url(url).set(password="second").render_as_string(False)
    assert search.run(storage=witness.url, wrong={}) == (0, "")
    witness.look()
    accounts(witness.url, 8)
    assert board(witness.url) == undisturbed(folder, 8)


def test_a_role_that_may_have_few_connections_finishes_its_search(folder: Path, url: str) -> None:
    """Three workers, their heartbeats and the coordinator share two connections: who gets none asks again."""
    role = make_url(url).username
    search = Search(
        folder, {"trials": 20, "workers": 3, "storage": url, "wrong": {"seconds": 0.5, "beat": 0.2}}
    )
    process = search.start()
    until(lambda: search.settings() > 8, process)
    administer(
        f"ALTER ROLE {role} CONNECTION LIMIT 2",
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'",
    )
    time.sleep(5.0)
    with pytest.raises(Unavailable, match="start fewer workers"):
        for _ in range(500):
            there(url)
            time.sleep(0.01)
    assert process.poll() is None
    administer(f"ALTER ROLE {role} CONNECTION LIMIT -1")
    assert end(process, 300) == (0, "")
    accounts(url, 20)


@pytest.fixture
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own that takes five connections."""
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    control = str(ROOT / ".ci" / "postgres")
    found = subprocess.run([control, "start", str(folder)], capture_output=True, text=True, check=False)
    if found.returncode:
        shutil.rmtree(folder)
        pytest.skip("a server cannot be started here")
    try:
        with (folder / "data" / "postgresql.conf").open("a") as file:
            file.write("max_connections = 5\nsuperuser_reserved_connections = 1\n")
        subprocess.run([control, "restart", str(folder)], check=True, stdout=subprocess.DEVNULL)
        yield found.stdout.strip()
    finally:
        subprocess.run([control, "stop", str(folder)], check=True)
        shutil.rmtree(folder)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_a_server_of_five_connections_carries_six_workers(folder: Path, small: str) -> None:
    """`max_connections`: a worker that gets none waits, and totals stay exact."""
    orders = {"trials": 12, "workers": 6, "storage": small, "wrong": {"seconds": 0.1}}
    assert Search(folder, orders).run() == (0, "")
    accounts(small, 12)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_forty_kills_of_three_workers_on_a_server(folder: Path, url: str) -> None:
    orders = {"trials": 640, "workers": 3, "storage": url, "wrong": {"seconds": 0.03, "mutants": 1_000}}
    search, witness = Search(folder, orders), Witness(url)
    hit = torment(search, witness, 40, 31)
    shown = witness.acknowledged
    assert search.run(wrong={"mutants": 1_000}) == (0, "")
    witness.look()
    accounts(url, 640)
    print(f"40 kills, {hit} with a trial at work; {shown:,} results shown before, none lost")


@pytest.mark.long
def test_kills_of_workers_with_four_trials_each_on_a_server(url: str, tmp_path: Path) -> None:
    space = parse_space(TEXT, overrides=["budget.cohort=4"])
    identity = Identity(space.text, 1, DIGESTS)
    create(url, "s", space, identity, "test", Target(80), seeds_of(space)).engine.dispose()
    found = kill(Plan(url, workers=2, kills=6, seed=5, stages=9, **SLOW), tmp_path)
    accounts(url, 80, failed=None)
    print(f"\n{found}")


def test_whoever_asks_again_and_again_keeps_no_connection(url: str) -> None:
    """As in a notebook: a server has only so many, and each question opens the search anew."""
    for _ in range(3):
        assert not there(url)
        assert command("leaderboard", "s", "--storage", url)[0] == 1
    gc.collect()
    engine = create_engine(database.driven(SERVER))
    with engine.connect() as connection:
        query = text("SELECT count(*) FROM pg_stat_activity WHERE datname = :name")
        assert connection.execute(query, {"name": make_url(url).database}).scalar() == 0
    engine.dispose()
