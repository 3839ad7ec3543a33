"""Databases that somebody has made to harm: every reading verb ends soon, with one message."""

import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from cellsearch.errors import RunError
from cellsearch.study.storage.create import create
from cellsearch.study.tables import database, queries, records, schema, transactions
from cellsearch.study.tables.sqlite import guard
from cellsearch.study.tables.study_facts import Identity, Target
from cellsearch.study.workers.run import seeds_of
from tests.faults.witness import command
from tests.postgres import new_database
from tests.study.scripted import DIGESTS, Scripted, new_study, one_of, searched, space_of

SPACE = space_of()
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
LARGE = "CAST(zeroblob(900000000) AS TEXT)"
TABLES = (*sorted(schema.META.tables), "studies", "study_user_attributes", "trials", "trial_values")
VERBS = (
    ("status",), ("status", "s"), ("status", "s", "--json"), ("leaderboard", "s"),
    ("leaderboard", "s", "--all", "--json"), ("leaderboard", "s", "--pareto"), ("show", "s:1"), ("show", "0a0b0c"),
    ("check", "results/s/study.db"), ("check", "--json", "results/s/study.db"), ("search", "--replay", "s"),
    ("export", "s:1", "--to", "latex"),
)  # fmt: skip


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a finished search."""
    folder = tmp_path_factory.mktemp("sound") / "s"
    searched(folder, Scripted(), SPACE, one_of(20), trials=8).engine.dispose()
    return folder / "study.db"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sound: Path) -> Path:
    """A copy of it, in results/s."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "results" / "s" / "study.db"
    path.parent.mkdir(parents=True)
    shutil.copy(sound, path)
    return path


def change(file: Path, script: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(script)


def refused(words: tuple[str, ...], said: str) -> None:
    """That a command ends soon and says one thing."""
    began = time.monotonic()
    code, out, err = command(*words)
    assert code == 1, (words, out)
    assert said in err and "defect" not in err and "Traceback" not in err, err
    assert len(err) < 2_000 and len(out) < 20_000
    assert time.monotonic() - began < 20


def view(table: str) -> str:
    """The table replaced by a view that never ends, with its columns."""
    known = schema.META.tables.get(table)
    columns = (
        [column.name for column in known.columns] if known is not None else ["study_id", "trial_id", "key"]
    )
    chosen = ", ".join(f"i AS {name}" for name in columns)
    endless = ENDLESS.replace("SELECT i FROM n", f"SELECT {chosen} FROM n")
    return f"DROP TABLE {table}; CREATE VIEW {table} AS {endless};"


@pytest.mark.long
@pytest.mark.parametrize("table", TABLES)
def test_a_view_in_place_of_a_table_is_refused(file: Path, table: str) -> None:
    change(file, view(table))
    for words in VERBS:
        refused(words, f"study.db holds the view '{table}'")


OTHERS = {
    "trigger 'more'": f"CREATE TRIGGER more AFTER UPDATE ON cellsearch_study BEGIN DELETE FROM cellsearch_cell; END; "
    f"CREATE TABLE t AS SELECT {LARGE} AS x WHERE 0;",
    "virtual table 'v'": "CREATE VIRTUAL TABLE v USING fts5(x)",
    "computed column 'cellsearch_cell.more'": f"ALTER TABLE cellsearch_cell ADD more AS ({LARGE})",
}  # fmt: skip


@pytest.mark.parametrize("kind", OTHERS)
def test_what_else_computes_is_refused(file: Path, kind: str) -> None:
    change(file, OTHERS[kind])
    for words in VERBS:
        refused(words, f"study.db holds the {kind}")


@pytest.mark.long
@pytest.mark.parametrize(
    ("table", "column"),
    [
        (table.name, column.name)
        for table in schema.OURS
        for column in table.columns
        if str(column.type) == "TEXT"
    ],
)
def test_a_giant_value_is_not_read(file: Path, table: str, column: str) -> None:
    one = f"WHERE rowid IN (SELECT rowid FROM {table} LIMIT 1)"
    change(file, f"UPDATE {table} SET {column} = hex(zeroblob(9000000)) {one}")
    with closing(sqlite3.connect(file)) as connection:
        if not connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]:
            pytest.skip("it has no row")
    url = database.url_of(file)
    with pytest.raises(RunError, match="too big\nit holds more than a search writes"):
        with transactions.reading(database.connect(url, read_only=True), url) as connection:
            connection.execute(schema.select(schema.META.tables[table])).all()
    for words in VERBS:
        began = time.monotonic()
        code, _, err = command(*words)
        assert code in (0, 1) and "defect" not in err and len(err) < 5_000, (words, err)
        assert time.monotonic() - began < 20


