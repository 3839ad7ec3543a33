"""A folder of a search that somebody else has made: what leads elsewhere is neither followed nor written to."""

import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from cellsearch import files
from cellsearch.errors import RunError
from cellsearch.files import UnsafeError
from cellsearch.study.launch import slurm
from cellsearch.study.leaderboard import board
from cellsearch.study.leaderboard.events import Journal, JournalError, events
from cellsearch.study.system import processes
from cellsearch.study.tables import database, records
from cellsearch.study.tables.outbox import Outbox
from cellsearch.study.tables.work_items import Item
from cellsearch.study.workers import run
from cellsearch.study.workers.agent import AgentConfig, join
from cellsearch.study.workers.pool import Pool, WorkerConfig
from cellsearch.study.workers.run import Options
from cellsearch.train.outcome import Outcome
from tests.study.scripted import DIGESTS, Scripted, new_study, one_of, searched, space_of

SPACE = space_of()
PRECIOUS = b"precious\n" * 100
FILES = (
    "search.lock",
    "logs/search.jsonl",
    "space.yaml",
    "study.db",
    "study.db-wal",
    "study.db-shm",
    "study.db-journal",
)
FOLDERS = (".", "cells", "logs", "outbox")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A file of the user that no search may change."""
    (tmp_path / "outside").mkdir()
    path = tmp_path / "outside" / "precious"
    path.write_bytes(PRECIOUS)
    return path


def tree(folder: Path) -> dict[str, bytes]:
    """All that is in a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def linked(path: Path, outside: Path) -> None:
    path.symlink_to(outside)


def dangling(path: Path, outside: Path) -> None:
    path.symlink_to(outside.with_name("new"))


def round_and_round(path: Path, _outside: Path) -> None:
    path.symlink_to(path)


def hard(path: Path, outside: Path) -> None:
    path.hardlink_to(outside)


def fifo(path: Path, _outside: Path) -> None:
    os.mkfifo(path)


def device(path: Path, _outside: Path) -> None:
    path.symlink_to("/dev/zero")


TRAPS = {trap.__name__: trap for trap in (linked, dangling, round_and_round, hard, fifo, device)}


def refused(call: Callable[[], object], path: Path, error: type[RunError] = UnsafeError) -> str:
    """That a call ends with one message that says where, what and what to do."""
    with pytest.raises(error) as caught:
        call()
    where, remedy = str(caught.value).splitlines()
    assert where.startswith(f"{path} is ") and "then run the same command again" in remedy
    return where


def start(results: Path, command: Sequence[str] = ("false",)) -> int:
    return run.search(SPACE, "s", lambda _: DIGESTS, Options(results=results, command=command))


@pytest.mark.long
@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("name", FILES)
def test_a_search_does_not_start_where_a_file_leads_elsewhere(
    tmp_path: Path, outside: Path, name: str, trap: str
) -> None:
    path = tmp_path / "results" / "s" / name
    path.parent.mkdir(parents=True)
    if name.startswith("study.db-"):
        new_study(tmp_path / "results" / "s", SPACE).engine.dispose()
    if name == "space.yaml" and trap == "hard":
        return  # it is replaced, never written to
    TRAPS[trap](path, outside)
    refused(lambda: start(tmp_path / "results"), path)
    assert tree(outside.parent) == {"precious": PRECIOUS}


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("name", FOLDERS)
def test_a_search_does_not_start_where_a_folder_leads_elsewhere(
    tmp_path: Path, outside: Path, name: str, there: bool
) -> None:
    path = tmp_path / "results" / "s" / name
    path.parent.mkdir(parents=True)
    path.symlink_to(outside.parent / ("" if there else "new"))
    assert "a symbolic link" in refused(lambda: start(tmp_path / "results"), path)
    assert tree(outside.parent) == {"precious": PRECIOUS}


@pytest.mark.parametrize("name", [".", "logs"])
def test_nobody_joins_where_a_folder_leads_elsewhere(tmp_path: Path, outside: Path, name: str) -> None:
    (tmp_path / "db").mkdir()
    url = new_study(tmp_path / "db", SPACE).url
    path = tmp_path / "results" / "s" / name
    path.parent.mkdir(parents=True)
    path.symlink_to(outside.parent)
    refused(lambda: join(AgentConfig("s", url, str(tmp_path / "results")), lambda _: None, ("false",)), path)
    assert tree(outside.parent) == {"precious": PRECIOUS}


