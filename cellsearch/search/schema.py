"""The tables of a study and the only way to them: one storage URL in, transactions and errors for people out.

Our own tables (prefix `cellsearch_`) stand beside Optuna's in the same database and are the only source of
truth. The SQL is portable: SQLite for one machine, PostgreSQL for several. Every write locks the row of its
study first (on SQLite the whole file), so that what a transaction reads is still so when it commits.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    make_url,
    select,
)
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from cellsearch.errors import RunError, printable

BUSY_SECONDS = 60.0  # how long a write waits for another program's lock

META = MetaData()

studies = Table(
    "cellsearch_studies",
    META,
    Column("id", Integer, primary_key=True),
    Column("name", String(255), nullable=False, unique=True),
    Column("space", Text, nullable=False),  # the text of the space as it is run
    Column("numerics", Integer, nullable=False),  # raised by the program only when results change
    Column("program", String(64), nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("data", Text, nullable=False),  # JSON: stage -> digest of its data set
    Column("baseline", Text),  # JSON: stage -> Unit, once frozen
    Column("trials", Integer, nullable=False),  # the target: proposals and refinements in all
    Column("seconds", Float, nullable=False, default=0.0),  # spent by all `search` commands
    Column("streak", Integer, nullable=False, default=0),  # failures in a row
    Column("cause", Text, nullable=False, default=""),  # of the first failure of the streak
    Column("stopped", Text, nullable=False, default=""),  # why nobody may take a slot, "" where anybody may
    Column("halted", Boolean, nullable=False, default=False),  # the time of the last `search` was up
)

cells = Table(
    "cellsearch_cells",
    META,
    Column("study", Integer, primary_key=True),
    Column("fingerprint", String(64), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("text", Text, nullable=False),
    Column("parent", String(64), nullable=False, default=""),
    Column("edits", Text, nullable=False, default="[]"),  # JSON: the mutations that made it from its parent
    Column("slot", Integer, nullable=False),  # the first slot it was met in
    Column("seed", Boolean, nullable=False, default=False),
)

functions = Table(  # the key is the promise that of cells that are the same function one is trained
    "cellsearch_functions",
    META,
    Column("study", Integer, primary_key=True),
    Column("function", String(64), primary_key=True),  # functional fingerprint
    Column("fingerprint", String(64), nullable=False),  # of the cell that is trained for all of them
)

twins = Table(  # proposals that were the same function as a cell met before, and count as that cell
    "cellsearch_twins",
    META,
    Column("study", Integer, primary_key=True),
    Column("fingerprint", String(64), primary_key=True),  # its own
    Column("cell", String(64), nullable=False),  # fingerprint of the cell it counts as
    Column("name", String(64), nullable=False),
    Column("text", Text, nullable=False),
    Column("parent", String(64), nullable=False),
    Column("edits", Text, nullable=False),
    Column("slot", Integer, nullable=False),
    Index("cellsearch_twins_cell", "study", "cell"),
    Index("cellsearch_twins_slot", "study", "slot"),
)

slots = Table(
    "cellsearch_slots",
    META,
    Column("study", Integer, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("kind", String(16), nullable=False, default=""),  # baseline, propose, refine; "" until decided
    Column("state", String(16), nullable=False),  # free, running, done, failed
    Column("worker", String(64), nullable=False, default=""),
    Column("attempts", Integer, nullable=False, default=0),  # crashes so far
    Column("fingerprint", String(64), nullable=False, default=""),
    Column("parent", String(64), nullable=False, default=""),
    Column(
        "task", String(255), nullable=False, default=""
    ),  # of a baseline slot; where a proposal was filtered
    Column("outcome", String(16), nullable=False, default=""),  # baseline, ranked, filtered, failed
    Column("cause", Text, nullable=False, default=""),
    Column("score", Float),
    Column("seconds", Float, nullable=False, default=0.0),
    Column("mirror", String(16), nullable=False, default=""),  # the Optuna trial: due, writing, done
    Column("mirrored_by", String(64), nullable=False, default=""),
    Index("cellsearch_slots_state", "study", "state", "number"),
    Index("cellsearch_slots_mirror", "study", "mirror", "number"),
)

stages = Table(  # the unit of record: one cell, one task, its settings
    "cellsearch_stages",
    META,
    Column("study", Integer, primary_key=True),
    Column("slot", Integer, primary_key=True),
    Column("task", String(255), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("outcomes", Text, nullable=False),  # JSON: one object per setting
    Column("settings", Integer, nullable=False),
    Column("trained", Integer, nullable=False),  # settings that have an accuracy
    Column("accuracy", Float),  # and the rest of this row: of the best setting
    Column("loss", Float),
    Column("setting", Integer),
    Column("parameters", Integer),
    Column("hidden", Integer),
    Column("seconds", Float, nullable=False),
    Index("cellsearch_stages_cell", "study", "fingerprint", "task"),
    Index("cellsearch_stages_task", "study", "task"),
)

claims = Table(  # who runs what: the key is the promise that nothing is run twice
    "cellsearch_claims",
    META,
    Column("study", Integer, primary_key=True),
    Column("fingerprint", String(64), primary_key=True),
    Column("task", String(255), primary_key=True),
    Column("setting", Integer, primary_key=True),
    Column("slot", Integer, nullable=False),
    Column("place", Integer, nullable=False),  # order within the stage
    Index("cellsearch_claims_slot", "study", "slot", "task"),
)

workers = Table(
    "cellsearch_workers",
    META,
    Column("study", Integer, primary_key=True),
    Column("id", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),  # worker, search
    Column("parent", String(64), nullable=False, default=""),  # id of the search that started it
    Column("host", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started", String(64), nullable=False),  # of the process, as its system tells it
    Column(
        "beat", Integer, nullable=False, default=0
    ),  # a counter: clocks of two machines are never compared
    Column("doing", Text, nullable=False, default=""),
)


@dataclass(frozen=True, slots=True)
class Store:
    """A study in an open database: what every function on records takes first."""

    engine: Engine
    url: str
    study: int
    name: str


class Unavailable(RunError):
    """The database cannot be reached or is locked now; the same call may work later."""


def shown(url: str) -> str:
    """`url` without its password."""
    try:
        return printable(make_url(url).render_as_string(hide_password=True))
    except ArgumentError:
        scheme, colon, _ = url.partition(":")
        return printable(scheme + (":…" if colon else ""))


def file_of(url: str) -> Path | None:
    """The file of an SQLite URL; None for a server and for a database in memory."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        return None
    return Path(str(parsed.database))


