"""F5 and F6: a full disk at every kind of write; folders that may not be written to, that vanish, that are moved."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cellsearch.errors import RunError
from cellsearch.study.storage import heartbeat, trials
from cellsearch.study.storage.heartbeat import Heart
from cellsearch.study.tables import outbox, queries, records
from cellsearch.study.workers import worker
from tests.faults.processes import Search, end, until
from tests.faults.shim import Shim
from tests.faults.witness import Witness, accounts, board, command, undisturbed
from tests.study.scripted import Scripted, new_study, one_of, searched, space_of

pytestmark = pytest.mark.long

TRIALS = 24
SLOW = {"seconds": 0.02}


def refused(found: tuple[int, str], *said: str) -> None:
    """A clear message of a few lines with a remedy, and the exit code of a failure."""
    code, message = found
    assert code == 1, message
    assert "Traceback" not in message and 2 <= len(message.splitlines()) <= 4
    assert any(one in message for one in said), message


def test_a_full_disk_at_every_kind_of_write(folder: Path, shim: Shim) -> None:
    search = Search(folder / "results", {"trials": TRIALS, "wrong": SLOW}, shim.environment)
    witness = Witness(search.url)
    for at_start in ("results/s", "search.lock", "study.db", "space.yaml", "logs/"):
        shim.fill(at_start)
        refused(search.run(), "free some space", "has free space")
        shim.free()
        witness.look()
    for later, wanted in (("study.db", 9), ("cells/", 50)):
        process = search.start()
        until(lambda: search.settings() >= wanted, process)  # noqa: B023
        witness.look()
        shim.fill(later)
        refused(end(process), "the disk is full; free some space", "free some space, or change permissions")
        shim.free()
        witness.look()
        assert not [path for path in (folder / "results").rglob("*") if "partial" in path.name]
    shim.fill(
        "/search."
    )  # the lock is held all the same, only its number is missing; the log is made up for later
    assert search.run(wrong={}) == (0, "")
    witness.look()
    accounts(search.url, TRIALS)
    assert board(search.url) == undisturbed(folder, TRIALS)


def test_what_was_trained_when_the_database_refused_is_not_trained_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its disk is full, or its password was changed: to ask again is no use, and what was trained waits in a file."""
    store, lab, commit = new_study(folder, space_of(), 2), Scripted(), trials.commit
    refusals: list[str] = []

    def refuse(*arguments: Any) -> Any:
        if len(refusals) < len(lab.runs) // 9:
            refusals.append(arguments[3])
            raise RunError("the disk is full; free some space")
        return commit(*arguments)

    monkeypatch.setattr(trials, "commit", refuse)
    for _ in range(50):
        heart = Heart(store, heartbeat.myself("worker"), 10)
        kept = outbox.outbox(folder / "outbox", records.facts(store))
        try:
            worker.work(store, space_of(), lab, one_of(40), heart, outbox=kept)
            break
        except RunError:
            assert len(list((folder / "outbox").iterdir())) == 1
            heartbeat.leave(store, [heart.worker.id], heart.worker.id, failures=10)
    assert len(refusals) > 4
    assert len(set(lab.runs)) == len(lab.runs) == queries.counts(store).settings
    assert not list((folder / "outbox").iterdir())
    store.engine.dispose()
    assert board(store.url) == undisturbed(folder, 2)


@pytest.mark.soak
def test_files_that_may_not_grow(folder: Path) -> None:
    """A limit of the system on the size of files (`ulimit -f`): every write behind it fails, in every process."""
    search = Search(folder, {"trials": TRIALS, "wrong": SLOW})
    refused(search.run(file_limit=700_000), "the disk cannot be written", "the disk is full")
    witness = Witness(search.url)
    assert witness.look()
    assert search.run() == (0, "")
    witness.look()
    accounts(search.url, TRIALS)


@contextmanager
def mounted(at: Path, size: str) -> Iterator[Callable[[str], None]]:
    """A small disk, and what gives it another size."""
    at.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(at)], check=False
    ).returncode:
        pytest.skip("may not mount a disk here")

    def resize(size: str) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", str(at)], check=True)

    try:
        yield resize
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)


@pytest.mark.soak
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="only root may mount a disk")
@pytest.mark.parametrize("kilobytes", range(200, 560, 40))
def test_a_small_disk_that_is_given_more_room(tmp_path: Path, kilobytes: int) -> None:
    """A real disk, full at another point of the search each time."""
    with mounted(tmp_path / "small", f"{kilobytes}k") as resize:
        search = Search(tmp_path / "small", {"trials": 40, "workers": 2, "wrong": {"seconds": 0.01}})
        refused(search.run(), "free some space", "has free space")
        witness = Witness(search.url)
        if (tmp_path / "small" / "s" / "study.db").exists():
            resize("1m")
            witness.look()
        resize("64m")
        assert search.run() == (0, "")
        witness.look()
        accounts(search.url, 40)
        assert command("check", str(tmp_path / "small" / "s" / "study.db"))[0] == 0