@pytest.mark.parametrize("trap", TRAPS)
def test_locks_and_logs_are_not_written_through_links(tmp_path: Path, outside: Path, trap: str) -> None:
    path = tmp_path / "here"
    TRAPS[trap](path, outside)

    def hold() -> None:
        with processes.exclusive(path, "it"):
            pytest.fail("held")

    refused(hold, path)
    refused(lambda: Journal(path).append("message", {"text": "hello"}), path, JournalError)
    log = tmp_path / "worker-1.log"
    TRAPS[trap](log, outside)
    pool = Pool(("cpu",), WorkerConfig("s", "sqlite:///none", "cpu", None), ("false",), tmp_path)
    refused(lambda: pool.fill(1), log)
    assert pool.children == []
    assert tree(outside.parent) == {"precious": PRECIOUS}


def test_what_becomes_a_link_while_it_is_opened_is_not_written_to(
    tmp_path: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, fstat = tmp_path / "a", os.fstat
    path.touch()

    def more(handle: int) -> os.stat_result:
        if not (tmp_path / "b").exists():
            (tmp_path / "b").hardlink_to(path)
        return fstat(handle)

    monkeypatch.setattr(os, "fstat", more)
    refused(lambda: files.open_own(path, os.O_WRONLY), path)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be other users")
@pytest.mark.parametrize(
    ("me", "owner", "of_folder", "good"),
    [(0, 0, 0, True), (0, 7, 0, True), (7, 7, 0, True), (7, 8, 0, False), (7, 0, 8, False), (7, 8, 8, True)],
)
def test_files_of_other_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, me: int, owner: int, of_folder: int, good: bool
) -> None:
    (path := tmp_path / "log").touch()
    os.chown(path, owner, 0)
    os.chown(tmp_path, of_folder, 0)
    monkeypatch.setattr(os, "geteuid", lambda: me)
    if good:
        os.close(files.open_own(path, os.O_WRONLY | os.O_APPEND))
    else:
        with pytest.raises(UnsafeError, match=f"belongs to another user \\({owner}\\).*\nchange its owner"):
            files.open_own(path, os.O_WRONLY | os.O_APPEND)


@pytest.mark.parametrize("trap", TRAPS)
def test_what_is_written_whole_replaces_a_link(tmp_path: Path, outside: Path, trap: str) -> None:
    path = tmp_path / "a.cell"
    TRAPS[trap](path, outside)
    TRAPS[trap](tmp_path / f".a.cell.{os.getpid()}.partial", outside)
    files.write_text(path, "new")
    assert stat.S_ISREG(path.lstat().st_mode) and path.read_text() == "new"
    assert tree(outside.parent) == {"precious": PRECIOUS}


@pytest.mark.parametrize("trap", TRAPS)
def test_what_is_kept_for_later_stays_in_the_folder(tmp_path: Path, outside: Path, trap: str) -> None:
    item = Item(14, 0, 15, "propose", "a" * 64, "b" * 64, "")
    outcomes = (Outcome("rate=3", "done", 0.5, 0.5, 3, 8, 100),)
    (tmp_path / "link").symlink_to(outside.parent)
    path = tmp_path / "link"
    refused(lambda: Outbox(path, "s").keep(item, "xml", outcomes, 1.0), path)
    kept = Outbox(tmp_path / "outbox", "s")
    kept.folder.mkdir()
    TRAPS[trap](kept._path(item, "xml"), outside)
    assert kept.find(item, "xml", ["rate=3"]) is None  # at once
    kept.keep(item, "xml", outcomes, 1.0)
    assert kept.find(item, "xml", ["rate=3"]) == (outcomes, 1.0)
    assert tree(outside.parent) == {"precious": PRECIOUS}


def test_orders_are_not_written_through_links(tmp_path: Path, outside: Path) -> None:
    path = tmp_path / "s" / "launch"
    path.parent.mkdir()
    path.symlink_to(outside.parent)
    refused(lambda: slurm.written(path, AgentConfig("s", "sqlite:///s.db")), path)
    assert tree(outside.parent) == {"precious": PRECIOUS}


def test_a_log_that_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(path := tmp_path / "search.jsonl")
    with pytest.raises(files.NotRegularError):
        list(events(path))


@pytest.mark.parametrize("side", ["-wal", "-shm", "-journal"])
def test_a_database_is_not_opened_whose_files_lead_elsewhere(
    tmp_path: Path, outside: Path, side: str
) -> None:
    searched(tmp_path / "s", Scripted(), SPACE, one_of(4), 2).engine.dispose()
    (tmp_path / "link.db").symlink_to(tmp_path / "s" / "study.db")
    path = tmp_path / "s" / f"study.db{side}"
    path.symlink_to(outside)
    for file in (tmp_path / "s" / "study.db", tmp_path / "link.db"):
        refused(lambda: database.connect(database.url_of(file)), path)  # noqa: B023
    assert tree(outside.parent) == {"precious": PRECIOUS}
    path.unlink()
    store = records.open_study(database.url_of(tmp_path / "link.db"), "s")  # the user's own link
    assert board.top(store, SPACE, 1)[0]
    store.engine.dispose()
