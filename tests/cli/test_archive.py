"""`cellsearch archive` and `restore`: a search as one file and back, and archives that somebody else made."""

import gzip
import hashlib
import io
import json
import os
import sqlite3
import tarfile
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cli.conftest import Ended, Run

from cellsearch.study.leaderboard import board
from cellsearch.study.manage import members
from cellsearch.study.storage import heartbeat
from cellsearch.study.storage.heartbeat import Worker
from cellsearch.study.system import processes
from cellsearch.study.tables import database, integrity, queries, records
from cellsearch.study.tables.study_facts import Target
from tests.study.scripted import (
    Scripted,
    drivers,
    items_of,
    new_study,
    one_of,
    searched,
    space_of,
    take_one,
    work,
)

FILES = {
    "space.yaml": "name: s\n",
    "cells/0123456789ab.cell": "cell a(x; h)\nh' = tanh[x, h]\n",
    "logs/search.jsonl": '{"event": "start"}\n',
    "logs/host-12-1.log": "",
    "outbox/3-0-abc.json": "{}",
    "exports/m1/m1.py": "import torch\n",
    "models/m1/weights.safetensors": "\0" * 3_000,
}


def told(run: Run, name: str) -> Any:
    found = run("leaderboard", name, "--json", "--all").json
    assert found.pop("name") == name
    return found


@pytest.fixture
def full(study: str, tmp_path: Path) -> str:
    """A finished search with every kind of file, and with some that no search has."""
    for path, text in FILES.items():
        file = tmp_path / "results" / study / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    for path in ("notes.txt", "cells/README", "mine/a.py", ".hidden", "study.db.backup", "search.lock"):
        file = tmp_path / "results" / study / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    return study


# ----- archive and back -----


def test_a_search_comes_back_as_it_was(run: Run, full: str, tmp_path: Path) -> None:
    before = told(run, full)
    done = run("archive", full, "there.tar.gz", "--json")
    assert done.code == 0, done.err
    listed = done.json
    assert set(listed["files"]) == {"study.db", *FILES} and listed["name"] == full
    assert listed["bytes"] == (tmp_path / "there.tar.gz").stat().st_size
    assert listed["left_out"] == ["cells/README", "mine", "notes.txt"]
    with tarfile.open("there.tar.gz") as tar:
        names = tar.getnames()
        assert names[:2] == ["s/archive.json", "s/study.db"] and len(names) == 2 + len(FILES)
        assert all(member.isreg() and not member.uname and member.uid == 0 for member in tar)

    done = run("restore", "there.tar.gz", "--name", "again")
    assert done.code == 0 and "cellsearch search again" in done.err
    assert told(run, "again") == before == told(run, full)
    here = tmp_path / "results" / "again"
    assert {path: (here / path).read_text() for path in FILES} == FILES
    found = {p.relative_to(here).as_posix() for p in here.rglob("*") if p.is_file()}
    assert found - {"study.db-wal", "study.db-shm"} == {"study.db", "search.lock", *FILES}
    assert run("check", "results/again/study.db").code == 0
    import optuna

    assert optuna.get_all_study_names("sqlite:///results/again/study.db") == ["again"]

    assert run("delete", full, "--yes").code == 0
    assert run("restore", "there.tar.gz").code == 0
    assert told(run, full) == before
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == ["again", full]


def test_the_contents_are_listed(run: Run, full: str) -> None:
    done = run("archive", full)
    assert done.code == 0 and done.out.splitlines()[-1].startswith("s.tar.gz  ")
    rows = [line.split()[0] for line in done.out.splitlines()[1:-1]]
    assert rows[0] == "study.db" and set(rows[1:]) == set(FILES)
    assert "not archived, since searches do not write it: cells/README, mine, notes.txt" in done.err


def test_a_file_that_is_there_is_not_written_over(run: Run, study: str, tmp_path: Path) -> None:
    file = tmp_path / "s.tar.gz"
    file.write_text("precious")
    done = run("archive", study)
    assert done.code == 1 and "already exists" in done.err and file.read_text() == "precious"
    assert run("archive", study, "--force").code == 0 and file.stat().st_size > 1_000
    (tmp_path / "folder").mkdir()
    assert run("archive", study, "folder", "--force").code == 1
    done = run("archive", study, "nosuch/s.tar.gz")
    assert done.code == 1 and "cannot write nosuch/s.tar.gz: No such file" in done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "results", "s.tar.gz"]


