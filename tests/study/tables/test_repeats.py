"""The records of `verify`: added once, never changed, and missing in studies of earlier programs."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import inspect, update

from cellsearch.errors import RunError
from cellsearch.study.leaderboard import board
from cellsearch.study.storage.create import create
from cellsearch.study.storage.rdb import remove
from cellsearch.study.tables import integrity, repeats, schema, transactions
from cellsearch.study.tables.records import open_study
from cellsearch.study.tables.repeats import Repeat, Round
from cellsearch.study.tables.study_facts import Identity, Target
from cellsearch.study.tables.transactions import Store
from cellsearch.study.workers.run import seeds_of
from tests.study.scripted import DIGESTS, SEEDS, new_study, space_of

ONE = Round(
    "f" * 64, "xml", 0, "learning_rate=0.5", "d" * 64,
    (Repeat(7, "done", 0.6, 1.1, 0.59, 1.2, 4, 6), Repeat(8, "diverged", None, None, None, None, 2, 2, "loss")),
    1.5,
)  # fmt: skip


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A new study."""
    space = space_of()
    if request.param == "sqlite":
        made = new_study(tmp_path, space)
    else:
        url = request.getfixturevalue("postgres")
        identity = Identity(space.text, 1, DIGESTS)
        made = create(url, "s", space, identity, "test", Target(12), seeds_of(space))
    yield made
    made.engine.dispose()


def without_table(store: Store) -> None:
    """The study as a program without `verify` has made it."""
    with transactions.writing(store) as connection:
        schema.repeats.drop(connection)


def test_what_is_added_is_there_once(store: Store) -> None:
    other = replace(ONE, fingerprint="a" * 64, look=1)
    for found in (ONE, other, replace(ONE, repeats=(), setting="")):
        repeats.add(store, found)
    assert repeats.recorded(store) == [other, ONE]


def test_rounds_of_other_data_are_refused(store: Store) -> None:
    repeats.add(store, ONE)
    with pytest.raises(RunError, match="data of xml differ from those"):
        repeats.add(store, replace(ONE, fingerprint="a" * 64, digest="e" * 64))
    repeats.add(store, replace(ONE, look=1, digest="e" * 64))  # each round has its own
    assert len(repeats.recorded(store)) == 2


def test_a_study_without_the_table_is_read_and_gets_it(store: Store) -> None:
    without_table(store)
    assert repeats.recorded(store) == []
    assert {row.name for row in board.leaderboard(store, space_of())} == set(SEEDS)
    repeats.add(store, ONE)
    assert repeats.recorded(store) == [ONE]


def test_a_study_without_the_table_is_deleted(store: Store) -> None:
    without_table(store)
    remove(store)
    with pytest.raises(RunError, match="no study"):
        open_study(store.url, store.name)


def test_a_deleted_study_leaves_no_rounds(store: Store) -> None:
    repeats.add(store, ONE)
    remove(store)
    assert repeats.recorded(store) == []
    with transactions.reading(store.engine, store.url) as connection:
        assert inspect(connection).has_table(schema.repeats.name)


def test_a_round_after_a_gap_does_not_count() -> None:
    known = repeats.rounds_of([replace(ONE, look=2), ONE])
    assert known == {ONE.fingerprint: {"xml": [[0.59, None]]}}


def test_a_damaged_round_is_found(store: Store) -> None:
    repeats.add(store, ONE)
    assert not [line for line in integrity.damages(store) if "round" in line]
    for text in ("[{}]", "[", "7"):
        with transactions.writing(store) as connection:
            connection.execute(update(schema.repeats).values(outcomes=text))
        assert [line for line in integrity.damages(store) if "a round cannot be read" in line]
