"""Connect to a database: from a storage URL to an engine, with user-facing errors instead of the driver's.

SQLite for one machine, PostgreSQL (through psycopg) for several. Errors never contain the password of a URL.
"""

import json
import os
import re
import sqlite3
import warnings
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SAWarning
from sqlalchemy.exc import TimeoutError as PoolTimeout

from cellsearch.errors import RunError, UsageError, printable
from cellsearch.study.system.timing import TIMING
from cellsearch.study.tables import driver_errors
from cellsearch.study.tables.sqlite import connections, files, guard

CONNECT_SECONDS = 10
STATEMENT_SECONDS = (
    120  # statement timeout of reading verbs in seconds; on 20,000 trials each takes less than one
)
SETTLE_SECONDS = 2  # seconds to wait for readers at the end of a search
PLACE = ("host", "port", "dbname")  # options of a URL that locate the database
WRITTEN = (
    "write postgresql://USER@HOST:PORT/DATABASE, an IPv6 address as [::1]; in USER, a password and options "
    "'@' is %40, ':' %3A and '/' %2F"
)


class Unavailable(RunError):
    """The database is unreachable or locked; the same call may succeed later."""


def parsed(url: str) -> URL:
    """The parsed `url`. Raises RunError if it is not the URL of a database."""
    try:
        url.encode()  # a driver would fail on it
        found = make_url(url)
    except UnicodeEncodeError:
        raise RunError(
            f"{shown(url)}: it contains bytes that are not UTF-8\nuse another directory or name"
        ) from None
    except ArgumentError:
        raise RunError(f"{shown(url)}: not a database URL; use sqlite:///FILE or postgresql://…") from None
    except ValueError:
        raise RunError(f"{shown(url)}: its port is not a number\n{WRITTEN}") from None
    if found.get_backend_name() == "sqlite":
        return found
    if "@" in f"{found.host}{found.database}":
        raise RunError(f"{shown(url)}: it has more than one '@'\n{WRITTEN}")
    if found.port is not None and not 0 < found.port < 2**16:
        raise RunError(f"{shown(url)}: its port is not a number from 1 to 65535\n{WRITTEN}")
    return found


def shown(url: str) -> str:
    """Scheme, host, port and database of `url`, with `…` for user, password and options, which are never
    printed. Only the scheme of a URL that cannot be parsed with certainty."""
    scheme, separator, rest = url.partition("://")
    if not separator or not re.fullmatch(r"[A-Za-z0-9+_]{1,40}", scheme):
        return url if re.fullmatch(r"[\w.-]{1,40}", url, re.ASCII) else "the given storage"
    try:
        found = make_url(url)
    except (ArgumentError, ValueError):
        return f"{scheme}://…"
    if found.get_backend_name() == "sqlite":
        return printable(f"{scheme}://{'' if found.database is None else f'/{found.database}'}", 400)
    if rest.count("@") > 1 or "@" in f"{found.host}{found.database}":  # the end of the password is ambiguous
        return f"{scheme}://…"
    host = f"[{found.host}]" if ":" in (found.host or "") else found.host or ""
    user = "…@" if found.username or found.password else ""
    port = "" if found.port is None else f":{found.port}"
    return printable(
        f"{scheme}://{user}{host}{port}/{found.database or ''}{'?…' if found.query else ''}", 400
    )


def pasted(url: str) -> str:
    """`url` for a printed command: as shown, but without the `…` placeholders, and with the options that
    locate the server."""
    found = parsed(url)
    if found.get_backend_name() == "sqlite":
        return shown(url)
    where = {name: value for name, value in found.query.items() if name.lower() in PLACE}
    place = URL.create(found.drivername, None, None, found.host, found.port, found.database, where)
    return place.render_as_string()


def left_out(url: str | None) -> str:
    """A clause about the parts of `url` that `pasted` omits, or ""."""
    if url is None or pasted(url) == parsed(url).render_as_string():
        return ""
    return (
        "user, password and options of the URL are not printed: set PGUSER, and PGPASSWORD or ~/.pgpass, or "
        "write them into it"
    )


