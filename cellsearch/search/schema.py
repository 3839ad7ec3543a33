"""The tables of a study, and the transactions that read and write them.

Our own tables (prefix `cellsearch_`) stand beside Optuna's in the same database and are the only source of
truth. The SQL is portable: SQLite for one machine, PostgreSQL for several. On SQLite every write locks the
whole file first. On PostgreSQL what concerns a study as a whole (`writing`) locks the study, so that what a
transaction reads is still so when it commits; what concerns rows that one worker has (`apart`) locks those
alone, so that a thousand workers do not queue for each other. Who needs both locks the study first.

No setting and no lock outlives its transaction: a pooler in front of the server (pgbouncer) may give every
transaction another connection.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    func,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from cellsearch.search import database
from cellsearch.search.database import translated

_LOCK = 0x63656C6C  # of our own among the advisory locks of a PostgreSQL database

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
    Index("cellsearch_slots_counts", "study", "kind", "state", "outcome"),
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
    Index(
        "cellsearch_stages_best", "study", "task", "fingerprint", "accuracy"
    ),  # the order of the leaderboard
    Index("cellsearch_stages_counts", "study", "settings", "trained", "seconds"),
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

sizes = (
    Table(  # what is counted of ranked cells, so that their texts need not be read again; no truth of its own
        "cellsearch_sizes",
        META,
        Column("study", Integer, primary_key=True),
        Column("fingerprint", String(64), primary_key=True),
        Column("width", Integer, primary_key=True),  # of the layer that the last two are counted of
        Column("nodes", Integer, nullable=False),
        Column("matrices", Integer, nullable=False),
        Column("depth", Integer, nullable=False),
        Column("products", Integer, nullable=False),
        Column("parameters", BigInteger, nullable=False),
        Column("multiply_adds", BigInteger, nullable=False),
    )
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
            if engine.dialect.name == "postgresql":  # there two that make the same table fail
                connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
            META.create_all(connection)


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
            bounds = [f"SET LOCAL {name} = '{database.BUSY_SECONDS:.0f}s'" for name in names]
            connection.exec_driver_sql("; ".join([*bounds, *first]))  # one way to the server and back
        yield connection


def turn(store: Store) -> list[ColumnElement[bool]]:
    """The condition of a statement that is one transaction: that no other one of this study has the lock of
    `writing` at that moment. It never waits."""
    if store.engine.dialect.name != "postgresql":
        return []  # there it has locked the whole file
    return [func.pg_try_advisory_xact_lock(_LOCK, store.study)]


@contextmanager
def alone(store: Store) -> Iterator[Connection]:
    """For one statement that writes and is a transaction by itself."""
    postgres = store.engine.dialect.name == "postgresql"
    options: dict[str, Any] = {"isolation_level": "AUTOCOMMIT"} if postgres else {"immediate": True}
    with translated(store.url), store.engine.execution_options(**options).begin() as connection:
        yield connection


def unless_there(store: Store, table: Table) -> Any:
    """An INSERT of rows that writes nothing where their key is taken."""
    dialect = postgresql if store.engine.dialect.name == "postgresql" else sqlite
    return dialect.insert(table).on_conflict_do_nothing()
