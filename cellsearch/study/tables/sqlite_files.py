"""The files of an SQLite database: the one that is named, those that SQLite keeps beside it, and a backup.

SQLite opens `-wal`, `-shm` and `-journal` by their names, and follows links. So they are looked at first.

What is recorded is in `-wal` until SQLite moves it, and through `-shm` processes agree on it. Where somebody
deletes one of the two under a search, the next process makes a new one, the two sets of processes know
nothing of each other, and the last of the old ones to close removes what the new ones have written: so a
database is destroyed. A `Connection` knows both files once it uses them, looks at them before and after
each transaction (three calls of stat), and stops: a RunError. Then it never closes its files, since closing
is what destroys.

In: a database file. Out: checks, and `back_up`.
"""

import os
import secrets
import shlex
import sqlite3
import stat
import threading
import time
import weakref
from collections.abc import Mapping
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection as Transaction
from sqlalchemy import Engine, event

from cellsearch.errors import RunError, printable
from cellsearch.files import NotRegularError, create, reason, refuse_links, sync_folder
from cellsearch.study.tables import sqlite_guard

SIDES = ("-wal", "-shm")  # there while a database is open
JOURNAL = "-journal"  # there where a file system has no use for the other two
BACKUP = ".backup"
RESCUED = ".rescued"  # what a process still saw when -wal was deleted
BACKUP_SECONDS = 60.0  # that a backup may take, and wait for writers where there is no -wal

Identity = tuple[int, int]  # device and number


class Damaged(RunError):
    """The database itself is damaged: to go on would make it worse."""


# ----- Before a database is opened -----


def check(file: Path) -> None:
    """Before a database is opened. RunError where it is no file; UnsafeError where a file beside it leads
    elsewhere; Damaged where -wal was deleted under a search."""
    with suppress(ValueError):  # no system has such a path: opening it says so
        if not stat.S_ISREG(mode := _mode(file)):  # a FIFO would be waited for
            kind = NotRegularError(mode).kind
            raise RunError(
                f"{printable(str(file))} is {kind}, not a database\nremove it, or name another one"
            )
        real = os.path.realpath(file)  # SQLite looks beside the file that a link leads to
        refuse_links(*(Path(real + side) for side in (*SIDES, JOURNAL)))
        if (rescued := Path(real + RESCUED)).is_file():
            raise Damaged(
                f"{printable(real)} lacks results: its -wal was deleted while a search was at work\n"
                f"{rescued.name} has them; {_put_in_place(rescued, Path(real))}"
            )
        wal, shm = (Path(real + side) for side in SIDES)
        if shm.exists() and not wal.exists() and shm.exists():  # SQLite makes -wal first, and removes it last
            otherwise = "there is no backup; give the same command again"
            raise Damaged(
                f"{printable(str(wal))} was deleted while a search was at work: results may be missing\n"
                f"end all processes of the search; to go on with what is left, `rm {shlex.quote(str(shm))}`\n"
                f"{remedy(Path(real), otherwise)}"
            )


def _mode(file: Path) -> int:
    """What a path leads to; that of a file where that is not known, or nothing is there."""
    try:
        return file.stat().st_mode
    except OSError:
        return stat.S_IFREG


def backup_of(file: Path) -> Path | None:
    """The backup of a database, if there is one."""
    found = file.with_name(file.name + BACKUP)
    with suppress(OSError, ValueError):
        return found if found.is_file() else None
    return None


def remedy(file: Path | None, otherwise: str) -> str:
    """What to do about a damaged database: to restore its backup, or `otherwise` where there is none."""
    backup = None if file is None else backup_of(file)
    if file is None or backup is None:
        return otherwise
    at = datetime.fromtimestamp(backup.stat().st_mtime).isoformat(" ", "minutes")
    return f"there is a backup of {at}; {_put_in_place(backup, file)}"


def _put_in_place(copy: Path, file: Path) -> str:
    # the old -wal would be taken for that of the copy
    sides = " ".join(shlex.quote(str(file) + side) for side in SIDES)
    move = "cp" if copy.name.endswith(BACKUP) else "mv"
    names = f"{shlex.quote(str(copy))} {shlex.quote(str(file))}"
    return printable(f"end all processes of the search, then `rm -f {sides} && {move} {names}`", 2_000)


