"""Folders in results/ that hold no search, a damaged one, or a copy: they keep no other search from being read."""

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from cli.conftest import Run

from cellsearch.study import studies
from cellsearch.study.space import load_space
from cellsearch.study.tables import database
from cellsearch.study.workers import run as running
from cellsearch.study.workers.run import Options
from tests.study.scripted import Scripted, one_of, searched, space_of


def copied(folder: Path, sound: Path) -> None:
    shutil.copy(sound, folder / "study.db")


def random(folder: Path, _sound: Path) -> None:
    (folder / "study.db").write_bytes(os.urandom(20_000))


def empty(folder: Path, _sound: Path) -> None:
    (folder / "study.db").touch()


def fifo(folder: Path, _sound: Path) -> None:
    os.mkfifo(folder / "study.db")


def dangling(folder: Path, _sound: Path) -> None:
    (folder / "study.db").symlink_to("/no/such/file")


def round_and_round(folder: Path, _sound: Path) -> None:
    (folder / "study.db").symlink_to(folder / "study.db")


def directory(folder: Path, _sound: Path) -> None:
    (folder / "study.db").mkdir()


def other(folder: Path, _sound: Path) -> None:
    with closing(sqlite3.connect(folder / "study.db")) as connection:
        connection.execute("CREATE TABLE a (b)")


def cut_off(folder: Path, sound: Path) -> None:
    (folder / "study.db").write_bytes(sound.read_bytes()[:30_000])


def unreadable_space(folder: Path, _sound: Path) -> None:
    store = searched(folder, Scripted(), space_of(), one_of(3), trials=2)
    store.engine.dispose()
    with closing(sqlite3.connect(folder / "study.db", isolation_level=None)) as connection:
        connection.execute("UPDATE cellsearch_study SET space = 'tasks: ['")
        connection.execute("UPDATE studies SET study_name = ?", (folder.name,))


def unreadable_baseline(folder: Path, sound: Path) -> None:
    unreadable_space(folder, sound)
    with closing(sqlite3.connect(folder / "study.db", isolation_level=None)) as connection:
        connection.execute("UPDATE cellsearch_study SET space = ?, baseline = '[1]'", (space_of().text,))


ODD: dict[
    str, tuple[Callable[[Path, Path], None], str]
] = {  # name of a folder -> what is in it, what is said
    "s (copy)": (copied, "results/s (copy): this is not a valid name of a search"),
    "s.bak": (copied, "results/s.bak: this is the search s, in a folder that was copied or renamed"),
    "e\x1b[31m\u202e": (copied, "results/e\\x1b[31m\\u202e: this is not a valid name of a search"),
    "random": (random, "results/random: file is not a database"),
    "empty": (empty, "results/empty: study.db holds no search"),
    "fifo": (fifo, "results/fifo: study.db is a FIFO, not a database"),
    "dangling": (dangling, "results/dangling: study.db holds no search"),
    "loop": (round_and_round, "results/loop: "),
    "directory": (directory, "results/directory: study.db is a directory, not a database"),
    "other": (other, "results/other: study.db holds no search"),
    "cut": (cut_off, "results/cut: "),
    "space": (unreadable_space, "space: "),
    "baseline": (unreadable_baseline, "baseline: "),
}


def put(name: str) -> str:
    """Makes the folder, newer than the others; what is said of it."""
    make, said = ODD[name]
    folder = Path("results", name)
    folder.mkdir()
    make(folder, Path("results", "s", "study.db"))
    if (file := folder / "study.db").is_file():
        os.utime(file, (2_000_000_000, 2_000_000_000))
    return said


@pytest.mark.long
@pytest.mark.parametrize("name", ODD)
def test_an_odd_folder_is_one_line_and_the_others_are_read(run: Run, study: str, name: str) -> None:
    alone = run("status")
    board, mark = run("leaderboard"), run("show", "s:1", "--json").json["fingerprint"]
    said = put(name)
    done = run("status")
    assert (done.code, done.out) == (0, alone.out)
    (line,) = done.err.splitlines()
    assert line.startswith(f"not read: {said}")
    found = run("status", "--json")
    assert (found.code, found.err) == (0, "")
    assert [one["name"] for one in found.json["searches"]] == ["s"]
    assert [line] == [f"not read: {one}" for one in found.json["unread"]]
    if name not in ("space", "baseline"):  # which can be opened, and is the newest
        assert run("leaderboard").out == board.out
    assert run("show", mark[:12]).code == 0
    assert run("show", "s:1").code == run("status", "s").code == 0
    none = run("show", "0a0b0c0d0e")
    assert none.code == 1 and "no cell has a fingerprint" in none.err


@pytest.mark.long
def test_all_of_them_together_are_listed(run: Run, study: str) -> None:
    for name in ODD:
        put(name)
    done = run("status")
    assert done.code == 0 and "finished" in done.out
    assert len(done.err.splitlines()) == studies.FEW + 1 and done.err.endswith("not read: 3 more\n")
    assert len(run("status", "--json").json["unread"]) == len(ODD)


