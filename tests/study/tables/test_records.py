"""Studies: made once, found again, never mixed; and databases that are not there, not ours, or not to be
written."""

import os
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from cellsearch.errors import RunError, UsageError
from cellsearch.study.leaderboard import board
from cellsearch.study.space import parse_space
from cellsearch.study.storage import rdb
from cellsearch.study.storage.create import create
from cellsearch.study.system.timing import TIMING
from cellsearch.study.tables import database, queries, records, schema, study_facts, transactions
from cellsearch.study.tables.database import Unavailable
from cellsearch.study.tables.study_facts import Identity, Target
from cellsearch.study.workers import run
from cellsearch.study.workers.run import Options, default_url, directory, seeds_of, start
from tests.study.scripted import DIGESTS, SEEDS, TEXT, Scripted, new_study, one_of, space_of, work

SPACE = space_of()


def options(folder: Path, trials: int | None = None) -> Options:
    return Options(results=folder, trials=trials)


def begin(
    folder: Path, text: str = TEXT, seed: int | None = None, trials: int | None = None
) -> study_facts.Facts:
    (folder / "s").mkdir(exist_ok=True)
    return records.facts(start(parse_space(text), "s", lambda _: DIGESTS, options(folder, trials), seed))


def test_a_study_remembers_what_it_is(tmp_path: Path) -> None:
    known = begin(tmp_path)
    assert (known.name, known.seed, known.trials, known.numerics) == ("s", 1, 12, study_facts.NUMERICS)
    assert parse_space(known.space) == SPACE
    assert dict(known.data) == DIGESTS
    assert known.baseline is None
    assert known.units == {}
    found = records.open_study(default_url(tmp_path, "s"), "s")
    counts = queries.counts(found)
    assert (counts.seeds, counts.pieces) == (2, 12)  # two seeds, two tasks, twelve settings by four


def test_the_target_may_change_and_the_rest_may_not(tmp_path: Path) -> None:
    begin(tmp_path)
    assert (
        begin(tmp_path, TEXT.replace("trials: 12", "trials: 30").replace("Nothing", "Still nothing")).trials
        == 30
    )
    assert begin(tmp_path, trials=50).trials == 50
    with pytest.raises(RunError, match=r"strategy.threshold: 0.9 before, 0.8 now") as error:
        begin(tmp_path, TEXT.replace("threshold: 0.9", "threshold: 0.8"))
    assert "choose another --name" in str(error.value)
    with pytest.raises(RunError, match="seed: the study has 1, not 2"):
        begin(tmp_path, seed=2)


def test_what_may_change_is_what_workers_read(tmp_path: Path) -> None:
    begin(tmp_path)
    known = begin(tmp_path, TEXT.replace("trials: 12", "trials: 12, stage_hours: 0.5"))
    assert parse_space(known.space).budget.stage_hours == 0.5
    assert parse_space(begin(tmp_path).space) == SPACE


def test_data_and_numerics_may_not_change(tmp_path: Path) -> None:
    known = begin(tmp_path)
    same = Identity(known.space, known.seed, known.data)
    records.check_identity(known, same, [])
    with pytest.raises(RunError, match=r"data of xml: the study has bbbbbbbbbbbb, here is cccccccccccc"):
        records.check_identity(known, replace(same, data=DIGESTS | {"xml": "c" * 64}), [])
    here = known.numerics + 1
    with pytest.raises(RunError, match=rf"numerics: the study has {known.numerics}, this program {here}"):
        records.check_identity(known, replace(same, numerics=here), [])


def test_two_seeds_that_are_one_cell_are_refused(tmp_path: Path) -> None:
    copy = tmp_path / "copy.cell"
    copy.write_text(
        "cell other(x; h)\nz = sigmoid[x, h]\nr = sigmoid[x, h]\nn = tanh[x, r * h]\nh' = z * h + (1 - z) * n\n"
    )
    text = TEXT.replace("[lstm, gru]", f"[lstm, gru, '{copy}']")
    with pytest.raises(RunError, match="'gru' and 'copy' are the same cell"):
        seeds_of(parse_space(text))
    assert {seed.name: seed.fingerprint for seed in seeds_of(SPACE)} == SEEDS


def test_an_unknown_study_is_an_error_that_names_the_known(tmp_path: Path) -> None:
    store = new_study(tmp_path, SPACE, name="mine")
    with pytest.raises(RunError, match="no study 'yours'") as error:
        records.open_study(store.url, "yours")
    assert "there: mine" in str(error.value)
    assert records.find(store.url, "yours") is None


def test_looking_for_a_study_makes_no_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'none.db'}"
    assert records.find(url, "s") is None
    with pytest.raises(RunError, match="start one with `cellsearch search SPACE`"):
        records.open_study(url, "s")
    assert not list(tmp_path.iterdir())


