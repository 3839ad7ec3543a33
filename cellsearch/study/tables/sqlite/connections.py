"""Connections that watch the files of their database.

Records are in `-wal` until a checkpoint, and processes coordinate through `-shm`. If one of the two is
deleted during a search, the next process creates a new one, the two groups of processes do not see each
other, and the last of the old group to close removes the data of the new group, which destroys the database.
A `Connection` remembers both files, checks them before and after each transaction (three stat calls), and
stops with a RunError. It then never closes its files, since closing is what destroys.
"""

import os
import sqlite3
import threading
import weakref
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection as Transaction
from sqlalchemy import Engine, event

from cellsearch.errors import RunError, printable
from cellsearch.study.tables.sqlite import guard
from cellsearch.study.tables.sqlite.copies import copy_of
from cellsearch.study.tables.sqlite.files import RESCUED, SIDES, put_in_place, remedy

Identity = tuple[int, int]  # device and number


class Connection(sqlite3.Connection):
    """A connection that stops if its files are removed."""

    main: tuple[str, Identity] | None = None  # its file; None for an in-memory database
    sides: Mapping[
        str, Identity
    ] = {}  # identity of the files in use, by path; empty before the first transaction
    known = False
    forsaken = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        guard.limit(self)
        path = str(self.execute("PRAGMA database_list").fetchone()[2])
        if path and (found := _identity(path)):
            self.main = (path, found)
        immutable = bool(options.get("uri")) and "immutable=1" in str(arguments[0])  # then there are no files
        self.watched = self.main is not None and not immutable
        with _LOCK:
            _OPEN.add(self)
        self.look()

    def look(self) -> None:
        """Raises RunError if a file in use was deleted, moved or replaced."""
        if self.main is None:
            return
        if lost := self.lost():
            raise self.forsake(lost)

    def lost(self) -> str:
        """The path of a file that was replaced, or ""."""
        if self.main is None:
            return ""
        path, own = self.main
        if _gone(path, own):
            return path
        if not self.watched:
            return ""
        sides = self.sides
        if not self.known:  # another connection of this process may know: they share the state of -shm
            with _LOCK:
                others = [one for one in _OPEN if one.known and one.main == self.main]
            sides = others[0].sides if others else {}
        return next((side for side, found in sides.items() if _gone(side, found)), "")

    def remember(self) -> None:
        """Records the files; called in a transaction, when SQLite has opened them and no other process may
        remove them."""
        if self.known or not self.watched or self.main is None:
            return
        found = {path: _identity(path) for path in (self.main[0] + side for side in SIDES)}
        self.sides = {path: known for path, known in found.items() if known is not None}
        self.known = bool(self.sides)

    def forsake(self, lost: str) -> RunError:
        """Never closes the files again, in all connections of this process to the same database; rescues the
        data visible only here. Returns the error to raise."""
        assert self.main is not None
        path = self.main[0]
        with _LOCK:
            others = [one for one in _OPEN if one.main == self.main]
        for one in others:
            one._keep()
        shown = printable(lost)
        if lost == path:  # SQLite removes nothing then
            return RunError(
                f"{shown} was deleted, moved or replaced while it was in use\n"
                "put it back, with the files beside it, and run the same command again (without it the "
                "search starts from the beginning)"
            )
        lacks = f"{shown} was deleted or replaced while the database was in use"
        if lost.endswith(SIDES[0]) and (rescued := self._rescue()):
            put = put_in_place(rescued, Path(path))
            return RunError(f"{lacks}\n{rescued.name} has all records up to then; {put}")
        copies = remedy(Path(path), "there is no backup yet")
        return RunError(
            f"{lacks}\nend all processes of the search, then run the same command again; if the database is "
            f"damaged, or `cellsearch check` reports damage: {copies}"
        )

    def close(self) -> None:
        if self.lost():
            self._keep()
        if not self.forsaken:
            with _LOCK:
                _OPEN.discard(self)
            super().close()

    def __del__(self) -> None:
        with suppress(Exception):  # Python is shutting down, or in another thread: SQLite closes it
            if self.lost():
                self._keep()

    def _keep(self) -> None:
        if not self.forsaken:
            import ctypes  # imported here: rarely needed

            self.forsaken = True
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self))  # not even at exit of Python

    def _rescue(self) -> Path | None:
        """A copy of this connection's snapshot; None if one exists already, or it cannot be written."""
        assert self.main is not None
        target = Path(self.main[0] + RESCUED)
        with suppress(OSError, RunError, sqlite3.Error):
            if not os.path.lexists(target):
                if not self.known:  # it would read the new file
                    return None
                self.rollback()  # otherwise a copy would wait for this transaction
                copy_of(self, target)
            return target
        return None


_OPEN: "weakref.WeakSet[Connection]" = weakref.WeakSet()
_LOCK = threading.RLock()  # the garbage collector may run a check while this thread holds it


def look(transaction: Transaction) -> None:
    """Checks before a transaction begins."""
    if isinstance(raw := transaction.connection.driver_connection, Connection):
        raw.look()


def watch(engine: Engine) -> None:
    """Checks after each transaction of an engine with such connections."""
    event.listen(engine, "commit", _ending)
    event.listen(engine, "rollback", _remembering)


def _ending(transaction: Transaction) -> None:
    look(
        transaction
    )  # nothing is written until then: a process that started concurrently has not seen our locks
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
    """Whether the opened file was replaced or removed."""
    try:
        found = Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:  # no permission any more; open files stay open
        return False
    return (found.st_dev, found.st_ino) != known
