"""The files that SQLite keeps beside a database, deleted under a search; and the backup that it leaves."""

import gc
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from cellsearch.errors import RunError
from cellsearch.study.tables import database, integrity, records, schema, transactions
from cellsearch.study.tables.sqlite import backups, copies
from cellsearch.study.tables.transactions import Store
from tests.faults.processes import Search, end, until
from tests.faults.witness import Witness, accounts, command
from tests.study.scripted import Scripted, new_study, one_of, searched, space_of

pytestmark = pytest.mark.long

SLOW = {"seconds": 0.02}
SPACE = space_of()


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a finished search."""
    folder = tmp_path_factory.mktemp("study")
    searched(folder, Scripted(), SPACE, one_of(40), 6).engine.dispose()
    return folder / "study.db"


def sound(file: Path) -> bool:
    with closing(sqlite3.connect(file)) as connection:
        return bool(connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)])


def trained(file: Path) -> dict[tuple[object, ...], object]:
    """Every stage that is recorded, with its outcomes."""
    with closing(sqlite3.connect(file)) as connection:
        rows = connection.execute("SELECT trial, piece, task, outcomes FROM cellsearch_stage").fetchall()
    return {row[:3]: row[3] for row in rows}


def spend(store: Store) -> float:
    records.spend(store, 1.0)
    return records.facts(store).seconds


def by_another(file: Path, code: str) -> str:
    """What another process does with the database."""
    words = [sys.executable, "-c", f"import sqlite3; c = sqlite3.connect({str(file)!r}); {code}"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def removed(side: Path) -> None:
    side.unlink()


def replaced(side: Path) -> None:
    data = side.read_bytes()
    side.rename(side.with_name("aside"))
    side.write_bytes(data)


# ----- While it is open -----


@pytest.mark.parametrize("fault", [removed, replaced])
@pytest.mark.parametrize("side", ["-wal", "-shm"])
def test_the_next_transaction_is_refused(tmp_path: Path, side: str, fault: Callable[[Path], None]) -> None:
    store = new_study(tmp_path, SPACE)
    file = tmp_path / "study.db"
    spend(store)
    other = database.connect(store.url)  # of this process, that has seen nothing yet
    fault(path := tmp_path / f"study.db{side}")
    for _ in range(2):
        for engine in (store.engine, other):
            with pytest.raises(RunError) as caught, transactions.reading(engine, store.url):
                pytest.fail("read")
            first, *more = str(caught.value).splitlines()
            assert first == f"{path} was deleted or replaced while the database was in use"
            assert "end all processes of the search" in more[0]
    store.engine.dispose()
    other.dispose()
    if side == "-wal":
        assert "study.db.rescued has all records up to then" in more[0]
        with pytest.raises(
            RunError, match=r"study\.db lacks results.*\nstudy\.db\.rescued has them; end all"
        ):
            database.connect(store.url)
        (tmp_path / "study.db-wal").unlink(missing_ok=True)
        (tmp_path / "study.db-shm").unlink()
        (tmp_path / "study.db.rescued").rename(file)
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT seconds FROM cellsearch_study").fetchall() == [(1.0,)]
    assert sound(file)


def test_a_transaction_under_which_a_file_vanishes_is_not_committed(tmp_path: Path) -> None:
    store = new_study(tmp_path, SPACE)
    spend(store)
    with (
        pytest.raises(RunError, match=r"study\.db-shm was deleted"),
        transactions.writing(store) as connection,
    ):
        connection.execute(schema.studies.update().values(seconds=99.0))
        (tmp_path / "study.db-shm").unlink()
        assert (
            by_another(
                tmp_path / "study.db", "c.execute('UPDATE cellsearch_study SET seconds = 7'); c.commit()"
            )
            == ""
        )
    store.engine.dispose()
    file = tmp_path / "study.db"
    assert (
        by_another(file, "print(c.execute('SELECT seconds FROM cellsearch_study').fetchall())")
        == "[(7.0,)]\n"
    )
    assert sound(file)


def test_whoever_stops_does_not_remove_what_others_have_written(tmp_path: Path) -> None:
    """The last connection to close removes -wal, by the -shm that it knows."""
    code = (
        "import os, sys; from pathlib import Path; from cellsearch.errors import RunError\n"
        "from tests.faults.test_sides import *\n"
        "store = records.open_study(sys.argv[1], 's'); spend(store)\n"
        "print('open', flush=True); sys.stdin.readline()\n"
        "try: spend(store)\n"
        "except RunError as error: print(str(error).splitlines()[0], flush=True)\n"
        "if len(sys.argv) > 2: store.engine.dispose()\n"
    )
    for how in ([], ["dispose"]):
        (folder := tmp_path / str(len(how))).mkdir()
        new_study(folder, SPACE).engine.dispose()
        url, file = database.url_of(folder / "study.db"), folder / "study.db"
        process = subprocess.Popen(
            [sys.executable, "-c", code, url, *how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None and process.stdout.readline() == "open\n"
        (folder / "study.db-shm").unlink()
        # written, and then killed: nothing of it is in the file itself yet
        by_another(
            file, "c.execute('UPDATE cellsearch_study SET seconds = 7'); c.commit(); import os; os._exit(0)"
        )
        assert "study.db-shm was deleted" in process.communicate("go\n")[0]
        assert process.returncode == 0
        assert (
            by_another(file, "print(c.execute('SELECT seconds FROM cellsearch_study').fetchall())")
            == "[(7.0,)]\n"
        )
        assert sound(file)


def test_what_is_removed_in_order_is_no_fault(tmp_path: Path) -> None:
    store = new_study(tmp_path, SPACE)
    for k in range(3):
        assert spend(store) == k + 1
        by_another(tmp_path / "study.db", "c.execute('SELECT * FROM cellsearch_study').fetchall(); c.close()")
        if k == 1:
            store.engine.dispose()  # the last one: both files are gone
            assert [path.name for path in tmp_path.iterdir()] == ["study.db"]
    database.connect("sqlite://").connect().close()
    store.engine.dispose()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_reader_of_a_folder_that_is_read_only_has_none(tmp_path: Path) -> None:
    searched(tmp_path, Scripted(), SPACE, one_of(4), 2).engine.dispose()
    tmp_path.chmod(0o500)
    store = records.open_study(database.url_of(tmp_path / "study.db"), "s")
    for _ in range(3):
        records.facts(store)
    tmp_path.chmod(0o700)


# ----- The backup -----


def test_a_backup_is_what_was_recorded(tmp_path: Path) -> None:
    store = searched(tmp_path, Scripted(), SPACE, one_of(40), 6)
    file = tmp_path / "study.db"
    file.chmod(0o640)
    outside = tmp_path / "outside"
    outside.write_bytes(b"precious")
    (tmp_path / "study.db.backup").symlink_to(outside)
    for _ in range(2):
        backup = backups.back_up(file)
        assert backup == tmp_path / "study.db.backup" and not backup.is_symlink()
        assert backup.stat().st_mode & 0o777 == 0o640
        assert sound(backup) and trained(backup) == trained(file)
    assert outside.read_bytes() == b"precious"
    assert not list(tmp_path.glob(".*"))
    other = records.open_study(database.url_of(backup), "s")
    assert integrity.damages(other) == []
    other.engine.dispose()
    store.engine.dispose()
    assert not list(tmp_path.glob("*-*"))


def test_a_backup_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, fill = new_study(tmp_path, SPACE), copies._fill
    spend(store)

    def within(*arguments: object) -> None:
        with transactions.writing(store) as connection:  # somebody writes: what is not committed is not in it
            connection.execute(schema.studies.update().values(seconds=99.0))
            fill(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(copies, "_fill", within)
    backup = backups.back_up(tmp_path / "study.db")
    assert records.facts(store).seconds == 99.0
    with closing(sqlite3.connect(backup)) as connection:
        assert connection.execute("SELECT seconds FROM cellsearch_study").fetchall() == [(1.0,)]
    store.engine.dispose()


@pytest.mark.parametrize("name", ["_fill", "sync_folder", "create"])
def test_a_backup_that_fails_leaves_the_older_one(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    file = Path(shutil.copy(study, tmp_path))
    backups.back_up(file)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(copies, name, full)
        with pytest.raises(
            RunError, match=r"cannot write a backup of .*No space left on device\nfree some space"
        ):
            backups.back_up(file)
    assert trained(tmp_path / "study.db.backup") == trained(file)
    assert not list(tmp_path.glob(".*"))


def test_a_damaged_database_does_not_replace_its_backup(study: Path, tmp_path: Path) -> None:
    file = Path(shutil.copy(study, tmp_path))
    good = backups.back_up(file).read_bytes()
    data = bytearray(file.read_bytes())
    data[4096 * 8 : 4096 * 9] = random.Random(1).randbytes(4096)
    file.write_bytes(data)
    with pytest.raises(RunError, match=r"there is a backup of 20.*cp .*study\.db\.backup"):
        backups.back_up(file)
    assert (tmp_path / "study.db.backup").read_bytes() == good


@pytest.mark.parametrize("fault", ["zeros", "text", "half", "cut"])
def test_whoever_says_that_a_database_is_damaged_names_its_backup(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (folder := tmp_path / "results" / "s").mkdir(parents=True)
    file = Path(shutil.copy(study, folder))
    data = file.read_bytes()
    bad = {
        "zeros": bytes(len(data)),
        "text": b"hello " * 9_999,
        "half": data[: len(data) // 2],
        "cut": data[:-4096],
    }
    for there in (False, True):
        if there:
            file.write_bytes(data)
            backups.back_up(file)
        file.write_bytes(bad[fault])
        code, _, err = command("check", "results/s/study.db")
        assert code == 1 and "defect" not in err
        assert ("there is a backup of 20" in err and "study.db.backup" in err) == there, err
    order = err.partition("`")[2].partition("`")[0]  # what is said can be given to a shell
    subprocess.run(order.replace("\n", " "), shell=True, check=True)
    assert command("check", "results/s/study.db")[0] == 0


def test_a_database_that_lacks_what_its_backup_has_is_not_gone_on_with(study: Path, tmp_path: Path) -> None:
    file = Path(shutil.copy(study, tmp_path))
    store = records.open_study(database.url_of(file), "s")
    integrity.intact(store)
    backups.back_up(file)
    integrity.intact(store)
    with transactions.writing(store) as connection:
        last = connection.execute(select(schema.stages)).mappings().all()[-1]
        same = [schema.stages.c[name] == last[name] for name in ("trial", "piece", "task")]
        connection.execute(schema.stages.delete().where(*same))
    with pytest.raises(
        RunError, match=r"lacks results: its backup has .*\nthere is a backup of .*\n.*remove the backup"
    ):
        integrity.intact(store)
    with transactions.writing(store) as connection:
        connection.execute(insert(schema.stages).values(**last))
        connection.execute(insert(schema.stages).values(**(dict(last) | {"trial": 10_000})))
    integrity.intact(store)
    store.engine.dispose()


# ----- Under a living search -----


@pytest.mark.parametrize(
    ("side", "times"),
    [
        ("-shm", 4),
        pytest.param("-wal", 4, marks=pytest.mark.soak),
        pytest.param("-*", 4, marks=pytest.mark.soak),
    ],
)
def test_files_that_are_deleted_under_a_search_destroy_nothing(folder: Path, side: str, times: int) -> None:
    """Each time its workers are killed too, or everything is: what was in the backup is there in the end."""
    search = Search(folder, {"trials": 400, "workers": 2, "backup": 0.3, "wrong": SLOW})
    file, backup = folder / "s" / "study.db", folder / "s" / "study.db.backup"
    chance, kept = random.Random(1), dict[tuple[object, ...], object]()
    for k in range(times):
        process = search.start()
        wanted = search.settings() + 40
        until(lambda: search.settings() >= wanted and backup.exists(), process)  # noqa: B023
        kept |= trained(backup)
        workers = search.workers()
        for path in file.parent.glob(f"study.db{side}"):
            path.unlink()
        for worker in workers[: chance.randint(0, 2)]:
            os.kill(worker.pid, signal.SIGKILL)
        if k == 2:
            os.killpg(process.pid, signal.SIGKILL)
        code, said = end(process, 30)
        if k != 2:
            assert code == 1 and "Traceback" not in said, said
            assert "was deleted or replaced while the database was in use" in said
        if (rescued := file.with_name("study.db.rescued")).exists():
            assert search.run()[0] == 1  # refused, with what to do
            for path in file.parent.glob("study.db-*"):
                path.unlink()
            rescued.rename(file)
        code, said = search.run(trials=1, wrong={})
        if code == 0:  # two processes may have written over each other
            code, _, said = command("check", str(file))
            gc.collect()  # no connection of this process to files that are deleted next
        if code:
            assert "study.db.backup" in said and sound(backup), said
            for path in file.parent.glob("study.db-*"):
                path.unlink()
            shutil.copy(backup, file)
        assert sound(file)
        found = trained(file)
        assert {key: found.get(key) for key in kept} == kept
    witness = Witness(search.url)
    witness.look()
    trials = int(witness.counts["trials"]) + 5
    assert search.run(trials=trials, wrong={}) == (0, "")
    witness.look()
    accounts(search.url, trials)
    assert sound(file) and trained(backup) == trained(file)
