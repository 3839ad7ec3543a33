"""The driver of a study on a PostgreSQL server: exact totals, few connections, two processes of a user, encodings.

Skipped without a server: see `tests/postgres.py`.
"""

import multiprocessing
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import optuna
import pytest
from sqlalchemy import NullPool, create_engine, make_url, select, text

import cellsearch as cs
from cellsearch.dsl.describe import describe
from cellsearch.study.storage import heartbeat
from cellsearch.study.storage.create import create
from cellsearch.study.storage.heartbeat import Heart
from cellsearch.study.system.timing import TIMING
from cellsearch.study.tables import database, queries, records, schema, transactions
from cellsearch.study.tables.database import Unavailable
from cellsearch.study.tables.integrity import damages
from cellsearch.study.tables.study_facts import Identity, Target
from cellsearch.study.tables.transactions import Store
from cellsearch.study.workers import worker
from cellsearch.study.workers.retry import patiently
from cellsearch.study.workers.run import seeds_of
from tests.postgres import administer, new_database
from tests.study.scripted import DIGESTS, SEEDS, Scripted, one_of, space_of, work

pytestmark = pytest.mark.server

SPACE = space_of()
SPAWN = multiprocessing.get_context("spawn")


def made(url: str, target: Target) -> Store:
    return create(url, "s", SPACE, Identity(SPACE.text, 1, DIGESTS), "test", target, seeds_of(SPACE))


def stages_of(store: Store) -> list[tuple[str, ...]]:
    with transactions.reading(store.engine, store.url) as connection:
        claims = select(schema.claims.c.fingerprint, schema.claims.c.task, schema.claims.c.setting)
        return sorted(tuple(row) for row in connection.execute(claims))


def _work(url: str, barrier: Any, answers: Any) -> None:
    """One worker, as a process of its own, with its heartbeat."""
    lab = Scripted(before=lambda mark, task: time.sleep(0.02))
    barrier.wait(60)
    store = patiently(lambda: records.open_study(url, "s"))
    me = heartbeat.myself("worker")
    heart = patiently(Heart(store, me, 99).__enter__)
    worker.work(store, SPACE, lab, one_of(200), heart)
    heart.__exit__()
    answers.put(lab.runs)