@pytest.mark.long
def test_what_is_recorded_is_in_the_archive_before_sqlite_has_moved_it(run: Run, tmp_path: Path) -> None:
    """The database is open, and most of it is in its log: a copy of the file would be old."""
    folder = tmp_path / "results" / "s"
    folder.mkdir(parents=True)
    store = new_study(folder, space_of(), 6)
    reader = sqlite3.connect(folder / "study.db")
    reader.execute("BEGIN").execute("SELECT count(*) FROM trials").fetchone()  # so nothing can be moved
    work(store, space_of(), Scripted(), one_of(40))
    before = told(run, "s")
    assert run("archive", "s").code == 0
    assert (folder / "study.db-wal").stat().st_size > 100_000
    reader.close()
    assert run("restore", "s.tar.gz", "--name", "t").code == 0
    assert told(run, "t") == before and before["counts"]["trials"] == 6
    store.engine.dispose()


@pytest.mark.long
def test_a_search_that_was_killed_goes_on_from_its_archive(run: Run, tmp_path: Path) -> None:
    space, whole = space_of(), tmp_path / "whole"
    expected = board.leaderboard(searched(whole, Scripted(), space, one_of(40), trials=14), space, True)
    folder = tmp_path / "results" / "s"
    folder.mkdir(parents=True)
    store = new_study(folder, space, 6)
    work(store, space, Scripted(), one_of(40))
    records.extend(store, Target(14))
    lost = Worker("gone", "worker", processes.machine(), 1 << 30, "1")  # there is no such process
    heartbeat.register(store, lost)
    took = take_one(drivers(store)(lost.id))
    store.engine.dispose()
    assert run("archive", "s").code == 0
    assert run("restore", "s.tar.gz", "--name", "t").code == 0

    copy = records.open_study(database.url_of(tmp_path / "results" / "t" / "study.db"), "t")
    assert [worker.id for worker in heartbeat.listed(store)] == ["gone"]
    assert queries.counts(copy).free == 1 and queries.counts(copy).running == 0
    assert heartbeat.listed(copy) == []
    work(copy, space, Scripted(), one_of(40))
    assert board.leaderboard(copy, space, True) == expected
    assert integrity.damages(copy) == []
    assert items_of(copy)[6].trial == took.trial and items_of(copy)[6].outcome
    copy.engine.dispose()


def test_of_a_database_elsewhere_no_archive_is_made(run: Run, study: str, tmp_path: Path) -> None:
    (tmp_path / "results" / study / "study.db").rename(tmp_path / "elsewhere.db")
    done = run("archive", study)
    assert done.code == 1 and "the database of 's' is not in results/s" in done.err
    done = run("archive", "nosuch")
    assert done.code == 1 and "there is no search 'nosuch'" in done.err


