"""Many workers that take slots at the same time: each slot once, in order, and no more than the target."""

import os
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, select, text, update

from cellsearch.search import database, liveness, records, schema, slots
from cellsearch.search.liveness import Worker
from cellsearch.search.records import Identity
from cellsearch.search.run import seeds_of
from cellsearch.search.schema import Store
from cellsearch.search.slots import Idle, Slot
from tests.search.scripted import DIGESTS, SEEDS, new_study, space_of

SPACE = space_of()
SERVER = os.environ.get("CELLSEARCH_TEST_POSTGRES", "")


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A new study."""
    if request.param == "sqlite":
        made = new_study(tmp_path, SPACE, trials=15)
        yield made
        made.engine.dispose()
        return
    if not SERVER:
        pytest.skip("no server: CELLSEARCH_TEST_POSTGRES is not set")
    name = f"cellsearch_{secrets.token_hex(6)}"
    admin = create_engine(database.driven(SERVER), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    url = database.driven(SERVER).set(drivername="postgresql", database=name).render_as_string(False)
    tasks = {task.name: len(task.grid) for task in SPACE.tasks}
    made = records.create(url, "s", Identity(SPACE.text, 1, DIGESTS), "test", 15, seeds_of(SPACE), tasks, 4)
    yield made
    made.engine.dispose()
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


def based(store: Store) -> None:
    """The baseline is done."""
    with schema.writing(store) as connection:
        connection.execute(update(schema.slots).values(state="done", outcome="baseline"))
    with schema.writing(store) as connection:
        unit = '{"accuracy": 0.5, "floor": 0.1, "kept": true}'
        connection.execute(update(schema.studies).values(baseline=f'{{"arithmetic": {unit}, "xml": {unit}}}'))


def together(store: Store, count: int) -> list[int]:
    """The slots that so many workers get, each with connections of its own, until they get none."""
    barrier, found, wrong = threading.Barrier(count), list[int](), list[BaseException]()

    def one(k: int) -> None:
        mine = Store(database.connect(store.url), store.url, store.study, store.name)
        try:
            barrier.wait(60)
            while isinstance(slot := slots.take(mine, f"w{k}"), Slot):
                found.append(slot.number)
                with schema.writing(mine) as connection:  # ended, so that the next can be taken
                    here = schema.slots.c.number == slot.number
                    connection.execute(update(schema.slots).where(here).values(state="done", worker=""))
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


def test_new_slots_are_made_once_and_without_gaps_up_to_the_target(store: Store) -> None:
    based(store)
    assert together(store, 6) == list(range(12, 27))
    assert slots.take(store, "late") is Idle.DONE


def test_pieces_of_the_baseline_are_taken_once(store: Store) -> None:
    assert together(store, 6) == list(range(12))
    assert slots.take(store, "late") is Idle.FREEZE


def test_a_slot_that_is_held_is_given_again_and_what_a_new_one_holds_is_empty(store: Store) -> None:
    based(store)
    first = slots.take(store, "w")
    assert first == Slot(12, "", "", "", "")
    assert slots.take(store, "w") == first
    other = slots.take(store, "v")
    assert isinstance(other, Slot) and other.number == 13
    assert slots.release(store, ["w"], failures=9) == [12]
    assert slots.take(store, "u") == first


def test_a_beat_and_the_way_of_a_slot_wait_for_nobody_who_has_the_study(store: Store) -> None:
    if store.engine.dialect.name == "sqlite":
        pytest.skip("there every write locks the file")
    me = Worker("w", "worker", "h", 1, "1")
    liveness.register(store, me)
    slot = slots.take(store, "w")
    assert isinstance(slot, Slot)
    done = threading.Event()

    def work() -> None:
        liveness.beat(store, me, "at work")
        slots.claim(store, "w", slot, slot.task, lambda taken: [0])
        slots.finish(store, "w", slot, "baseline", failures=9)
        done.set()

    thread = threading.Thread(target=work)
    with schema.writing(store):
        thread.start()
        assert done.wait(20)
    thread.join(20)
    with schema.reading(store.engine, store.url) as connection:
        assert connection.execute(select(schema.workers.c.beat)).scalar_one() == 1
    assert slot.fingerprint in SEEDS.values()


def test_the_ring_is_whole_and_beats_slow_down(store: Store) -> None:
    for k in range(10):
        liveness.register(store, Worker(f"w{k}", "worker", "h", k, "1"))
    assert list(liveness.neighbours(store, "w3", 4)[0]) == ["w4", "w5", "w6", "w7"]
    assert list(liveness.neighbours(store, "w8", 4)[0]) == ["w9", "w0", "w1", "w2"]
    seen, everyone = liveness.neighbours(store, "w5", 100)
    assert set(seen) == {f"w{k}" for k in range(10) if k != 5} and everyone == 10
    paces = [liveness.pace(count) for count in (1, 100, 300, 1_000, 100_000)]
    assert paces == [2.0, 2.0, 6.0, 20.0, 20.0]
    assert all(liveness.SILENT * liveness.BEAT_SECONDS / pace >= liveness.LEAST for pace in paces)
