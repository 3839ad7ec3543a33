"""`cellsearch searches`, `rename` and `delete`."""

import json
import os
import pty
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cli.conftest import Run

from cellsearch.study.storage import heartbeat
from cellsearch.study.storage.heartbeat import Worker
from cellsearch.study.tables import database, records, transactions
from cellsearch.study.tables.sqlite import backups
from tests.study.scripted import Scripted, new_study, one_of, space_of, work
from tests.study.workers.test_run import end, start, until

ROOT = Path(__file__).parents[2]


def board(run: Run, *words: str) -> Any:
    told = run("leaderboard", *words, "--json", "--all").json
    told.pop("name")
    return told


def several(folder: Path) -> str:
    """A database with the searches a and b; its URL."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in ((1, "a"), (2, "b")):
        store = new_study(folder, space_of(), 6, seed, name)
        work(store, space_of(), Scripted(), one_of(40))
        store.engine.dispose()
    return database.url_of(folder / "study.db")


# ----- searches -----


def test_searches_are_listed(run: Run, study: str, tmp_path: Path) -> None:
    fresh = tmp_path / "results" / "fresh"
    fresh.mkdir()
    new_study(fresh, space_of(), 5, name="fresh").engine.dispose()
    for file in (tmp_path / "results" / study).iterdir():
        os.utime(file, (1e9, 1e9))
    told = run("searches", "--json").json["searches"]
    assert [(entry["name"], entry["state"]) for entry in told] == [("fresh", "stopped"), (study, "done")]
    rows = run("leaderboard", study, "--json").json["rows"]
    best = max(row["score"] for row in rows if not row["seed"] and row["rank"])
    assert told[1]["best"] == best and told[1]["space"] == "scripted"
    assert told[1]["trials"] == told[1]["target"]["trials"] == 20
    assert told[1]["written"] == "2001-09-09T01:46:40+00:00"
    size = sum(file.stat().st_size for file in (tmp_path / "results" / study).iterdir())
    assert told[1]["bytes"] == pytest.approx(size, abs=40_000)  # a reader makes files beside it
    assert told[0]["best"] is None
    lines = run("searches").out.splitlines()
    assert lines[0].split() == ["search", "state", "trials", "best", "space", "size", "written"]
    assert lines[1].split()[:4] == ["fresh", "stopped", "0/5", "not"]
    assert lines[2].split()[:4] == [study, "done", "20/20", f"{best:.3f}"]


def test_a_search_at_work_is_running(run: Run, tmp_path: Path) -> None:
    (tmp_path / "results" / "s").mkdir(parents=True)
    store = new_study(tmp_path / "results" / "s", space_of())
    with sleeping() as pid:
        heartbeat.register(store, heartbeat.identity("worker", pid))
        assert run("searches", "--json").json["searches"][0]["state"] == "running"
    assert run("searches", "--json").json["searches"][0]["state"] == "stopped"
    store.engine.dispose()


def test_what_cannot_be_read_is_listed_with_the_reason(run: Run, study: str, tmp_path: Path) -> None:
    results = tmp_path / "results"
    for name, data in (("random", b"no database" * 500), ("empty", b"")):
        (results / name).mkdir()
        (results / name / "study.db").write_bytes(data)
    for name in ("copy", "s (copy)"):
        shutil.copytree(results / study, results / name)
    (results / ".hidden").mkdir()
    (results / ".hidden" / "study.db").write_bytes(b"x")
    told = {entry["name"]: entry for entry in run("searches", "--json").json["searches"]}
    assert {name: entry["state"] for name, entry in told.items()} == {
        "random": "unreadable", "empty": "unreadable", "copy": "copy", "s (copy)": "unreadable",
        study: "done",
    }  # fmt: skip
    assert "not a database" in told["random"]["error"] and told["copy"]["best"] == told[study]["best"]
    assert "is not a valid name of a search" in told["s (copy)"]["error"]
    done = run("searches")
    assert done.code == 0 and "random: " in done.err and "not a database" in done.err
    assert f"\n{study} " in f"\n{done.out}"


@pytest.mark.long
def test_searches_of_a_database_are_listed(run: Run, tmp_path: Path) -> None:
    url = several(tmp_path / "elsewhere")
    told = run("searches", "--storage", url, "--json").json["searches"]
    assert sorted(entry["name"] for entry in told) == ["a", "b"]
    assert all(entry["state"] == "done" and entry["bytes"] is None and entry["written"] for entry in told)
    assert "a " in run("searches", "--storage", url).out


def test_where_there_is_no_search_that_is_said(run: Run) -> None:
    done = run("searches")
    assert (done.code, done.out) == (0, "") and "there is no search in" in done.err
    assert run("searches", "--json").json == {"searches": []}
    assert run("searches", "--storage", "sqlite:///nosuch.db", "--json").json == {"searches": []}


# ----- rename -----


def test_a_renamed_search_is_the_same(run: Run, study: str, tmp_path: Path) -> None:
    before = board(run, study)
    file = tmp_path / "results" / study / "study.db"
    backups.back_up(file)
    assert run("rename", study, "better").code == 0
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["better"]
    assert board(run, "better") == before
    assert f"no search '{study}'" in run("status", study).err
    import optuna

    backup = tmp_path / "results" / "better" / "study.db.backup"
    for one in (backup, backup.with_suffix("")):
        assert optuna.get_all_study_names(database.url_of(one)) == ["better"]
    assert run("check", "results/better/study.db").code == 0
    assert "cellsearch search better" in run("status", "better", "--json").json["command"]


@pytest.mark.parametrize(
    ("old", "new", "code", "said"),
    [
        ("s", "s", 2, "is already called 's'"),
        ("s", "../t", 2, "cannot name a study"),
        ("s", ".t", 2, "cannot name a study"),
        ("s", "a/b", 2, "cannot name a study"),
        ("s", "there", 1, "already exists"),
        ("nosuch", "t", 1, "there is no search 'nosuch'"),
        ("../s", "t", 1, "there is no search '../s'"),
    ],
)
def test_a_rename_that_cannot_be_changes_nothing(
    run: Run, study: str, tmp_path: Path, old: str, new: str, code: int, said: str
) -> None:
    (tmp_path / "results" / "there").mkdir()
    before = board(run, study)
    done = run("rename", old, new)
    assert done.code == code and said in done.err and done.out == ""
    assert board(run, study) == before
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == [study, "there"]


def test_an_interrupted_rename_is_completed_by_the_same_command(run: Run, study: str, tmp_path: Path) -> None:
    before = board(run, study)
    store = records.open_study(database.url_of(tmp_path / "results" / study / "study.db"), study)
    with transactions.writing(store) as connection:
        records.rename(connection, store, "t")
    store.engine.dispose()
    assert "was copied or renamed: it holds the search t" in run("status", study).err
    assert run("rename", study, "t").code == 0
    assert board(run, "t") == before and not (tmp_path / "results" / study).exists()


def test_a_folder_that_cannot_be_renamed_leaves_the_name(
    run: Run, study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(self: Path, target: Path) -> None:
        raise PermissionError(13, "Permission denied")

    before = board(run, study)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", refused)
        done = run("rename", study, "t")
    assert done.code == 1 and "cannot rename results/s: Permission denied" in done.err
    assert board(run, study) == before


@pytest.mark.long
def test_in_a_database_one_search_is_renamed_or_deleted(run: Run, tmp_path: Path) -> None:
    url = several(tmp_path / "elsewhere")
    logs = tmp_path / "results" / "a" / "logs"
    logs.mkdir(parents=True)
    (logs / "worker-1.log").write_text("said\n")
    before = {name: board(run, name, "--storage", url) for name in ("a", "b")}
    done = run("rename", "a", "b", "--storage", url)
    assert done.code == 1 and "there is a study 'b'" in done.err
    assert run("rename", "a", "c", "--storage", url).code == 0
    assert board(run, "c", "--storage", url) == before["a"]
    assert (tmp_path / "results" / "c" / "logs" / "worker-1.log").read_text() == "said\n"

    assert run("delete", "c", "--storage", url, "--yes").code == 0
    assert not (tmp_path / "results" / "c").exists()
    assert [entry["name"] for entry in run("searches", "--storage", url, "--json").json["searches"]] == ["b"]
    assert board(run, "b", "--storage", url) == before["b"]
    assert run("check", url).code == 0
    with sqlite3.connect(tmp_path / "elsewhere" / "study.db") as connection:
        for table, column in (
            ("trials", "study_id"),
            ("cellsearch_item", "study"),
            ("cellsearch_cell", "study"),
        ):
            assert connection.execute(f"SELECT count(DISTINCT {column}) FROM {table}").fetchone() == (1,)
        trials = "SELECT count(*) FROM trial_params WHERE trial_id NOT IN (SELECT trial_id FROM trials)"
        assert connection.execute(trials).fetchone() == (0,)
    connection.close()
    assert run("delete", "b", "--storage", url, "--yes").code == 0
    assert run("searches", "--storage", url, "--json").json == {"searches": []}


@pytest.mark.long
def test_a_folder_with_searches_of_others_is_not_touched(run: Run, tmp_path: Path) -> None:
    several(tmp_path / "results" / "a")
    for words in (["rename", "a", "c"], ["delete", "a", "--yes"], ["archive", "a"]):
        done = run(*words)
        assert done.code == 1 and "has other searches too: b" in done.err
    url = "sqlite:///results/a/study.db"
    before = board(run, "b", "--storage", url)
    assert run("delete", "a", "--yes", "--storage", url).code == 0
    assert board(run, "b", "--storage", url) == before


# ----- delete -----


def test_without_a_terminal_yes_is_needed(run: Run, study: str, tmp_path: Path) -> None:
    before = board(run, study)
    done = run("delete", study)
    assert done.code == 2 and "give --yes" in done.err and board(run, study) == before
    done = run("delete", study, "--yes")
    assert done.code == 0 and f"deleted {study}" in done.err
    assert list((tmp_path / "results").iterdir()) == []
    assert run("delete", study, "--yes").code == 1


@pytest.mark.long
@pytest.mark.parametrize(("answer", "code"), [("n\n", 1), ("\n", 1), ("yes\n", 0)])
def test_on_a_terminal_it_asks(study: str, tmp_path: Path, answer: str, code: int) -> None:
    leader, follower = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TERM": "dumb"}
    process = subprocess.Popen(
        [sys.executable, "-m", "cellsearch", "delete", study], cwd=tmp_path, env=environment,
        stdin=follower, stdout=subprocess.PIPE, stderr=follower,
    )  # fmt: skip
    os.close(follower)
    said = b""
    while b"[y/N]" not in said:
        said += os.read(leader, 4_096)
    assert b"delete the search s (20 trials, " in said
    os.write(leader, answer.encode())
    out, _ = process.communicate(timeout=60)
    os.close(leader)
    assert process.returncode == code and out == b""
    assert (tmp_path / "results" / study).exists() == bool(code)


def test_links_are_not_followed(run: Run, study: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("keep")
    (tmp_path / "results" / study / "cells").symlink_to(outside)
    (tmp_path / "results" / "linked").symlink_to(tmp_path / "results" / study)
    done = run("delete", "linked", "--yes")
    assert done.code == 1 and "is a symbolic link" in done.err
    assert run("delete", study, "--yes").code == 0
    assert (outside / "precious").read_text() == "keep"


def test_the_database_of_another_search_is_not_taken_for_ones_own(
    run: Run, study: str, tmp_path: Path
) -> None:
    other = tmp_path / "results" / "other"
    other.mkdir()
    (other / "study.db").symlink_to(tmp_path / "results" / study / "study.db")
    before = board(run, study)
    for words in (["rename", "other", "t"], ["delete", "other", "--yes"], ["archive", "other"]):
        done = run(*words)
        assert done.code == 1 and "results/other/study.db is a symbolic link" in done.err
    assert board(run, study) == before and not (tmp_path / "other.tar.gz").exists()


def test_what_a_killed_command_left_is_removed(run: Run, study: str, tmp_path: Path) -> None:
    for name in (".deleting-1", ".restoring-2"):
        (tmp_path / "results" / name).mkdir()
        (tmp_path / "results" / name / "study.db").write_text("x")
    assert run("searches", "--json").json["searches"][0]["name"] == study
    assert run("delete", study, "--yes").code == 0
    assert list((tmp_path / "results").iterdir()) == []


# ----- while it runs -----


@contextmanager
def sleeping() -> Iterator[int]:
    """A process that does nothing."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