PRIVILEGES = "-dac_override,-dac_read_search"  # with these, root may do everything


def unprivileged() -> list[str]:
    """Words in front of a command that is to be stopped by permissions."""
    if os.geteuid() != 0:
        return []
    if not shutil.which("setpriv"):
        pytest.skip("root may write everywhere, and there is no setpriv to give that up")
    return ["setpriv", "--bounding-set", PRIVILEGES, "--inh-caps", PRIVILEGES]


def all_of(folder: Path, files: int, folders: int) -> None:
    """The permissions of everything in a folder, and its own."""
    folder.chmod(0o700)
    for path in [*folder.rglob("*")]:
        path.chmod(0o700)
    for path in sorted(folder.rglob("*"), reverse=True):
        path.chmod(folders if path.is_dir() else files)
    folder.chmod(folders)


@pytest.mark.soak
def test_permissions_that_are_lost_in_the_middle(folder: Path) -> None:
    search = Search(folder, {"trials": 400, "wrong": SLOW}, before=unprivileged())
    mine, witness = folder / "s", Witness(search.url)

    def of_database() -> None:
        for file in mine.glob("study.db*"):
            file.chmod(0o400)

    for lose in (lambda: (mine / "cells").chmod(0o500), of_database, lambda: all_of(mine, 0, 0)):
        process, before = search.start(), search.settings()
        until(lambda: search.settings() >= before + 8, process)  # noqa: B023
        witness.look()
        lose()
        try:
            refused(end(process, 1.0), "change permissions", "change its permissions")
        except subprocess.TimeoutExpired:
            pass  # what is open stays open; then it was killed
        refused(search.run(), "change permissions", "change its permissions", "change the permissions")
        all_of(mine, 0o600, 0o700)
        witness.look()
    done = witness.counts["trials"]
    assert search.run(trials=done + 2, wrong={}) == (0, "")
    witness.look()
    accounts(search.url, done + 2)


def test_a_finished_search_is_read_where_nothing_may_be_written(folder: Path) -> None:
    search = Search(folder / "results")
    searched(folder / "results" / "s", Scripted(), space_of(), one_of(40), 2).engine.dispose()
    expected = board(search.url)
    all_of(folder / "results", 0o400, 0o500)
    before = sorted((folder / "results" / "s").iterdir())
    words = [*unprivileged(), *search.python, "-m", "cellsearch"]
    for verb in (
        ["leaderboard", "s", "--json", "--all"],
        ["status"],
        ["show", "s:1"],
        ["check", "results/s/study.db"],
    ):
        done = subprocess.run(
            [*words, *verb], cwd=folder, env=search.variables, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        if "--json" in verb:
            assert expected["rows"][0]["text"] in done.stdout.encode().decode("unicode_escape")
    assert sorted((folder / "results" / "s").iterdir()) == before
    all_of(folder / "results", 0o600, 0o700)


@pytest.mark.parametrize(
    "fault",
    [
        "deleted",
        pytest.param("moved", marks=pytest.mark.soak),
        pytest.param("replaced", marks=pytest.mark.soak),
    ],
)
def test_a_database_that_vanishes_ends_the_search_with_it(folder: Path, fault: str) -> None:
    """SQLite would go on for ever in a file that nobody can see any more."""
    search = Search(folder, {"trials": 400, "wrong": SLOW})
    mine, aside = folder / "s", folder / "aside"
    process = search.start()
    until(lambda: search.settings() >= 20, process)
    witness = Witness(search.url)
    witness.look()
    if fault == "deleted":
        shutil.rmtree(mine, ignore_errors=True)
    elif fault == "moved":
        mine.rename(aside)
    else:
        (mine / "study.db").rename(mine / "old.db")
        (mine / "study.db").write_bytes(b"")
    refused(end(process, 30), "was deleted, moved or replaced while it was in use", "change permissions")
    if fault == "moved":
        shutil.rmtree(mine, ignore_errors=True)
        aside.rename(mine)
        witness.look()  # put back, everything that was shown is there
        assert search.run(trials=2, wrong={}) == (0, "")
        accounts(search.url, 2)


def test_imports_and_exports_on_a_full_disk_are_whole_or_absent(folder: Path, shim: Shim) -> None:
    recipe = json.dumps({"h_new_0": {"op": "linear", "input": ["x", "h_prev_0"]}})
    (folder / "recipe.json").write_text(recipe)
    environment = Search(folder, environment=shim.environment).variables
    imports = ["import", "recipe.json", "--to", "out"]
    exports = ["export", "gru", "--to", "latex", "--out", "out/gru.tex"]
    for words, name in ((imports, "recipe.cell"), (exports, "gru.tex")):
        command = [sys.executable, "-m", "cellsearch", *words]
        for pattern in ("out", name[:4])[: 1 + (words == imports)]:
            shim.fill(pattern)
            done = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True, check=False
            )
            refused((done.returncode, done.stderr), "free some space")
            assert not list(folder.rglob(f"*{name}*"))
            shim.free()
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert (folder / "out" / name).stat().st_size > 50