def file_of(url: str) -> Path | None:
    """The file of an SQLite URL; None for a server or an in-memory database."""
    found = parsed(url)
    if found.get_backend_name() != "sqlite" or found.database in (None, "", ":memory:"):
        return None
    return Path(str(found.database))


def url_of(file: Path) -> str:
    """The storage URL of an SQLite file."""
    url = URL.create("sqlite", database=str(file)).render_as_string(False)
    if make_url(url).database != str(file):  # SQLAlchemy 2.0 does not quote
        raise UsageError(f"{printable(str(file))!r} cannot stand in a database URL; use another directory")
    return url


def driven(url: str) -> URL:
    """`url` with our driver, psycopg, if it names a PostgreSQL server without a driver."""
    found = parsed(url)
    bare = found.drivername in ("postgresql", "postgres")
    return found.set(drivername="postgresql+psycopg") if bare else found


def engine_options(url: str, busy: float = TIMING.busy) -> dict[str, Any]:
    """Connection options: bounded waits for locks, and for a server that disappears silently."""
    backend = driven(url).get_backend_name()
    if backend == "sqlite":
        return {"connect_args": {"timeout": busy, "factory": connections.Connection}}
    # A worker keeps one connection; when work and heartbeat coincide, it opens another one briefly. Servers
    # allow a hundred by default.
    options: dict[str, Any] = {"pool_pre_ping": True, "pool_size": 1, "max_overflow": 3}
    if backend == "postgresql":
        alive = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
        bounds = {"connect_timeout": CONNECT_SECONDS, "tcp_user_timeout": 60_000}
        # a database without an encoding (SQL_ASCII) would return bytes for text
        # a prepared statement belongs to a connection, and a pooler may give every transaction another one
        options["connect_args"] = {**bounds, **alive, "prepare_threshold": None, "client_encoding": "utf8"}
    return options


def connect(url: str, *, read_only: bool = False, busy: float = TIMING.busy) -> Engine:
    """An engine for `url`; connections are opened on demand. Raises RunError for a bad URL or a missing
    driver. Waits at most `busy` seconds for a lock. With `read_only` every write fails, and an SQLite file is
    opened read-only.
    """
    with translated(url), warnings.catch_warnings():
        warnings.simplefilter("error", SAWarning)
        if (file := file_of(url)) is not None:
            files.check(file)
        options = engine_options(url, busy)
        if read_only and driven(url).get_backend_name() == "postgresql":
            options["execution_options"] = {"postgresql_readonly": True}
        engine = create_engine(_opened(driven(url), read_only), **options)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _configure)
            if file is not None:
                event.listen(engine, "connect", lambda raw, _record: guard.refuse_foreign(raw, file))
            if read_only:
                event.listen(engine, "connect", _query_only)
                event.listen(engine, "begin", lambda connection: _bounded(connection, file))
            event.listen(engine, "begin", _begin)
            connections.watch(engine)
        elif engine.dialect.name == "postgresql":
            _close_with(engine)
            if read_only:
                event.listen(engine, "begin", _timed)
        return engine


def settle(engine: Engine) -> None:
    """Closes all connections, with a checkpoint of an SQLite file, so that the file is complete. SQLite moves
    its write-ahead log into the file when the last connection closes, unless that one is read-only. A copy of
    the file would then lack the contents of the log.
    """
    if engine.dialect.name == "sqlite":
        with suppress(RunError, DBAPIError, sqlite3.Error), engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            driver.look()
            driver.execute(f"PRAGMA busy_timeout={1_000 * SETTLE_SECONDS}")
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()  # as far as readers allow
    engine.dispose()


