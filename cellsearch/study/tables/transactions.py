"""A study in an open database, and the transactions that read and write it.

On SQLite every write locks the whole file first. On PostgreSQL a change to the study as a whole (`writing`)
locks the study, so that the values read by a transaction still hold at commit; a change to the rows of one
worker (`apart`) locks only those, so that a thousand workers do not queue. A transaction that needs both
locks the study first. Settings and locks end with their transaction: a connection pooler (pgbouncer) may run
each transaction on another connection.
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

_LOCK = 0x63656C6C  # key of our advisory locks in a PostgreSQL database


class Superseded(Exception):
    """Another worker owns the trial now."""


class Full(Exception):
    """The target of the study is reached: no trial is created."""


@dataclass(frozen=True, slots=True)
class Store:
    """A study in an open database: the first argument of every function on records."""

    engine: Engine
    url: str
    study: int  # id in `studies`, not Optuna's
    name: str
    timing: Timing = TIMING


def gone(store: Store) -> RunError:
    """The error if a study was deleted with Optuna's own tools."""
    return RunError(
        f"{database.shown(store.url)}: the Optuna study {store.name!r} was deleted while it was in use\n"
        "its recorded stages are still in cellsearch's tables: restore a copy of the database, or start "
        "under another --name"
    )


def prepare(
    engine: Engine,
    url: str,
    also: Callable[[Connection], None] = lambda connection: None,
    busy: float = TIMING.busy,
) -> None:
    """Creates our missing tables, and those of `also` in the same transaction; enables WAL on SQLite if
    possible, so that readers do not wait for writers. Waits at most `busy` seconds for a lock. Serialised:
    two processes that create the same table would fail."""
    with translated(url):
        if engine.dialect.name == "sqlite":
            _use_log(engine, busy)
        with engine.execution_options(immediate=True).begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(select(func.pg_advisory_xact_lock(_LOCK, 0)))  # 0 is not a study id
            META.create_all(connection)
            connection.execute(unless_there(engine, version).values(version=VERSION))
            also(connection)


def _use_log(engine: Engine, busy: float) -> None:
    """Sets the mode of an SQLite file, with retries: this statement does not wait for a lock."""
    end = time.monotonic() + busy
    with engine.connect() as connection:  # driver connection: not allowed within a transaction
        cursor = connection.connection.cursor()
        while True:
            try:
                cursor.execute("PRAGMA journal_mode=WAL")  # returns the mode that was set
                break
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > end:
                    raise
            time.sleep(random.uniform(0, 0.1))
        cursor.close()


@contextmanager
def reading(engine: Engine, url: str) -> Iterator[Connection]:
    """A transaction that only reads: one consistent view."""
    if engine.dialect.name == "postgresql":  # otherwise every statement would have its own snapshot
        engine = engine.execution_options(isolation_level="REPEATABLE READ")
    with translated(url), engine.begin() as connection:
        yield connection


@contextmanager
def writing(store: Store) -> Iterator[Connection]:
    """A transaction that may write; serialised per study."""
    with _begun(store, f"SELECT pg_advisory_xact_lock({_LOCK}, {store.study})") as connection:
        yield connection


@contextmanager
def apart(store: Store) -> Iterator[Connection]:
    """A transaction that first locks one row with `with_for_update`; transactions on other rows run
    concurrently."""
    with _begun(store) as connection:
        yield connection


@contextmanager
def _begun(store: Store, *first: str) -> Iterator[Connection]:
    """A transaction with timeouts: waits for locks are bounded, and a stopped or disconnected process does
    not keep its locks."""
    with translated(store.url), store.engine.execution_options(immediate=True).begin() as connection:
        if store.engine.dialect.name == "postgresql":
            names = ("lock_timeout", "idle_in_transaction_session_timeout")
            bounds = [f"SET LOCAL {name} = '{store.timing.busy:.0f}s'" for name in names]
            connection.exec_driver_sql("; ".join([*bounds, *first]))  # one round trip to the server
        yield connection


@contextmanager
def alone(store: Store) -> Iterator[Connection]:
    """For a single writing statement in its own transaction."""
    options: dict[str, Any] = {"immediate": True}
    given = store.engine.get_execution_options()
    if store.engine.dialect.name == "postgresql" and not given.get("postgresql_readonly"):
        options = {"isolation_level": "AUTOCOMMIT"}  # which would not be read-only
    with translated(store.url), store.engine.execution_options(**options).begin() as connection:
        yield connection


def unless_there(engine: Engine, table: Table) -> Any:
    """An INSERT that ignores rows whose key exists."""
    dialect = postgresql if engine.dialect.name == "postgresql" else sqlite
    return dialect.insert(table).on_conflict_do_nothing()