def ahead(file: Path, table: str) -> str:
    """A sentence where the backup holds more rows of `table`, which only grows, than the database, or ""."""
    if (backup := backup_of(file)) is None:
        return ""
    counts = []
    for one, how in ((backup, "immutable=1"), (file, "mode=ro")):
        try:
            with closing(_opened(one, how)) as connection:
                listed = connection.execute(
                    "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)
                )
                if listed.fetchone() is None:  # or it is a view, which might count without end
                    return ""
                query = f'SELECT count(*) FROM "{table}"'
                counts.append(int(connection.execute(query).fetchone()[0]))
        except sqlite3.Error:  # of the backup: it is none; of the database: to open it is an error
            return ""
    if counts[0] <= counts[1]:
        return ""
    return f"its backup has {counts[0]} records of training, it has {counts[1]}"


# ----- While it is open -----


class Connection(sqlite3.Connection):
    """A connection that stops where the files under it are taken away."""

    main: tuple[str, Identity] | None = None  # its file; None for a database in memory
    sides: Mapping[str, Identity] = {}  # those in use, by path; none before the first transaction
    known = False
    forsaken = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        sqlite_guard.limit(self)
        path = str(self.execute("PRAGMA database_list").fetchone()[2])
        if path and (found := _identity(path)):
            self.main = (path, found)
        immutable = bool(options.get("uri")) and "immutable=1" in str(arguments[0])  # then there are none
        self.watched = self.main is not None and not immutable
        with _LOCK:
            _OPEN.add(self)
        self.look()

    def look(self) -> None:
        """RunError where a file in use was deleted, moved or replaced."""
        if self.main is None:
            return
        if lost := self.lost():
            raise self.forsake(lost)

    def lost(self) -> str:
        """The path of a file that is not the one in use any more, "" where all are."""
        if self.main is None:
            return ""
        path, own = self.main
        if _gone(path, own):
            return path
        if not self.watched:
            return ""
        sides = self.sides
        if not self.known:  # another connection of this process may know: they share what they know of -shm
            with _LOCK:
                others = [one for one in _OPEN if one.known and one.main == self.main]
            sides = others[0].sides if others else {}
        return next((side for side, found in sides.items() if _gone(side, found)), "")

    def remember(self) -> None:
        """Within a transaction, when SQLite has opened the files and no other process may remove them."""
        if self.known or not self.watched or self.main is None:
            return
        found = {path: _identity(path) for path in (self.main[0] + side for side in SIDES)}
        self.sides = {path: known for path, known in found.items() if known is not None}
        self.known = bool(self.sides)

    def forsake(self, lost: str) -> RunError:
        """Never closes the files again, here and in all connections of this process to the same database;
        rescues what is seen here and nowhere else. The error to raise."""
        assert self.main is not None
        path = self.main[0]
        with _LOCK:
            others = [one for one in _OPEN if one.main == self.main]
        for one in others:
            one._keep()
        shown = printable(lost)
        if lost == path:  # SQLite itself removes nothing then
            return RunError(
                f"{shown} was deleted, moved or replaced while it was in use\n"
                "put it back, with the files beside it, and give the same command again (without it that "
                "starts again)"
            )
        told = f"{shown} was deleted or replaced while the database was in use"
        if lost.endswith(SIDES[0]) and (rescued := self._rescue()):
            put = _put_in_place(rescued, Path(path))
            return RunError(f"{told}\n{rescued.name} has what was recorded until then; {put}")
        copies = remedy(Path(path), "there is no backup yet")
        return RunError(
            f"{told}\nend all processes of the search, then give the same command again; if the database is "
            f"damaged then, or `cellsearch check` says so: {copies}"
        )

    def close(self) -> None:
        if self.lost():
            self._keep()
        if not self.forsaken:
            with _LOCK:
                _OPEN.discard(self)
            super().close()

    def __del__(self) -> None:
        with suppress(Exception):  # Python is ending, or the thread is another one: SQLite closes it
            if self.lost():
                self._keep()

    def _keep(self) -> None:
        if not self.forsaken:
            import ctypes  # here: hardly ever needed

            self.forsaken = True
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self))  # not even when Python ends

    def _rescue(self) -> Path | None:
        """A copy of what this connection sees; None where there is one already, or it cannot be written."""
        assert self.main is not None
        target = Path(self.main[0] + RESCUED)
        with suppress(OSError, RunError, sqlite3.Error):
            if not os.path.lexists(target):
                if not self.known:  # it would read the new file
                    return None
                self.rollback()  # else a copy waits for this transaction
                _copy(self, target)
            return target
        return None