def test_links_are_not_read(run: Run, full: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("geheim")
    link = tmp_path / "results" / full / "logs" / "linked.log"
    link.symlink_to(secret)
    done = run("archive", full)
    assert done.code == 1 and "linked.log is a symbolic link" in done.err
    link.unlink()
    os.link(secret, link)
    assert run("archive", full).code == 1
    link.unlink()
    (tmp_path / "results" / full / "models" / "elsewhere").symlink_to(tmp_path)
    assert run("archive", full).code == 1
    assert not (tmp_path / "s.tar.gz").exists()


def test_a_damaged_database_is_not_archived(run: Run, study: str, tmp_path: Path) -> None:
    file = tmp_path / "results" / study / "study.db"
    data = bytearray(file.read_bytes())
    data[40_960:81_920] = os.urandom(40_960)
    file.write_bytes(data)
    assert run("archive", study).code == 1
    assert [path.name for path in tmp_path.iterdir()] == ["results"]


def test_a_name_that_is_there_is_not_restored_over(run: Run, study: str, tmp_path: Path) -> None:
    assert run("archive", study).code == 0
    before = told(run, study)
    done = run("restore", "s.tar.gz")
    assert done.code == 1 and "results/s already exists" in done.err and "--name" in done.err
    assert told(run, study) == before
    for name in ("../t", ".t", "a/b", ""):
        assert run("restore", "s.tar.gz", "--name", name).code == 2
    assert [path.name for path in (tmp_path / "results").iterdir()] == [study]


# ----- archives of others -----

Member = tuple[str, bytes, Mapping[str, Any]]


class Forge:
    """An archive in the making: its members, and the list of contents that goes with them."""

    def __init__(self, file: Path) -> None:
        with tarfile.open(file) as tar:
            found = {m.name: tar.extractfile(m).read() for m in tar}  # type: ignore[union-attr]
        self.contents = json.loads(found.pop("s/archive.json"))
        self.members: list[Member] = [(name, data, {}) for name, data in found.items()]
        self.first: bytes | None = None

    def add(self, path: str, data: bytes = b"x", listed: bool = True, **header: Any) -> None:
        """A member, as it would have to be listed."""
        self.members.append((f"s/{path}", data, header))
        if listed:
            self.list(path, data)

    def list(self, path: str, data: bytes) -> None:
        self.contents["files"][path] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}

    def database(self, *statements: str) -> None:
        """Runs statements in the database."""
        name, data, header = self.members[0]
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.deserialize(data[:18] + b"\1\1" + data[20:])  # no log: it is in memory
            for statement in statements:
                connection.execute(statement)
            connection.commit()
            data = connection.serialize()
        self.members[0] = (name, data, header)
        self.list("study.db", data)

    def write(self, file: Path, form: int = tarfile.USTAR_FORMAT) -> None:
        first = json.dumps(self.contents).encode() if self.first is None else self.first
        with tarfile.open(file, "w:gz", format=form) as tar:
            for name, data, header in [("s/archive.json", first, {}), *self.members]:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                for key, value in header.items():
                    setattr(info, key, value)
                tar.addfile(info, io.BytesIO(data))


def absolute(f: Forge) -> None:
    f.members.append(("/tmp/evil.cell", b"x", {}))
    f.list("/tmp/evil.cell", b"x")


def typed(kind: bytes, **header: Any) -> Callable[[Forge], None]:
    return lambda f: f.add("logs/a.log", b"", type=kind, **header)


def listed(path: str, **about: Any) -> Callable[[Forge], None]:
    def change(f: Forge) -> None:
        f.contents["files"].setdefault(path, {"bytes": 1, "sha256": "0" * 64}).update(about)

    return change


def first(data: bytes) -> Callable[[Forge], None]:
    def change(f: Forge) -> None:
        f.first = data

    return change


def said(**values: Any) -> Callable[[Forge], None]:
    return lambda f: f.contents.update(values)


def sql(*statements: str) -> Callable[[Forge], None]:
    return lambda f: f.database(*statements)