def test_a_database_without_our_tables_has_no_studies(tmp_path: Path) -> None:
    file = tmp_path / "other.db"
    connection = sqlite3.connect(file)
    connection.execute("create table t (a)")
    connection.close()
    assert records.find(f"sqlite:///{file}", "s") is None


def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    file = tmp_path / "study.db"
    file.write_bytes(b"hello" * 1_000)
    with pytest.raises(RunError, match="not a database") as error:
        records.open_study(f"sqlite:///{file}", "s")
    assert "move it away" in str(error.value)


def test_a_damaged_database_is_an_error_for_people(tmp_path: Path) -> None:
    store = new_study(tmp_path, SPACE)
    store.engine.dispose()
    file = tmp_path / "study.db"
    file.write_bytes(file.read_bytes()[:4_096] + b"\xff" * 40_000)
    with pytest.raises(RunError, match=r"study.db: .*(malformed|disk image)"):
        board.status(records.open_study(store.url, "s"), SPACE)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "not a database URL"),
        ("oracle9://x", "unknown kind of database"),
        ("sqlite:////proc/none/study.db", "is writable"),
    ],
)
def test_bad_urls_are_explained(url: str, said: str) -> None:
    with pytest.raises(RunError, match=said):
        rdb.prepare(database.connect(url), url)


def test_a_password_is_never_shown() -> None:
    url = "postgresql://me:secret@nowhere.invalid/db"
    assert "secret" not in database.shown(url)
    with pytest.raises(RunError) as error:
        records.open_study(url, "s")
    assert "secret" not in str(error.value)
    assert "secret" not in database.shown("pg:secret:/bad:url@")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(RunError, match="change the permissions"):
        run.search(SPACE, "s", lambda _: DIGESTS, options(tmp_path))


def test_a_file_where_the_directory_should_be_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("")
    with pytest.raises(RunError, match="cannot make"):
        run.search(SPACE, "s", lambda _: DIGESTS, options(tmp_path))


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "a b", "x" * 101, "a\n", "dot.", "é"])
def test_a_name_that_is_no_file_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a study"):
        directory(tmp_path, name)


@pytest.mark.long
def test_a_path_with_odd_letters_works(tmp_path: Path) -> None:
    folder = tmp_path / "a b#%41é;c=d&e"
    folder.mkdir()
    store = new_study(folder, SPACE, trials=2)
    (folder / "s").mkdir()
    work(store, SPACE, Scripted(), one_of(9))
    url = default_url(folder, "s")
    identity = Identity(SPACE.text, 1, DIGESTS)
    create(url, "s", SPACE, identity, "test", Target(1), seeds_of(SPACE))
    assert (folder / "s" / "study.db").exists()


@pytest.mark.long
def test_a_lock_held_too_long_is_unavailable_and_not_lost(tmp_path: Path) -> None:
    url = new_study(tmp_path, SPACE).url
    store = records.open_study(url, "s", timing=replace(TIMING, busy=0.1))
    other = sqlite3.connect(tmp_path / "study.db", isolation_level=None)
    other.execute("begin immediate")
    with pytest.raises(Unavailable, match="another program holds it"):
        records.spend(store, 1.0)
    assert records.facts(store).seconds == 0  # reading goes on
    other.execute("commit")
    other.close()
    records.spend(store, 1.0)
    assert records.facts(store).seconds == 1


def test_a_commit_is_on_the_disk_when_it_returns(tmp_path: Path) -> None:
    store = new_study(tmp_path, SPACE)
    with transactions.reading(store.engine, store.url) as connection:
        assert connection.exec_driver_sql("pragma synchronous").scalar() == 2  # FULL
        assert connection.exec_driver_sql("pragma journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("pragma busy_timeout").scalar() == 60_000


@pytest.mark.long
def test_a_full_disk_is_an_error_with_a_remedy_and_loses_nothing(tmp_path: Path) -> None:
    store = new_study(tmp_path, SPACE, trials=4)
    work(store, SPACE, Scripted(), one_of(9))
    before = board.leaderboard(store, SPACE, every=True)
    with transactions.reading(store.engine, store.url) as connection:
        pages = connection.exec_driver_sql("pragma page_count").scalar()
    engine = database.connect(store.url)
    full = replace(store, engine=engine)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"pragma max_page_count={pages}")
        connection.rollback()
    with pytest.raises(RunError, match="free some space"):
        with transactions.writing(full) as connection:
            connection.exec_driver_sql(f"pragma max_page_count={pages}")
            for number in range(10_000):
                row = {"study": 1, "fingerprint": "x", "task": "t", "setting": str(number), "trial": 1}
                row |= {"piece": 0, "place": 1}
                connection.execute(schema.claims.insert(), row)
    assert board.leaderboard(store, SPACE, every=True) == before
