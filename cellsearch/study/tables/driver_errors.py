"""Remedies for errors of database drivers, and whether the same call may succeed later."""

from pathlib import Path

from sqlalchemy.exc import DBAPIError

from cellsearch.study.tables.sqlite import files

DAMAGED = (
    "the file is damaged: restore a copy; `cellsearch check FILE` says what is wrong, and "
    "`sqlite3 FILE .recover` saves what can be read"
)
ELSE = "this file is not a database or was destroyed; move it away or choose another --name"
FOREIGN = "it holds more than a search writes: damaged, or not written by cellsearch; restore a copy"
REMEDIES = (  # part of the driver's message -> remedy
    ("database is locked", "another program holds it; close that program, then run the same command again"),
    ("lock timeout", "another program holds it; close that program, then run the same command again"),
    ("too many clients", "start fewer workers, or raise max_connections of the server"),
    ("too many connections", "start fewer workers, or raise the connection limit of this user or database"),
    ("connection slots", "start fewer workers, or raise max_connections of the server"),
    ("password", "check user and password"),
    ('role "', "check user and password"),
    ("pg_hba", "the server refuses this user or this machine; ask its administrator"),
    ('database "', "check its name; `createdb` creates an empty database"),
    ("permission denied", "this user lacks the permission; ask the administrator of the server"),
    ("full", "the disk is full; free some space, then run the same command again: nothing recorded is lost"),
    (
        "no space",
        "the disk is full; free some space, then run the same command again: nothing recorded is lost",
    ),
    ("unable to open", "check that its directory exists, has free space, and is writable"),
    ("read-only", "it was opened read-only"),
    ("readonly", "it cannot be written to; change its permissions or those of its directory"),
    ("not a database", ELSE),
    ("malformed", DAMAGED),
    ("could not decode", DAMAGED),
    ("too big", FOREIGN),
    ("interrupted", FOREIGN),
    (
        "statement timeout",
        "is the server overloaded? else it holds more than a search writes",
    ),
    ("disk i/o", "the disk cannot be written; free some space or check it, then run the same command again"),
    ("constraint", "it contradicts the records; `cellsearch check` tells whether they are damaged"),
    ("no such table", "no search was started there; start one with `cellsearch search SPACE`"),
    ("does not exist", "no search was started there; start one with `cellsearch search SPACE`"),
)
# Of a server: connection lost, starting or stopping, too many connections, or serialisation failure.
PASSING = ("08", "57P", "53300", "40", "55P03", "25P03")
BUSY = ("database is locked", "too many connections")  # the limit of a user or a database; it has no SQLSTATE
LASTING = ("password", 'role "', "pg_hba", 'database "', "ssl", "certificate")  # a retry does not help


def remedy(line: str, file: Path | None) -> str:
    """The remedy for a driver's message `line` about an SQLite file or a server (None)."""
    lower = line.lower()
    found = next((text for key, text in REMEDIES if key in lower), "is the server running and reachable?")
    return files.remedy(file, found) if found in (DAMAGED, ELSE) else found


def passing(error: DBAPIError, line: str) -> bool:
    """Whether the same call may succeed later."""
    lower = line.lower()
    state = getattr(error.orig, "sqlstate", None)
    if error.connection_invalidated or any(word in lower for word in BUSY):
        return True
    if state is not None:
        return str(state).startswith(PASSING)
    return "connection" in lower and not any(word in lower for word in LASTING)