CONTENTS = "its manifest is invalid"
HOSTILE: dict[str, tuple[Callable[[Forge], None], str]] = {
    "an absolute path": (absolute, CONTENTS),
    "an absolute path, not listed": (lambda f: f.members.append(("/tmp/evil.cell", b"x", {})), "/tmp/evil.cell"),
    "a path that leads out": (lambda f: f.add("../evil/cells/a.cell"), CONTENTS),
    "a path that leads out, not listed": (lambda f: f.add("../../evil.cell", listed=False), "evil.cell is not"),
    "a path that leads out within": (lambda f: f.add("cells/../../a.cell"), CONTENTS),
    "a hidden file": (lambda f: f.add("cells/.bashrc"), CONTENTS),
    "a file that no search has": (lambda f: f.add("run.sh"), CONTENTS),
    "another folder": (lambda f: f.members.append(("t/space.yaml", b"x", {})), "t/space.yaml is not in"),
    "a file that is not listed": (lambda f: f.add("space.yaml", listed=False), "space.yaml is not in"),
    "a file twice": (lambda f: (f.add("space.yaml"), f.add("space.yaml"))[0], "appears twice"),
    "the database twice": (lambda f: f.members.append(f.members[0]), "appears twice"),
    "a file that is missing": (listed("space.yaml"), "space.yaml is missing"),
    "a symbolic link": (typed(tarfile.SYMTYPE, linkname="/etc/passwd"), "logs/a.log is a link"),
    "a hard link": (typed(tarfile.LNKTYPE, linkname="s/study.db"), "logs/a.log is a link"),
    "a device": (typed(tarfile.CHRTYPE, devmajor=1, devminor=5), "is not a regular file"),
    "a block device": (typed(tarfile.BLKTYPE), "is not a regular file"),
    "a FIFO": (typed(tarfile.FIFOTYPE), "is not a regular file"),
    "a folder": (typed(tarfile.DIRTYPE), "is not a regular file"),
    "a sparse file": (typed(tarfile.GNUTYPE_SPARSE), "is not a regular file"),
    "a long name of GNU": (typed(tarfile.GNUTYPE_LONGNAME), "is not a regular file"),
    "a header of pax": (typed(tarfile.XHDTYPE), "is not a regular file"),
    "another size": (listed("study.db", bytes=5), "does not have the size"),
    "another checksum": (listed("study.db", sha256="0" * 64), "SHA-256"),
    "a checksum that is none": (listed("study.db", sha256="x"), CONTENTS),
    "a size below zero": (listed("study.db", bytes=-1), CONTENTS),
    "a size that is a truth": (listed("study.db", bytes=True), CONTENTS),
    "a cell that is too long": (lambda f: f.add("cells/a.cell", b"x" * 70_000), CONTENTS),
    "files that fill every disk": (
        lambda f: [listed(f"models/{k}", bytes=(8 << 30) - 1)(f) for k in range(5)] and None, "the limit is",
    ),
    "no list": (first(b""), CONTENTS),
    "a list that is another thing": (first(b"[1, 2]"), CONTENTS),
    "a list that is nested": (first(b"[" * 100_000), CONTENTS),
    "a list with a long number": (first(b'{"format": 1' + b"0" * 9_999 + b"}"), CONTENTS),
    "another name": (said(name="t"), "its name differs from its manifest"),
    "a name that leads out": (said(name="../../evil"), CONTENTS),
    "a name that is no text": (said(name=["s"]), CONTENTS),
    "files that are no mapping": (said(files=["study.db"]), CONTENTS),
    "no database": (said(files={}), CONTENTS),
    "a newer format": (said(format=2), "written by a newer cellsearch"),
    "a format that is no number": (said(format="1"), CONTENTS),
    "a view": (sql("CREATE VIEW evil AS SELECT 1"), "has a view evil"),
    "a view in place of a table": (
        sql("ALTER TABLE cellsearch_size RENAME TO other", "CREATE VIEW cellsearch_size AS SELECT * FROM other"),
        "has a view cellsearch_size",
    ),
    "a trigger": (
        sql("CREATE TRIGGER evil AFTER UPDATE ON studies BEGIN DELETE FROM trials; END"), "has a trigger evil",
    ),
    "a generated column": (sql("CREATE TABLE evil (a INT, b AS (a * 2))"), "is not the database of a search"),
    "another study": (
        sql(
            "INSERT INTO studies (study_name) VALUES ('other')",
            "INSERT INTO cellsearch_study (uuid, space, numerics, program, seed, data, seconds, streak, cause, "
            "stopped, halted) SELECT 'u', space, numerics, program, seed, data, 0, 0, '', '', 0 FROM cellsearch_study",
            "INSERT INTO study_user_attributes (study_id, key, value_json) SELECT max(study_id), 'cellsearch', "
            "'\"u\"' FROM studies",
        ),
        "more than one study",
    ),
    "no study": (sql("UPDATE studies SET study_name = 'other'"), "no study"),
    "tables of a newer version": (sql("UPDATE cellsearch_schema SET version = 99"), "newer cellsearch"),
    "no tables": (sql("DROP TABLE cellsearch_study"), "no such table"),
    "a space that is none": (sql("UPDATE cellsearch_study SET space = 'name: [1, 2'"), "space.yaml"),
    "facts that are none": (sql("UPDATE cellsearch_study SET data = '[[['"), "study.db"),
    "a number that is none": (sql("UPDATE cellsearch_study SET baseline = '5'"), "cannot be read"),
}  # fmt: skip


@pytest.fixture
def forge(run: Run, study: str) -> Forge:
    assert run("archive", study, "whole.tar.gz").code == 0
    assert run("delete", study, "--yes").code == 0
    return Forge(Path("whole.tar.gz"))


