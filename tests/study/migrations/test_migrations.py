"""A database of schema 1 is migrated to the present one: nothing in it changes, and its searches go on.

`schema1.db.gz` was made by cellsearch 0.1.0 at numerics 3, before a search was an Optuna study: `s`, with
ranked, filtered and failed proposals, refinements, an equivalent cell and an open slot; `begun`, whose
baseline is not done. `schema1.json` is the leaderboard of `s` then.
"""

import gzip
import json
import os
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import optuna
import pytest
from sqlalchemy import MetaData, delete, event, insert, select, text

from cellsearch.cli.main import main
from cellsearch.errors import RunError
from cellsearch.study.leaderboard import board
from cellsearch.study.migrations import migrate
from cellsearch.study.system import processes
from cellsearch.study.tables import database, integrity, queries, records, schema
from cellsearch.study.tables.study_facts import NUMERICS
from tests.study.scripted import Scripted, one_of, space_of, work

HERE = Path(__file__).parent
SPACE = space_of(failures=50)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database of schema 1."""
    (tmp_path / "study.db").write_bytes(gzip.decompress((HERE / "schema1.db.gz").read_bytes()))
    return database.url_of(tmp_path / "study.db")


def old_tables(file: Path) -> dict[str, list[tuple[object, ...]]]:
    """The rows of all tables of schema 1, without those of the copies in Optuna."""
    with sqlite3.connect(file) as connection:
        names = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'cellsearch_%s'"
        ).fetchall()
        return {name: connection.execute(f"SELECT * FROM {name}").fetchall() for (name,) in names}


def test_other_verbs_name_the_command_in_one_sentence(url: str) -> None:
    with pytest.raises(
        RunError, match=r"earlier cellsearch \(schema 1, not 2\)\nbring them up to date: cells"
    ):
        records.open_study(url, "s")


def test_the_leaderboard_and_the_counts_are_those_of_before(url: str) -> None:
    assert migrate.migrate(url)
    store = records.open_study(url, "s")
    before = json.loads((HERE / "schema1.json").read_text(encoding="utf-8"))["rows"]
    rows = board.leaderboard(store, SPACE, every=True)
    now = [[r.rank, r.name, r.fingerprint, r.score, r.settings, r.parent, list(r.equivalents)] for r in rows]
    assert now == before
    counts = queries.counts(store)
    assert (counts.seeds, counts.pieces, counts.baseline, counts.told) == (2, 12, 12, 2)
    assert (counts.trials, counts.proposals, counts.refinements) == (25, 20, 5)
    assert (counts.ranked, counts.filtered, counts.failed, counts.equivalents) == (9, 12, 4, 1)
    assert (counts.running, counts.free, counts.settings, counts.diverged) == (0, 1, 158, 13)


@pytest.mark.long
def test_every_recorded_number_is_kept(url: str, tmp_path: Path) -> None:
    old = old_tables(tmp_path / "study.db")
    migrate.migrate(url)
    for name in ("s", "begun"):
        assert integrity.damages(records.open_study(url, name)) == []
    with database.connect(url).connect() as connection:
        stages = connection.execute(select(schema.stages)).all()
        claims = connection.execute(select(schema.claims)).all()
        scores = connection.execute(
            select(schema.items.c.score).where(schema.items.c.kind != "seed")
        ).scalars()
        assert Counter(scores) == Counter(row[11] for row in old["cellsearch_slots"])
    kept = ("settings", "trained", "accuracy", "loss", "parameters", "hidden", "seconds")
    columns = ("study", "slot", "task", "fingerprint", "outcomes", "settings", "trained", "accuracy", "loss")
    columns += ("setting", "parameters", "hidden", "seconds")  # type: ignore[assignment]
    places = [columns.index(name) for name in kept]
    assert Counter(tuple(getattr(row, name) for name in kept) for row in stages) == Counter(
        tuple(row[place] for place in places) for row in old["cellsearch_stages"]
    )
    assert len(claims) == len(old["cellsearch_claims"])


@pytest.mark.long
def test_optuna_has_each_trial_once(url: str) -> None:
    migrate.migrate(url)
    study = optuna.load_study(study_name="s", storage=url)
    states = Counter(trial.state.name for trial in study.trials)
    assert states == {"COMPLETE": 11, "PRUNED": 12, "FAIL": 4, "RUNNING": 1}
    assert [trial.number for trial in study.trials] == list(range(28))
    assert study.trials[0].user_attrs["record"]["kind"] == "seed"
    gru = next(t for t in study.trials if t.user_attrs.get("record", {}).get("name") == "gru")
    assert (gru.value, gru.intermediate_values) == (1.0, {1: 1.0, 2: 1.0})
    pruned = [trial for trial in study.trials if trial.state.name == "PRUNED"]
    assert all(trial.user_attrs["result"]["task"] for trial in pruned)
    assert all(trial.intermediate_values for trial in pruned)


@pytest.mark.long
def test_a_migrated_search_of_the_same_numerics_goes_on(url: str, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "study.db") as connection:
        connection.execute("UPDATE cellsearch_studies SET numerics = ?", (NUMERICS,))
    migrate.migrate(url)
    store = records.open_study(url, "s")
    assert records.facts(store).numerics == NUMERICS
    work(store, SPACE, Scripted(), one_of(30))
    counts = queries.counts(store)
    assert (counts.trials, counts.free, counts.running) == (28, 0, 0)
    assert integrity.damages(store) == []
    begun = records.open_study(url, "begun")
    work(begun, SPACE, Scripted(), one_of(30))
    assert queries.counts(begun).trials == 5
    assert integrity.damages(begun) == []


def test_a_study_of_numerics_that_trained_otherwise_is_read_and_not_continued(url: str) -> None:
    migrate.migrate(url)
    store = records.open_study(url, "s")
    assert records.facts(store).numerics == 3
    assert board.leaderboard(store, SPACE)[0].name == "m2"


def test_a_second_migration_has_nothing_to_do(url: str, tmp_path: Path) -> None:
    assert migrate.migrate(url)
    first = (tmp_path / "study.db").read_bytes()
    assert not migrate.migrate(url)
    assert (tmp_path / "study.db").read_bytes() == first


@pytest.mark.long
def test_the_copy_is_the_database_as_it_was(url: str, tmp_path: Path) -> None:
    old = old_tables(tmp_path / "study.db")
    migrate.migrate(url)
    assert old_tables(tmp_path / "study.db.schema1") == old
    with sqlite3.connect(tmp_path / "study.db") as connection:
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    assert not any(name.startswith("cellsearch_slots") for name in names)


@pytest.mark.long
def test_a_migration_that_is_cut_off_changes_nothing(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = old_tables(tmp_path / "study.db")
    real, calls = migrate.version1.rows_of, [0]

    def cut(*args: object) -> object:
        calls[0] += 1
        if calls[0] == 2:
            raise KeyboardInterrupt
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(migrate.version1, "rows_of", cut)
    with pytest.raises(KeyboardInterrupt):
        migrate.migrate(url)
    assert old_tables(tmp_path / "study.db") == old
    with pytest.raises(RunError, match="schema 1"):
        records.open_study(url, "s")
    monkeypatch.undo()
    (tmp_path / "study.db.schema1").unlink()
    assert migrate.migrate(url)
    assert queries.counts(records.open_study(url, "s")).trials == 25


def test_a_running_search_is_not_migrated(url: str, tmp_path: Path) -> None:
    started = processes.started(os.getpid())
    with sqlite3.connect(tmp_path / "study.db") as connection:
        row = (1, "w", "search", "", processes.machine(), os.getpid(), started, 0, "")
        connection.execute("INSERT INTO cellsearch_workers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    with pytest.raises(RunError, match="is running"):
        migrate.migrate(url)


def test_tables_of_a_newer_program_are_told_as_that(url: str) -> None:
    migrate.migrate(url)
    engine = database.connect(url)
    with engine.execution_options(immediate=True).begin() as connection:
        connection.execute(delete(schema.version))
        connection.execute(insert(schema.version).values(version=schema.VERSION + 1))
    for call in (lambda: records.open_study(url, "s"), lambda: migrate.migrate(url)):
        with pytest.raises(RunError, match="newer"):
            call()


def test_every_earlier_version_has_a_step() -> None:
    assert sorted(migrate.MIGRATIONS) == list(range(1, schema.VERSION))


@pytest.mark.long
def test_the_verb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results" / "s"
    folder.mkdir(parents=True)
    (folder / "study.db").write_bytes(gzip.decompress((HERE / "schema1.db.gz").read_bytes()))
    assert main(["status", "s"]) == 1
    assert "cellsearch migrate" in capsys.readouterr().err
    assert main(["migrate", "s"]) == 0
    assert "migrated" in capsys.readouterr().err
    assert main(["status", "s"]) == 0
    assert main(["migrate", "s"]) == 0
    assert "up to date" in capsys.readouterr().err
    assert main(["migrate"]) == 2
    assert main(["migrate", "nothing"]) == 1
    assert not (tmp_path / "results" / "nothing").exists()


@pytest.mark.server
def test_on_a_server(url: str, postgres: str) -> None:
    """The same rows on PostgreSQL."""
    source, target = database.connect(url), database.connect(postgres)
    meta = MetaData()

    @event.listens_for(meta, "column_reflect")
    def generic(inspector: object, table: object, column: dict[str, Any]) -> None:
        column["type"] = column["type"].as_generic()

    meta.reflect(source)
    with target.begin() as connection:
        meta.create_all(connection)
    try:
        with source.connect() as reading, target.begin() as connection:
            for table in meta.sorted_tables:
                if rows := [dict(row._mapping) for row in reading.execute(select(table))]:
                    connection.execute(insert(table), rows)
            for name, key in (("trials", "trial_id"), ("studies", "study_id")):
                last = f"SELECT setval(pg_get_serial_sequence('{name}', '{key}'), max({key})) FROM {name}"
                connection.execute(text(last))
        assert migrate.migrate(postgres)
        store = records.open_study(postgres, "s")
        assert queries.counts(store).trials == 25
        assert integrity.damages(store) == []
        work(store, SPACE, Scripted(), one_of(30))
        assert queries.counts(store).trials == 28
    finally:
        target.dispose()