def connect(url: str) -> Engine:
    """An engine for `url`; connections are made when they are needed. A bad URL or a missing driver is a
    RunError."""
    with translated(url):
        backend = make_url(url).get_backend_name()
        if backend != "sqlite":
            return create_engine(url, pool_pre_ping=True)
        engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})
        event.listen(engine, "connect", _configure)
        event.listen(engine, "begin", _begin)
        return engine


def _configure(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions are ours: the driver would begin them too late
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _begin(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def prepare(engine: Engine, url: str) -> None:
    """Makes the tables where they are missing; on SQLite readers no longer wait for writers (WAL) where that
    works."""
    with translated(url):
        if engine.dialect.name == "sqlite":
            with engine.connect() as connection:  # of the driver: this cannot be within a transaction
                cursor = connection.connection.cursor()
                cursor.execute("PRAGMA journal_mode=WAL")  # answers with the mode it could set
                cursor.close()
        with engine.execution_options(immediate=True).begin() as connection:
            META.create_all(connection)


@contextmanager
def reading(engine: Engine, url: str) -> Iterator[Connection]:
    """A transaction that only reads: one consistent view."""
    with translated(url), engine.begin() as connection:
        yield connection


@contextmanager
def writing(store: Store) -> Iterator[Connection]:
    """A transaction that may write; those of one study follow one another."""
    with translated(store.url), store.engine.execution_options(immediate=True).begin() as connection:
        connection.execute(select(studies.c.id).where(studies.c.id == store.study).with_for_update())
        yield connection


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Turns what the database driver raises into a RunError that says what to do."""
    try:
        yield
    except NoSuchModuleError as error:
        raise RunError(
            f"{shown(url)}: unknown kind of database; use sqlite:///FILE or postgresql://…"
        ) from error
    except ArgumentError as error:
        raise RunError(f"{shown(url)}: not a database URL; use sqlite:///FILE or postgresql://…") from error
    except ModuleNotFoundError as error:
        raise RunError(f"{shown(url)} needs the package {error.name!r}: pip install {error.name}") from error
    except DBAPIError as error:
        raise _explained(url, error) from error


REMEDIES = (  # what the driver says -> what to do about it
    ("database is locked", "another program holds it; close that program, then give the same command again"),
    ("full", "the disk is full; free some space, then give the same command again: nothing recorded is lost"),
    ("unable to open", "is there such a directory, and may you write in it?"),
    ("readonly", "it cannot be written to; change its permissions or those of its directory"),
    ("not a database", "this file is something else; move it away or choose another --name"),
    ("malformed", "the file is damaged; restore a copy, or recover it with `sqlite3 FILE .recover`"),
    ("disk i/o", "the disk does not write; free some space or check it, then give the same command again"),
    ("no such table", "no search was started there; start one with `cellsearch search SPACE`"),
    ("does not exist", "no search was started there; start one with `cellsearch search SPACE`"),
    ("password", "check user and password"),
)


def _explained(url: str, error: DBAPIError) -> RunError:
    said = printable(
        str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__
    )
    lower = said.lower()
    remedy = next((text for key, text in REMEDIES if key in lower), "is the server running and reachable?")
    passing = error.connection_invalidated or "database is locked" in lower or "connection" in lower
    return (Unavailable if passing else RunError)(f"{shown(url)}: {said}\n{remedy}")