def test_where_nothing_can_be_read_that_is_said(run: Run, study: str) -> None:
    put("random")
    shutil.rmtree("results/s")
    for words in (("status",), ("leaderboard",), ("status", "--json")):
        done = run(*words)
        assert (done.code, done.out) == (1, "")
        assert "that can be read:\n  results/random: file is not a database\nstart one with" in done.err


@pytest.mark.parametrize("verb", ["worker", "search", "launch", "archive", "rename", "delete"])
def test_nothing_is_written_to_a_copy(run: Run, study: str, verb: str) -> None:
    put("s.bak")
    words = {
        "search": ("search", "quick", "--name", "s.bak", "--trials", "1"), "delete": ("delete", "s.bak", "--yes"),
        "launch": ("launch", "s.bak", "--on", "ray"), "rename": ("rename", "s.bak", "t"),
    }.get(verb, (verb, "s.bak"))  # fmt: skip
    before = Path("results/s.bak/study.db").read_bytes()
    done = run(*words)
    assert done.code == (2 if verb == "launch" else 1) and done.out == ""
    if verb in ("worker", "search"):
        said, remedy = done.err.splitlines()[-2:]
        assert "this is the search s, in a folder that was copied or renamed" in said
        assert run(*remedy.rpartition("cellsearch ")[2].split(), "--json").json["name"] == "s"  # it works
    assert Path("results/s.bak/study.db").read_bytes() == before
    Path("results/s").rename("results/old")
    Path("results/s.bak").rename("results/s")  # and so does the other one
    assert run("status", "s", "--json").json["name"] == "s"


READS = [
    ("status", "{}"), ("status", "{}", "--settings"), ("leaderboard", "{}"), ("leaderboard", "{}", "--pareto"),
    ("leaderboard", "{}", "--format", "csv"), ("show", "{}:1"), ("export", "{}:1", "--force"),
]  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("words", READS, ids=" ".join)
def test_a_copy_is_read(run: Run, study: str, words: tuple[str, ...]) -> None:
    """As the search itself is, with one message and no command that goes on with it; not a byte changes."""
    shutil.copytree("results/s", "results/s.bak")
    before = {path: path.read_bytes() for path in Path("results/s.bak").rglob("*") if path.is_file()}
    done = run(*(word.format("s.bak") for word in words))
    own = run(*(word.format("s") for word in words))
    shown = [line for line in own.out.splitlines() if not line.startswith(("continue", "export the winner"))]
    assert done.code == 0 and {line.replace("s.bak", "s") for line in done.out.splitlines()} >= set(shown)
    assert "cellsearch search" not in done.out
    assert done.err.splitlines()[0] == "results/s.bak was copied or renamed: it holds the search s, read only"
    assert "to continue it, rename the folder to s" in done.err
    after = {path: path.read_bytes() for path in Path("results/s.bak").rglob("*") if path.is_file()}
    assert before == {path: content for path, content in after.items() if path in before}


def test_the_board_of_a_copy_names_its_own_cells(run: Run, study: str) -> None:
    put("s.bak")
    shutil.rmtree("results/s")
    command = run("leaderboard", "s.bak").out.splitlines()[-1].partition("cellsearch ")[2].split()
    assert command[:2] == ["export", "s.bak:1"] and run(*command).code == 0
    (entry,) = run("searches", "--json").json["searches"]
    assert (entry["name"], entry["state"], entry["error"]) == ("s.bak", "copy", "")


def test_the_newest_is_found_by_times_of_files(run: Run, study: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for k in range(5):
        shutil.copytree("results/s", f"results/old{k}")
        os.utime(f"results/old{k}/study.db", (1_000_000_000 + k, 1_000_000_000 + k))
    opened, connect = [], database.connect
    monkeypatch.setattr(database, "connect", lambda url, **how: opened.append(url) or connect(url, **how))
    assert studies.newest() == "s"
    assert opened == ["sqlite:///results/s/study.db"]


def test_a_search_that_does_not_start_leaves_nothing(tmp_path: Path, run: Run) -> None:
    done = run("search", "jozefowicz2015", "--data", str(tmp_path / "none"))
    assert done.code == 1 and "none" in done.err
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "results" / "other").mkdir(parents=True)
    assert run("search", "jozefowicz2015", "--data", str(tmp_path / "none")).code == 1
    assert [path.name for path in tmp_path.rglob("*")] == ["results", "other"]


@pytest.mark.parametrize("there", ["notes.txt", "logs/search.jsonl", "cells/a.cell"])
def test_what_was_there_stays_where_a_search_does_not_start(tmp_path: Path, there: str) -> None:
    path = tmp_path / "results" / "t" / there
    path.parent.mkdir(parents=True)
    path.write_text("{}")

    def digests(_seed: int) -> dict[str, str]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        running.search(load_space("quick"), "t", digests, Options(results=tmp_path / "results"))
    kept = {file for file in (tmp_path / "results").rglob("*") if file.is_file()}
    assert kept - {tmp_path / "results" / "t" / "search.lock"} == {path}
    assert json.loads(path.read_text()) == {}