def _close_with(engine: Engine) -> None:
    """Closes the connections of an unused engine: a server allows a limited number. The finalizer must not
    reference the engine or its pool (which references the engine), or neither would ever be collected.
    """
    made: set[Any] = set()
    event.listen(engine, "connect", lambda connection, _record: made.add(connection))
    event.listen(engine, "close", lambda connection, _record: made.discard(connection))
    weakref.finalize(engine, _close, made)


def _close(connections: set[Any]) -> None:
    while connections:
        connections.pop().close()


def _opened(url: URL, read_only: bool) -> URL:
    """`url` with the mode for its SQLite file. For a database with a write-ahead log SQLite creates two files
    beside it even for reading. If they are missing and this user may not write to the file or its directory,
    no process is using it: it is opened as `immutable`. Files created by a reader would belong to that user,
    and lock the owner out of the database.
    """
    file = file_of(url.render_as_string(False))
    if file is None or not file.is_file():
        return url
    beside = os.access(file.absolute().parent, os.W_OK)
    alone = not file.with_name(f"{file.name}-wal").exists()
    if alone and not (beside and (os.access(file, os.W_OK) or not read_only)):
        mode = {"immutable": "1"}
    elif read_only:
        mode = {"mode": "ro"}
    else:
        return url
    return url.set(database=f"file:{quote(str(file.absolute()))}", query={**mode, "uri": "true"})


def _configure(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we begin transactions: the driver would begin them too late
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _query_only(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA query_only=ON")
    cursor.close()


def _bounded(connection: Connection, file: Path | None) -> None:
    raw: Any = connection.connection.driver_connection
    guard.begin(raw, 0 if file is None else guard.size(file))


def _timed(connection: Connection) -> None:
    """Bounds queries: a view in place of a table may compute forever."""
    connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{STATEMENT_SECONDS}s'")


def _begin(connection: Connection) -> None:
    connections.look(connection)  # SQLite would continue in a deleted file
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Converts errors of the driver to a RunError with a remedy."""
    try:
        yield
    except NoSuchModuleError as error:
        raise RunError(
            f"{shown(url)}: unknown kind of database; use sqlite:///FILE or postgresql://…"
        ) from error
    except (ArgumentError, SAWarning) as error:  # from a warning: an unknown option after the ?
        raise RunError(f"{shown(url)}: not a database URL; use sqlite:///FILE or postgresql://…") from error
    except ModuleNotFoundError as error:
        what = "'cellsearch[postgres]'" if error.name == "psycopg" else error.name
        raise RunError(f"{shown(url)} needs the package {error.name!r}: pip install {what}") from error
    except PoolTimeout as error:
        raise Unavailable(f"{shown(url)}: all connections of this process are in use") from error
    except DBAPIError as error:
        raise _explained(url, error) from error
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise RunError(
            f"{shown(url)}: its records cannot be read ({error})\n"
            f"{files.remedy(file_of(url), driver_errors.DAMAGED)}"
        ) from error


def said(url: str, error: BaseException) -> str:
    """The first line of a driver's message, without user name, password or options of `url`."""
    text = str(error).strip() or type(error).__name__
    found = parsed(url)
    options = [value for name in found.query if name.lower() not in PLACE for value in _values(found, name)]
    for secret in (found.password, *options):
        text = text.replace(str(secret), "***") if secret else text
    if found.username:
        text = text.replace(f'"{found.username}"', '"***"')
    return printable(text.splitlines()[0])


def _values(url: URL, name: str) -> list[str]:
    """The values of an option that may appear in a message; short ones are replaced only for passwords."""
    given = url.query[name]
    values = [given] if isinstance(given, str) else list(given)
    return [value for value in values if len(value) > 3 or "pass" in name.lower()]


def _explained(url: str, error: DBAPIError) -> RunError:
    assert error.orig is not None
    line = said(url, error.orig)
    kind = Unavailable if driver_errors.passing(error, line) else RunError
    return kind(f"{shown(url)}: {line}\n{driver_errors.remedy(line, file_of(url))}")