DEEP = "[" * 100_000
VALUES = (
    ("cellsearch_study", "space"), ("cellsearch_study", "baseline"), ("cellsearch_study", "data"),
    ("cellsearch_cell", "text"), ("cellsearch_cell", "edits"), ("cellsearch_stage", "outcomes"),
    ("cellsearch_study", "stopped"), ("cellsearch_cell", "name"), ("study_user_attributes", "value_json"),
)  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize(
    "value", [DEEP, "{" * 100_000, '{"a":' * 100_000, "\x1b[31m" * 1_000, "1" * 100_000, ""]
)
@pytest.mark.parametrize(("table", "column"), VALUES, ids=".".join)
def test_a_value_that_is_none_is_one_message(file: Path, table: str, column: str, value: str) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute(f"UPDATE {table} SET {column} = ?", (value,))
    for words in VERBS[:9]:
        code, out, err = command(*words)
        assert code in (0, 1) and "defect" not in err and "Traceback" not in err, (words, err)
        assert "\x1b" not in out + err and len(err) < 4_000


def test_the_work_of_a_transaction_that_reads_is_bounded(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "STEPS", 1_000_000)
    url = database.url_of(file)
    engine = database.connect(url, read_only=True)
    with transactions.reading(engine, url) as connection:  # many small ones are no trouble
        for _ in range(100):
            connection.exec_driver_sql("SELECT count(*) FROM cellsearch_cell").all()
    for _ in range(2):
        with pytest.raises(RunError, match="interrupted\nit holds more than"):
            with transactions.reading(engine, url) as connection:
                connection.exec_driver_sql(f"SELECT count(*) FROM ({ENDLESS})").all()
    with transactions.reading(engine, url) as connection:  # the next transaction has a bound of its own
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1
    engine.dispose()


def test_a_search_stays_far_below_the_bounds(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each verb in a hundredth of the work that is allowed, each value in a hundredth of the length."""
    monkeypatch.setattr(guard, "STEPS", guard.STEPS // 100)
    monkeypatch.setattr(guard, "STEPS_OF_BYTE", 0)
    monkeypatch.setattr(guard, "LENGTH", guard.LENGTH // 100)
    for words in VERBS[:10]:
        code, _, err = command(*words)
        assert code == 0 or words[-1] == "0a0b0c", err
    store = records.open_study(database.url_of(file), "s")
    assert queries.counts(store).trials == 8
    store.engine.dispose()


def test_what_sqlite_computes_of_a_file_itself_is_off(tmp_path: Path) -> None:
    store = new_study(tmp_path, SPACE)
    with store.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA trusted_schema").scalar() == 0
        assert connection.exec_driver_sql("PRAGMA cell_size_check").scalar() == 1
    store.engine.dispose()


@pytest.mark.server
def test_a_view_on_a_server_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "STATEMENT_SECONDS", 1)
    with new_database() as url:
        store = create(url, "s", SPACE, Identity(SPACE.text, 1, DIGESTS), "test", Target(3), seeds_of(SPACE))
        with store.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE cellsearch_item RENAME TO kept")
            endless = ENDLESS.replace("SELECT i FROM n", "SELECT kept.* FROM n, kept")
            connection.exec_driver_sql(f"CREATE VIEW cellsearch_item AS {endless}")
        store.engine.dispose()
        for words in (("status", "s"), ("leaderboard", "s", "--all"), ("status",)):
            refused((*words, "--storage", url), "it holds more than a search writes")