def refused(run: Run, tmp_path: Path) -> Ended:
    """The archive evil.tar.gz is refused, and nothing is left of it."""
    done = run("restore", "evil.tar.gz")
    assert done.code == 1 and done.out == "" and "defect" not in done.err and "Traceback" not in done.err
    assert list((tmp_path / "results").iterdir()) == []
    assert {path.name for path in tmp_path.iterdir()} == {"results", "whole.tar.gz", "evil.tar.gz"}
    assert not Path("/tmp/evil.cell").exists()
    return done


@pytest.mark.long
@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_archive_is_refused(run: Run, forge: Forge, tmp_path: Path, what: str) -> None:
    change, message = HOSTILE[what]
    change(forge)
    forge.write(tmp_path / "evil.tar.gz")
    done = refused(run, tmp_path)
    assert message in done.err


def test_the_forge_makes_archives_that_are_taken(run: Run, forge: Forge, tmp_path: Path) -> None:
    forge.database("UPDATE cellsearch_study SET seconds = 5")
    forge.add("logs/a.log", b"said\n")
    forge.write(tmp_path / "good.tar.gz")
    done = run("restore", "good.tar.gz", "--json")
    assert done.code == 0 and done.json["files"] == ["logs/a.log", "study.db"], done.err
    assert run("check", "results/s/study.db").code == 0


def test_other_kinds_of_tar_are_refused(run: Run, forge: Forge, tmp_path: Path) -> None:
    forge.add("exports/" + "a" * 99 + "/" + "b" * 99, b"")
    forge.write(tmp_path / "evil.tar.gz", tarfile.PAX_FORMAT)
    assert "not a regular file" in refused(run, tmp_path).err


def cut(share: float) -> Callable[[bytes], bytes]:
    return lambda data: data[: int(share * len(data))]


DAMAGED: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "text": lambda data: b"no archive\n" * 500,
    "cut off": cut(0.5),
    "cut off near the end": lambda data: data[:-9],
    "one bit": lambda data: data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 4]) + data[len(data) // 2 + 1 :],
    "its checksum": lambda data: data[:-8] + bytes([data[-8] ^ 1]) + data[-7:],
    "data after its end": lambda data: data + gzip.compress(b"x" * 100),
    "zeros follow without end": lambda data: data + gzip.compress(bytes(1 << 26)),
    "a header of another size": lambda data: gzip.compress(bytes(100)),
    "zeros without end": lambda data: gzip.compress(bytes(1 << 26)),
    "not packed": gzip.decompress,
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_archive_is_refused(run: Run, forge: Forge, tmp_path: Path, what: str) -> None:
    (tmp_path / "evil.tar.gz").write_bytes(DAMAGED[what]((tmp_path / "whole.tar.gz").read_bytes()))
    assert "is not an archive of a search, or is damaged" in refused(run, tmp_path).err


def test_what_is_no_file_is_refused(run: Run, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    for name, code in (("fifo", 2), ("folder", 2), ("nosuch", 1), ("a\x00b", 1)):
        done = run("restore", name)
        assert done.code == code and "Traceback" not in done.err, done.err
    assert not (tmp_path / "results").exists()


def test_a_full_disk_is_told_before(
    run: Run, forge: Forge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from types import SimpleNamespace

    from cellsearch.study.manage import restore

    forge.write(tmp_path / "evil.tar.gz")
    monkeypatch.setattr(restore.shutil, "disk_usage", lambda path: SimpleNamespace(free=1_000_000))
    assert "1,000,000 are free on the disk" in refused(run, tmp_path).err


def test_every_file_that_an_archive_may_have_has_a_limit() -> None:
    for path in FILES:
        assert (members.limit(path) or 0) >= 1 << 16
    for path in ("", "/", "cells", "cells/", "cells/a/b.cell", "cells/a.cell\n", "study.db\n", "STUDY.DB",
                 "a\\b.cell", "logs/a.jsonl.gz", "exports", "exports/a/b/c/d", "exports//a", "models/..", "é.cell",
                 "cells/é.cell", "study.db-wal", "search.lock", "archive.json"):  # fmt: skip
        assert members.limit(path) is None, path