VERBS = (["rename", "s", "t"], ["delete", "s", "--yes"], ["archive", "s"])


@pytest.mark.long
def test_a_search_that_runs_is_left_alone(run: Run, tmp_path: Path) -> None:
    results = tmp_path / "results"
    process = start(results, 1, 12, 0.05)

    def recorded() -> bool:
        store = records.find(database.url_of(results / "s" / "study.db"), "s")
        return store is not None and bool(heartbeat.listed(store))

    until(recorded)
    for words in VERBS:
        done = run(*words)
        assert done.code == 1 and "is already running on this machine" in done.err, done.err
    assert end(process) == (0, "")
    assert run("status", "s", "--json").json["state"] == "finished"
    assert sorted(path.name for path in results.iterdir()) == ["s"]
    for words in VERBS[:1]:
        assert run(*words).code == 0


def test_a_worker_of_this_machine_keeps_a_search(run: Run, study: str, tmp_path: Path) -> None:
    store = records.open_study(database.url_of(tmp_path / "results" / study / "study.db"), study)
    before = board(run, study)
    with sleeping() as pid:
        heartbeat.register(store, heartbeat.identity("worker", pid))
        for words in VERBS:
            done = run(*words)
            assert done.code == 1 and "the search 's' is running: " in done.err and f":{pid}" in done.err
    assert board(run, study) == before
    store.engine.dispose()
    assert run("rename", study, "t").code == 0  # the worker is dead


