"""A study in an open database, and the transactions that read and write it.

On SQLite every write locks the whole file first. On PostgreSQL a change to the study as a whole (`writing`)
locks the study, so that what a transaction reads still holds when it commits; a change to the rows of one
worker (`apart`) locks those alone, so that a thousand workers do not queue for each other. A transaction that
needs both locks the study first.

No setting and no lock outlives its transaction: a pooler in front of the server (pgbouncer) may give every
transaction another connection.
"""

import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Table, func, select
from sqlalchemy.dialects import postgresql, sqlite

from cellsearch.errors import RunError
from cellsearch.study.system.timing import TIMING, Timing
from cellsearch.study.tables import database
from cellsearch.study.tables.database import translated
from cellsearch.study.tables.schema import META, VERSION, version

_LOCK = 0x63656C6C  # of our own among the advisory locks of a PostgreSQL database


class Superseded(Exception):
    """The trial belongs to another worker by now."""


class Full(Exception):
    """The target of the study is met: no trial is created."""


@dataclass(frozen=True, slots=True)
class Store:
    """A study in an open database: the first argument of every function on records."""

    engine: Engine
    url: str
    study: int  # id in `studies`, not Optuna's
    name: str
    timing: Timing = TIMING


def gone(store: Store) -> RunError:
    """The error of a process whose study was deleted with Optuna's own tools."""
    return RunError(
        f"{database.shown(store.url)}: the Optuna study {store.name!r} was deleted while it was in use\n"
        "its recorded stages are still in the tables of cellsearch: restore a copy of the database, or "
        "start under another --name"
    )


def prepare(
    engine: Engine,
    url: str,
    also: Callable[[Connection], None] = lambda connection: None,
    busy: float = TIMING.busy,
) -> None:
    """Makes our tables where they are missing, and what `also` makes in the same transaction; on SQLite
    readers no longer wait for writers (WAL) where that works. A lock is waited for at most `busy` seconds.
    One process at a time: two that make the same table would fail."""
    with translated(url):
        if engine.dialect.name == "sqlite":
            _use_log(engine, busy)
        with engine.execution_options(immediate=True).begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(select(func.pg_advisory_xact_lock(_LOCK, 0)))  # 0 is no study
            META.create_all(connection)
            connection.execute(unless_there(engine, version).values(version=VERSION))
            also(connection)


def _use_log(engine: Engine, busy: float) -> None:
    """Sets the mode of an SQLite file; for a lock this statement does not wait by itself."""
    end = time.monotonic() + busy
    with engine.connect() as connection:  # of the driver: this cannot be within a transaction
        cursor = connection.connection.cursor()
        while True:
            try:
                cursor.execute("PRAGMA journal_mode=WAL")  # answers with the mode it could set
                break
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > end:
                    raise
            time.sleep(random.uniform(0, 0.1))
        cursor.close()


@contextmanager
def reading(engine: Engine, url: str) -> Iterator[Connection]:
    """A transaction that only reads: one consistent view."""
    if engine.dialect.name == "postgresql":  # else every statement would have a view of its own
        engine = engine.execution_options(isolation_level="REPEATABLE READ")
    with translated(url), engine.begin() as connection:
        yield connection


@contextmanager
def writing(store: Store) -> Iterator[Connection]:
    """A transaction that may write; those of one study follow one another."""
    with _begun(store, f"SELECT pg_advisory_xact_lock({_LOCK}, {store.study})") as connection:
        yield connection


@contextmanager
def apart(store: Store) -> Iterator[Connection]:
    """A transaction that writes rows of which it has locked one first, with `with_for_update`; those of other
    rows go on beside it."""
    with _begun(store) as connection:
        yield connection


@contextmanager
def _begun(store: Store, *first: str) -> Iterator[Connection]:
    """A transaction with bounds: a lock is not waited for without end, and a process that was stopped or cut
    off within it does not keep its locks."""
    with translated(store.url), store.engine.execution_options(immediate=True).begin() as connection:
        if store.engine.dialect.name == "postgresql":
            names = ("lock_timeout", "idle_in_transaction_session_timeout")
            bounds = [f"SET LOCAL {name} = '{store.timing.busy:.0f}s'" for name in names]
            connection.exec_driver_sql("; ".join([*bounds, *first]))  # one way to the server and back
        yield connection


@contextmanager
def alone(store: Store) -> Iterator[Connection]:
    """For one statement that writes and is a transaction by itself."""
    options: dict[str, Any] = {"immediate": True}
    given = store.engine.get_execution_options()
    if store.engine.dialect.name == "postgresql" and not given.get("postgresql_readonly"):
        options = {"isolation_level": "AUTOCOMMIT"}  # which would not be read-only
    with translated(store.url), store.engine.execution_options(**options).begin() as connection:
        yield connection


def unless_there(engine: Engine, table: Table) -> Any:
    """An INSERT of rows that writes nothing where their key is taken."""
    dialect = postgresql if engine.dialect.name == "postgresql" else sqlite
    return dialect.insert(table).on_conflict_do_nothing()
