"""Searches in one PostgreSQL database: rename and delete are one transaction of our rows and Optuna's."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import inspect, make_url, text

from cellsearch.errors import RunError
from cellsearch.study.leaderboard import board
from cellsearch.study.manage import change, commands, hold, listing
from cellsearch.study.space import parse_space
from cellsearch.study.storage import heartbeat
from cellsearch.study.storage.create import create
from cellsearch.study.studies import opened
from cellsearch.study.tables import integrity, queries, records
from cellsearch.study.tables.study_facts import Identity, Target
from cellsearch.study.tables.transactions import Store
from cellsearch.study.workers.run import seeds_of
from tests.study.scripted import DIGESTS, TEXT, Scripted, one_of, searched, work

pytestmark = pytest.mark.server

SPACE = parse_space(TEXT, overrides=["budget.patience=8"])


def begun(url: str, name: str, seed: int = 1) -> Store:
    identity = Identity(SPACE.text, seed, DIGESTS)
    store = create(url, name, SPACE, identity, "test", Target(60), seeds_of(SPACE))
    work(store, SPACE, Scripted(), one_of(1_000))
    return store


def rows(store: Store, study: int) -> dict[str, int]:
    """Table -> how many of its rows belong to a study, by our id; Optuna's tables by its own."""
    found = {}
    with store.engine.connect() as connection:
        for table in inspect(store.engine).get_table_names():
            columns = {column["name"] for column in inspect(store.engine).get_columns(table)}
            if "study" in columns:
                query = f"SELECT count(*) FROM {table} WHERE study = {study}"
                found[table] = connection.execute(text(query)).scalar_one()
            elif "trial_id" in columns and table != "trials":
                query = f"SELECT count(*) FROM {table} WHERE trial_id NOT IN (SELECT trial_id FROM trials)"
                found[table] = connection.execute(text(query)).scalar_one()
    return found


def test_one_search_of_a_server_is_renamed_and_deleted(postgres: str, tmp_path: Path) -> None:
    url, results = postgres, tmp_path / "results"
    a, b = begun(url, "a"), begun(url, "b", 2)
    alike = searched(tmp_path / "file", Scripted(), SPACE, one_of(1_000), trials=60)
    assert queries.counts(a).stale == queries.counts(alike).stale == 8  # it has ended by its patience
    before = {store.name: board.leaderboard(store, SPACE, True) for store in (a, b)}
    records.remember(a, ["search", "my.yaml", "--workers", "3"])
    told: list[str] = []

    with pytest.raises(RunError, match="there is a study 'b'"):
        change.rename("a", "b", url, results, told.append)
    change.rename("a", "c", url, results, told.append)
    c = records.open_study(url, "c")
    assert c.study == a.study and board.leaderboard(c, SPACE, True) == before["a"]
    assert integrity.damages(c) == []
    command = commands.of(opened("c", url))
    assert command.startswith("cellsearch search c --workers 3 --storage ")
    again, asked = make_url(command.split()[-1]), make_url(url)
    assert (again.host, again.port, again.database) == (asked.host, asked.port, asked.database)
    environment = os.environ | {"PGUSER": str(asked.username), "PGPASSWORD": str(asked.password)}
    done = subprocess.run(  # what is pasted finds the search, with user and password of the environment
        [sys.executable, "-m", "cellsearch", "status", "c", "--json", "--storage", command.split()[-1]],
        capture_output=True, text=True, env=environment, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["command"] == command
    assert {entry.name: entry.state for entry in listing.searches(url)} == {"b": "done", "c": "done"}
    assert all(entry.written is not None and entry.best for entry in listing.searches(url))

    change.delete("c", url, results, told.append)
    assert [entry.name for entry in listing.searches(url)] == ["b"]
    assert board.leaderboard(b, SPACE, True) == before["b"] and integrity.damages(b) == []
    assert set(rows(b, a.study).values()) == {0}
    with pytest.raises(RunError, match="no study 'c'"):
        change.delete("c", url, results, told.append)
    change.delete("b", url, results, told.append)
    assert listing.searches(url) == [] and told == [] and not results.exists()
    again = begun(url, "a")  # Optuna may use the ids of deleted studies again
    assert board.leaderboard(again, SPACE, True) == before["a"]
    for store in (a, b, c, again, alike):
        store.engine.dispose()


def test_a_worker_on_a_server_keeps_its_search(
    postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = begun(postgres, "a")
    worker = heartbeat.Worker("w", "worker", "elsewhere#1", 1, "1")
    heartbeat.register(store, worker)
    monkeypatch.setattr(hold.time, "sleep", lambda seconds: heartbeat.beat(store, worker, ""))
    for verb in (
        lambda: change.rename("a", "b", postgres, tmp_path, print),
        lambda: change.delete("a", postgres, tmp_path, print),
    ):
        with pytest.raises(RunError, match="is running: elsewhere:1"):
            verb()
    assert [entry.state for entry in listing.searches(postgres)] == ["done"]
    store.engine.dispose()