def test_a_worker_of_another_machine_is_waited_for(
    run: Run, study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cellsearch.study.manage import hold

    store = records.open_study(database.url_of(tmp_path / "results" / study / "study.db"), study)
    worker = Worker("w", "worker", "elsewhere#1", 1, "1")
    heartbeat.register(store, worker)
    with monkeypatch.context() as patch:
        patch.setattr(hold.time, "sleep", lambda seconds: heartbeat.beat(store, worker, "trains"))
        for words in VERBS:
            done = run(*words)
            assert done.code == 1 and "is running: elsewhere:1" in done.err
            assert "waiting up to 60 s for heartbeats" in done.err
    clock = iter(range(10_000))
    monkeypatch.setattr(hold.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(hold.time, "monotonic", lambda: float(next(clock)))
    assert run("rename", study, "t").code == 0  # no heartbeat for a minute
    store.engine.dispose()


@pytest.mark.long
def test_a_deleted_search_begins_again(run: Run, tmp_path: Path) -> None:
    results = tmp_path / "results"
    assert end(start(results, 1, 4)) == (0, "")
    before = board(run, "s")
    assert run("delete", "s", "--yes").code == 0
    assert end(start(results, 1, 4)) == (0, "")
    after = board(run, "s")
    assert json.dumps(after["rows"]) == json.dumps(before["rows"])