_OPEN: "weakref.WeakSet[Connection]" = weakref.WeakSet()
_LOCK = threading.RLock()  # a connection may be collected, and look, while this thread holds it


def look(transaction: Transaction) -> None:
    """Before a transaction begins."""
    if isinstance(raw := transaction.connection.driver_connection, Connection):
        raw.look()


def watch(engine: Engine) -> None:
    """Looks after each transaction of an engine whose connections are such ones."""
    event.listen(engine, "commit", _ending)
    event.listen(engine, "rollback", _remembering)


def _ending(transaction: Transaction) -> None:
    look(transaction)  # nothing is written until then: a process that began beside it has not seen our locks
    _remembering(transaction)


def _remembering(transaction: Transaction) -> None:
    if isinstance(raw := transaction.connection.driver_connection, Connection):
        raw.remember()


def _identity(path: str) -> Identity | None:
    with suppress(OSError):
        found = Path(path).stat()
        return found.st_dev, found.st_ino
    return None


def _gone(path: str, known: Identity) -> bool:
    """Whether another file is there than the one that was opened, or none."""
    try:
        found = Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:  # one may not look any more; what is open stays open
        return False
    return (found.st_dev, found.st_ino) != known


# ----- Backups -----


def back_up(file: Path, ending: str = BACKUP) -> Path:
    """Writes the backup of a database beside it, whole or not at all, and gives its path. No
    process waits for it. RunError where that fails; Damaged where the database is damaged, and
    then an older backup stays."""
    try:
        return copy(file, file.with_name(file.name + ending))
    except (OSError, sqlite3.Error) as error:
        told = reason(error) if isinstance(error, OSError) else str(error)
        if "malformed" in told or "not a database" in told:
            copies = remedy(file, "restore a copy")
            raise Damaged(f"{printable(str(file))} is damaged: {printable(told)}\n{copies}") from error
        raise RunError(
            f"cannot write a backup of {printable(str(file))}: {printable(told)}\n"
            "free some space, or change permissions; the search goes on without it"
        ) from error


def copy(file: Path, target: Path) -> Path:
    """A consistent copy of a database that may be in use, sound, whole or absent. Raises OSError,
    sqlite3.Error, and Damaged where the database is damaged."""
    with closing(_opened(file, "mode=ro")) as source:
        return _copy(source, target)


def _copy(source: sqlite3.Connection, target: Path) -> Path:
    """What `source` sees, as a file of its own that is sound."""
    for left in target.parent.glob(f".{target.name}.*.partial"):  # by a process that was killed
        with suppress(OSError):
            if left.lstat().st_mtime < time.time() - 10 * BACKUP_SECONDS:
                left.unlink()
    partial = target.with_name(f".{target.name}.{secrets.token_hex(6)}.partial")
    main = source.execute("PRAGMA database_list").fetchone()[2]
    handle = create(partial, 0o600)
    try:
        with suppress(OSError):
            os.fchmod(handle, Path(main).stat().st_mode & 0o777)
        _fill(source, partial)
        os.fsync(handle)
        with closing(_opened(partial, "immutable=1")) as copy:
            found = [str(row[0]) for row in copy.execute("PRAGMA quick_check(3)")]
        if found != ["ok"]:
            listed = "\n".join(f"  {printable(line, 400)}" for line in found)
            copies = remedy(Path(main), "restore a copy")
            raise Damaged(f"{printable(str(main))} is damaged:\n{listed}\n{copies}")
        partial.replace(target)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise
    finally:
        os.close(handle)
    sync_folder(target.parent)
    return target


def _fill(source: sqlite3.Connection, partial: Path) -> None:
    end = time.monotonic() + BACKUP_SECONDS

    def bounded(*_: int) -> None:
        if time.monotonic() > end:
            raise TimeoutError("it took too long")

    with closing(sqlite3.connect(partial, isolation_level=None)) as copy:
        copy.execute("PRAGMA journal_mode=OFF")
        copy.execute("PRAGMA synchronous=OFF")
        source.backup(copy, progress=bounded)  # all pages at once: a writer beside it would start it again


def _opened(file: Path, how: str) -> Connection:
    uri = f"file:{quote(str(file.absolute()))}?{how}"
    return sqlite3.connect(uri, uri=True, timeout=BACKUP_SECONDS, isolation_level=None, factory=Connection)
