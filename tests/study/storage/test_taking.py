"""Many workers that take trials at the same time: each trial once, in order, and no more than the target."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, update

from cellsearch.study.storage import endings, heartbeat, queue, trials
from cellsearch.study.storage.create import create
from cellsearch.study.storage.driver import Driver, open_driver
from cellsearch.study.storage.heartbeat import Worker
from cellsearch.study.storage.queue import Idle
from cellsearch.study.system.timing import TIMING
from cellsearch.study.tables import database, records, schema, transactions
from cellsearch.study.tables.study_facts import Identity, Target
from cellsearch.study.tables.transactions import Store
from cellsearch.study.tables.work_items import Item
from cellsearch.study.workers.run import seeds_of
from tests.postgres import new_database
from tests.study.scripted import DIGESTS, SEEDS, drivers, new_study, space_of, take_one

SPACE = space_of()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A new study."""
    if request.param == "sqlite":
        made = new_study(tmp_path, SPACE, trials=15)
        yield made
        made.engine.dispose()
        return
    with new_database() as url:
        identity = Identity(SPACE.text, 1, DIGESTS)
        made = create(url, "s", SPACE, identity, "test", Target(15), seeds_of(SPACE))
        yield made
        made.engine.dispose()


def based(store: Store) -> None:
    """The baseline is done, and the seeds are told."""
    driver = open_driver(store, "first")
    pieces = schema.items.c.kind == "baseline"
    with transactions.writing(store) as connection:
        connection.execute(update(schema.items).where(pieces).values(outcome="baseline"))
        unit = '{"accuracy": 0.5, "floor": 0.1, "kept": true}'
        connection.execute(update(schema.studies).values(baseline=f'{{"arithmetic": {unit}, "xml": {unit}}}'))
    for _ in range(2):
        item = take_one(driver)
        assert item.kind == "seed"
        finish(driver, item, "ranked")


def finish(driver: Driver, item: Item, outcome: str) -> None:
    """Ends an item, and tells its trial where it has one."""
    trial = None if item.kind == "baseline" else driver.trial(item.trial_id)
    endings.finish(driver, item, outcome, trial=trial, score=1.0, failures=None)


def together(store: Store, count: int, at_once: int = 1) -> list[tuple[int, int]]:
    """The items that `count` workers get, each with connections of its own, until they get none."""
    barrier, found, wrong = threading.Barrier(count), list[tuple[int, int]](), list[BaseException]()

    def one(k: int) -> None:
        mine = Store(database.connect(store.url), store.url, store.study, store.name)
        try:
            driver = open_driver(mine, f"w{k}")
            barrier.wait(60)
            while isinstance(taken := queue.take(driver, at_once), list):
                for item in taken:
                    found.append((item.trial, item.piece))
                    finish(driver, item, "baseline" if item.kind == "baseline" else "filtered")
        except BaseException as error:
            wrong.append(error)
        finally:
            mine.engine.dispose()

    threads = [threading.Thread(target=one, args=(k,)) for k in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not wrong
    return sorted(found)


@pytest.mark.long
@pytest.mark.parametrize("at_once", [1, 4])
def test_new_trials_are_made_once_and_without_gaps_up_to_the_target(store: Store, at_once: int) -> None:
    based(store)
    assert together(store, 6, at_once) == [(number, 0) for number in range(2, 17)]
    assert queue.take(open_driver(store, "late")) is Idle.DONE
    study = open_driver(store, "late").study
    assert [(trial.number, trial.state.name) for trial in study.trials[2:]] == [
        (number, "PRUNED") for number in range(2, 17)
    ]


def test_pieces_of_the_baseline_are_taken_once(store: Store) -> None:
    records.extend(store, Target(0))
    assert together(store, 6) == [(seed, piece) for seed in (0, 1) for piece in range(7)]
    assert queue.take(open_driver(store, "late")) is Idle.DONE


def test_a_trial_that_is_held_is_given_again_and_a_new_one_is_empty(store: Store) -> None:
    based(store)
    of = drivers(store)
    first = take_one(of("w"))
    assert first == Item(2, 0, first.trial_id, "", "", "", "")
    assert take_one(of("w")) == first
    assert take_one(of("v")).trial == 3
    assert endings.release(store, ["w"], "other", failures=9) == [2]
    assert take_one(of("u")) == first


def test_a_beat_and_the_work_on_a_trial_wait_for_no_process_that_has_locked_the_study(store: Store) -> None:
    if store.engine.dialect.name == "sqlite":
        pytest.skip("there every write locks the file")
    me = Worker("w", "worker", "h", 1, "1")
    heartbeat.register(store, me)
    driver = open_driver(store, "w")
    item = take_one(driver)
    done = threading.Event()

    def work() -> None:
        heartbeat.beat(store, me, "at work")
        trials.claim(driver, item, item.task, lambda taken: [])
        trials.commit(driver, item, item.task, [], 1.0)
        endings.finish(driver, item, "baseline", failures=9)
        done.set()

    thread = threading.Thread(target=work)
    with transactions.writing(store):
        thread.start()
        assert done.wait(20)
    thread.join(20)
    with transactions.reading(store.engine, store.url) as connection:
        assert connection.execute(select(schema.workers.c.beat)).scalar_one() == 1
    assert item.fingerprint in SEEDS.values()


def test_the_ring_is_whole_and_beats_slow_down(store: Store) -> None:
    for k in range(10):
        heartbeat.register(store, Worker(f"w{k}", "worker", "h", k, "1"))
    assert list(heartbeat.neighbours(store, "w3", 4)[0]) == ["w4", "w5", "w6", "w7"]
    assert list(heartbeat.neighbours(store, "w8", 4)[0]) == ["w9", "w0", "w1", "w2"]
    seen, everyone = heartbeat.neighbours(store, "w5", 100)
    assert set(seen) == {f"w{k}" for k in range(10) if k != 5} and everyone == 10
    paces = [heartbeat.pace(count) for count in (1, 100, 300, 1_000, 100_000)]
    assert paces == [2.0, 2.0, 6.0, 20.0, 20.0]
    assert all(TIMING.silent * TIMING.beat / pace >= heartbeat.LEAST for pace in paces)