def together(url: str, count: int) -> list[list[tuple[str, str, int]]]:
    """What each of `count` workers has run that began at one instant."""
    barrier, answers = SPAWN.Barrier(count), SPAWN.Queue()
    processes = [SPAWN.Process(target=_work, args=(url, barrier, answers), daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    runs = [answers.get(timeout=150) for _ in processes]
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    return runs


def check_once(store: Store, runs: list[list[tuple[str, str, int]]]) -> None:
    """Whatever was run was run once, and is recorded once."""
    everything = Counter(one for part in runs for one in part)
    assert set(everything.values()) == {1}
    assert len(everything) == queries.counts(store).settings == len(stages_of(store))
    assert not damages(store)


@pytest.mark.parametrize("target", [Target(trials=25), Target(proposals=13), Target(trials=30, proposals=9)])
def test_totals_are_exact_with_four_workers(postgres: str, target: Target) -> None:
    store = made(postgres, target)
    runs = together(postgres, 4)
    counts = queries.counts(store)
    assert (counts.running, counts.free, counts.failed, counts.undecided) == (0, 0, 0, 0)
    assert (counts.told, counts.baseline) == (len(SEEDS), 12)
    done = {"trials": counts.trials, "proposals": counts.proposals}
    wanted = {name: getattr(target, name) for name in done}
    assert all(done[name] <= of for name, of in wanted.items() if of is not None)
    assert any(done[name] == of for name, of in wanted.items())
    assert sum(bool(part) for part in runs) > 1
    check_once(store, runs)
    study = optuna.load_study(study_name="s", storage=plain(postgres))
    assert [trial.number for trial in study.trials] == list(range(len(SEEDS) + counts.trials))
    store.engine.dispose()
    closed(study)


def plain(url: str) -> optuna.storages.RDBStorage:
    """The storage that a user makes."""
    return optuna.storages.RDBStorage(database.driven(url).render_as_string(False))


def closed(study: optuna.Study) -> None:
    """Gives its connections back."""
    storage: Any = study._storage
    backend = getattr(storage, "_backend", storage)
    backend.remove_session()
    backend.engine.dispose()


@pytest.fixture
def few(postgres: str) -> Iterator[str]:
    """The URL of a role that may have three connections, and owns the database."""
    role, parsed = f"few_{secrets.token_hex(4)}", make_url(postgres)
    administer(
        f"CREATE ROLE {role} LOGIN PASSWORD 'verysecret' CONNECTION LIMIT 3",
        f"ALTER DATABASE {parsed.database} OWNER TO {role}",
    )
    yield parsed.set(username=role, password="verysecret").render_as_string(False)
    administer(
        f"ALTER DATABASE {parsed.database} OWNER TO CURRENT_USER", f"REASSIGN OWNED BY {role} TO CURRENT_USER"
    )
    engine = create_engine(database.driven(postgres), isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:  # what it owns there
        connection.execute(text(f"REASSIGN OWNED BY {role} TO CURRENT_USER"))
        connection.execute(text(f"DROP OWNED BY {role}"))
    administer(f"DROP ROLE {role}")


def test_a_role_that_is_out_of_connections_is_one_clear_error_that_is_tried_again(few: str) -> None:
    store = made(few, Target(3))
    store.engine.dispose()
    engine = create_engine(database.driven(few), poolclass=NullPool)
    held = [engine.connect() for _ in range(3)]

    def give_back() -> None:
        for connection in held:
            connection.close()

    timer = threading.Timer(1.0, give_back)
    try:
        with pytest.raises(
            Unavailable, match=r"too many connections for role.*\nstart fewer workers"
        ) as error:
            records.facts(store)
        assert "verysecret" not in str(error.value) and len(str(error.value).splitlines()) == 2
        timer.start()
        work(store, SPACE, Scripted(), one_of(9))
    finally:
        timer.cancel()
        give_back()
    counts = queries.counts(store)
    assert (counts.trials, counts.failed, counts.running, counts.free) == (3, 0, 0, 0)
    assert not damages(store)
    store.engine.dispose()


def test_four_workers_share_three_connections_and_lose_nothing(few: str) -> None:
    """A worker keeps one connection: the fourth asks again until another one has ended."""
    store = made(few, Target(8))
    store.engine.dispose()
    runs = together(few, 4)
    counts = queries.counts(store)
    assert (counts.trials, counts.failed, counts.running, counts.free) == (8, 0, 0, 0)
    check_once(store, runs)
    store.engine.dispose()


def test_a_worker_needs_one_connection(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """None is opened while another one is in a transaction: workers that each wait for a second one would wait
    for each other."""
    options = database.engine_options
    one = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 1.0}
    monkeypatch.setattr(database, "engine_options", lambda url, busy: options(url, busy) | one)
    store = replace(made(postgres, Target(8)), timing=replace(TIMING, patience=0.0))
    work(store, SPACE, Scripted(), one_of(9))
    counts = queries.counts(store)
    assert (counts.trials, counts.failed, counts.running, counts.free) == (8, 0, 0, 0)
    assert not damages(store)
    store.engine.dispose()


def _score(trial: optuna.Trial) -> float:
    found = describe(cs.suggest_cell(trial))
    trial.report(1.0, 0)
    if trial.should_prune():
        raise optuna.TrialPruned
    return len(found.gates) - 0.2 * found.matrices + trial.suggest_float("rate", 0, 1)


def _optimize(url: str) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.load_study(
        study_name="own",
        storage=plain(url),
        sampler=cs.MutationSampler("quick", seed=1),
        pruner=cs.StagePruner("quick"),
    )
    study.optimize(_score, n_trials=15)
    closed(study)


def test_a_user_optimises_in_two_processes_on_one_server(postgres: str) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(study_name="own", direction="maximize", storage=plain(postgres))
    processes = [SPAWN.Process(target=_optimize, args=(postgres,), daemon=True) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    there = study.trials
    assert [trial.number for trial in there] == list(range(30))
    assert all(trial.state.is_finished() and trial.value is not None for trial in there)
    found = [trial.user_attrs["record"] for trial in there]
    assert {record["kind"] for record in found} >= {"seed", "propose"}
    marks = {record["fingerprint"] for record in found}
    assert set(SEEDS.values()) <= marks
    assert {record["parent"] for record in found if "parent" in record} <= marks
    assert len(marks) > 10
    closed(study)


@pytest.fixture
def ascii() -> Iterator[str]:
    """The URL of a database that checks no encoding."""
    with new_database("ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0") as url:
        yield url


def test_a_database_without_an_encoding_works(ascii: str) -> None:
    store = made(ascii, Target(4))
    work(store, SPACE, Scripted(), one_of(9))
    counts = queries.counts(store)
    assert (counts.trials, counts.failed) == (4, 0)
    assert not damages(store)
    again = records.open_study(ascii, "s")
    assert records.facts(again).space == SPACE.text
    for one in (store, again):
        one.engine.dispose()
