"""Reading verbs open a study without the right to change it."""

import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy import text

from cellsearch.dsl.zoo import load
from cellsearch.errors import RunError
from cellsearch.study import studies
from cellsearch.study.leaderboard import board, diagnostics
from cellsearch.study.storage import heartbeat
from cellsearch.study.tables import costs, database, integrity, queries, records
from cellsearch.study.tables.database import url_of
from cellsearch.study.tables.transactions import Store
from tests.study.scripted import Scripted, new_study, one_of, searched, space_of

ROOT = Path(__file__).parents[3]
SPACE = space_of()
NOBODY = 65534  # the user id of nobody


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished search, as a file without others beside it."""
    folder = tmp_path_factory.mktemp("reading")
    searched(folder, Scripted(), SPACE, one_of(40)).engine.dispose()
    return folder / "study.db"


@pytest.fixture
def file(finished: Path) -> Iterator[Path]:
    """A copy of it under results/, in a directory that every user can reach."""
    with TemporaryDirectory() as top:
        folder = Path(top) / "results" / "s"
        folder.mkdir(parents=True)
        for part in (Path(top), folder.parent, folder):
            part.chmod(0o755)
        shutil.copyfile(finished, folder / "study.db")
        yield folder / "study.db"


def digest(file: Path) -> tuple[str, int]:
    """Of the contents, and the time of the last change."""
    return hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_mtime_ns


@pytest.mark.long
def test_no_statement_changes_what_is_read(file: Path) -> None:
    before = digest(file)
    store = records.open_study(url_of(file), "s", read_only=True)
    for write in (
        lambda: records.halt(store),
        lambda: heartbeat.register(store, heartbeat.myself("worker")),
        lambda: costs.note(store, "f" * 64, load("gru"), 100),
    ):
        with pytest.raises(RunError, match="readonly"):
            write()
    with store.engine.connect() as connection, pytest.raises(Exception, match="readonly"):
        connection.execute(text("CREATE TABLE mine (x)"))
    assert board.status(store, SPACE).finished and integrity.damages(store) == []
    store.engine.dispose()
    assert digest(file) == before


def test_the_mode_is_that_of_the_file_descriptor(file: Path) -> None:
    """Also without `PRAGMA query_only`, which a statement could switch off."""
    store = studies.opened("s", results=file.parents[1]).store
    with store.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA query_only").scalar() == 1
        flags = [
            int(Path(f"/proc/self/fdinfo/{fd.name}").read_text().split("flags:")[1].split()[0], 8)
            for fd in Path("/proc/self/fd").iterdir()
            if os.path.realpath(fd) == str(file.resolve())
        ]
        assert flags and all(flag & os.O_ACCMODE == os.O_RDONLY for flag in flags)
        connection.exec_driver_sql("PRAGMA query_only=OFF")
        with pytest.raises(Exception, match="readonly"):
            connection.exec_driver_sql("UPDATE cellsearch_study SET seed = 2")
    store.engine.dispose()


def test_writers_and_readers_see_each_other(tmp_path: Path) -> None:
    """A reader neither stops a writer nor misses what it commits, and its own view stays one."""
    store = new_study(tmp_path, SPACE)
    reader = records.open_study(store.url, "s", read_only=True)
    with reader.engine.begin() as connection:
        query = text("SELECT seconds FROM cellsearch_study")
        assert connection.execute(query).scalar() == 0
        for _ in range(20):
            records.spend(store, 1.0)
        assert connection.execute(query).scalar() == 0
    assert records.facts(reader).seconds == 20
    store.engine.dispose()
    assert records.facts(reader).seconds == 20
    reader.engine.dispose()


@pytest.mark.long
def test_after_a_search_the_file_is_whole_by_itself(tmp_path: Path) -> None:
    """SQLite alone would leave everything in its log where a reader is the last to close."""
    store = searched(tmp_path / "s", Scripted(), SPACE, one_of(40))
    reader = records.open_study(store.url, "s", read_only=True)
    seen = queries.counts(reader)
    with reader.engine.begin() as connection:  # even one that is in the middle of reading
        connection.execute(text("SELECT * FROM trials")).all()
        database.settle(store.engine)
    shutil.copyfile(tmp_path / "s" / "study.db", tmp_path / "copy.db")
    copy = records.open_study(url_of(tmp_path / "copy.db"), "s", read_only=True)
    assert queries.counts(copy) == seen and integrity.damages(copy) == []
    database.settle(store.engine)  # again, and with nothing to do
    assert queries.counts(reader) == seen
    reader.engine.dispose()
    copy.engine.dispose()


@pytest.mark.long
def test_to_settle_is_no_error_where_the_file_is_gone(tmp_path: Path) -> None:
    store = searched(tmp_path / "s", Scripted(), SPACE, one_of(40))
    shutil.move(tmp_path / "s", tmp_path / "t")
    database.settle(store.engine)
    assert not (tmp_path / "s").exists()


def test_a_search_that_was_read_is_not_the_newest(file: Path) -> None:
    """SQLite leaves an empty log beside a file that was opened read-only."""
    results = file.parents[1]
    (results / "old").mkdir()
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE studies SET study_name = 'old'")
    connection.close()
    shutil.move(file, results / "old" / "study.db")
    os.utime(results / "old" / "study.db", (1, 1))
    (results / "new").mkdir()
    (results / "new" / "study.db").write_bytes(b"something")
    studies.opened("old", results=results).store.engine.dispose()
    assert studies.listed(results) == ["new", "old"]


def as_nobody(folder: Path, code: str) -> str:
    """What Python prints in a process that owns nothing."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root, which permissions do not bind, and setpriv to give its rights up")
    words = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    done = subprocess.run(
        [*words, sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}, timeout=120,
    )  # fmt: skip
    if "Permission denied" in done.stderr and str(folder) not in done.stderr:
        pytest.skip("that user cannot read this program")
    assert done.returncode == 0, done.stderr
    return done.stdout


READ = """
from pathlib import Path
from cellsearch.study.leaderboard import board; from cellsearch.study import studies
study = studies.opened("s", results=Path("results"))
print(board.status(study.store, study.space).counts.trials)
study.store.engine.dispose()
"""


@pytest.mark.long
@pytest.mark.parametrize(("folder", "mode"), [(0o755, 0o644), (0o777, 0o444), (0o777, 0o644)])
def test_reading_without_the_right_to_write_leaves_nothing(file: Path, folder: int, mode: int) -> None:
    """A file that a reader made beside the database would be that reader's: the owner could not go on."""
    file.parent.chmod(folder)
    file.chmod(mode)
    assert as_nobody(file.parents[2], READ) == "12\n"
    assert [path.name for path in file.parent.iterdir()] == ["study.db"]


@pytest.mark.long
def test_a_running_search_is_read_without_the_right_to_write(file: Path) -> None:
    store: Store = records.open_study(url_of(file), "s")
    records.spend(store, 1.0)  # now there is a log with something in it
    try:
        assert as_nobody(file.parents[2], READ.replace("counts.trials", "seconds")) == "1.0\n"
        records.spend(store, 1.0)
        assert records.facts(store).seconds == 2.0
    finally:
        store.engine.dispose()


def test_every_reading_function_works_read_only(file: Path) -> None:
    study = studies.opened("s", results=file.parents[1])
    store, space = study.store, study.space
    assert board.leaderboard(store, space) and board.leaderboard(store, space, every=True)
    assert board.front(store, space).rows and board.find(store, space, "1")[0]
    assert queries.counts(store).trials == 12 and diagnostics.sieves(store, space, study.facts.units)
    assert heartbeat.listed(store) == []
    store.engine.dispose()


def test_a_file_is_not_made_to_read_it(tmp_path: Path) -> None:
    engine = database.connect(url_of(tmp_path / "none.db"), read_only=True)
    assert records.bound(engine, url_of(tmp_path / "none.db")) == {}
    assert list(tmp_path.iterdir()) == []
