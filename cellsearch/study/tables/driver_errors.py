"""What a database driver says, and what a person can do about it.

In: the words of a driver. Out: the remedy, and whether the same call may work later.
"""

from pathlib import Path

from sqlalchemy.exc import DBAPIError

from cellsearch.study.tables.sqlite import files

DAMAGED = (
    "the file is damaged: restore a copy; `cellsearch check FILE` says what is wrong, and "
    "`sqlite3 FILE .recover` saves what can be read"
)
ELSE = "this file is something else, or was destroyed; move it away or choose another --name"
FOREIGN = "it holds more than a search writes: damaged, or not made by cellsearch; restore a copy"
REMEDIES = (  # what the driver says -> what to do about it
    ("database is locked", "another program holds it; close that program, then give the same command again"),
    ("lock timeout", "another program holds it; close that program, then give the same command again"),
    ("too many clients", "start fewer workers, or raise max_connections of the server"),
    ("too many connections", "start fewer workers, or raise the connection limit of this user or database"),
    ("connection slots", "start fewer workers, or raise max_connections of the server"),
    ("password", "check user and password"),
    ('role "', "check user and password"),
    ("pg_hba", "the server does not let this user or this machine in; ask who runs it"),
    ('database "', "is its name right? an empty one is made with `createdb`"),
    ("permission denied", "this user may not do that there; ask who runs the server"),
    ("full", "the disk is full; free some space, then give the same command again: nothing recorded is lost"),
    (
        "no space",
        "the disk is full; free some space, then give the same command again: nothing recorded is lost",
    ),
    ("unable to open", "is there such a directory, with space left in it, and may you write there?"),
    ("read-only", "it was opened for reading alone"),
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
    ("disk i/o", "the disk does not write; free some space or check it, then give the same command again"),
    ("constraint", "it contradicts what is recorded there; `cellsearch check` says whether that is damaged"),
    ("no such table", "no search was started there; start one with `cellsearch search SPACE`"),
    ("does not exist", "no search was started there; start one with `cellsearch search SPACE`"),
)
# Of a server: it is cut off, starting or ending, full of connections, or asks for the transaction again.
PASSING = ("08", "57P", "53300", "40", "55P03", "25P03")
BUSY = ("database is locked", "too many connections")  # the latter of a user or a database; it has no state
LASTING = ("password", 'role "', "pg_hba", 'database "', "ssl", "certificate")  # to ask again is no use


def remedy(line: str, file: Path | None) -> str:
    """What to do where a driver says `line`, of an SQLite file or of a server (None)."""
    lower = line.lower()
    found = next((text for key, text in REMEDIES if key in lower), "is the server running and reachable?")
    return files.remedy(file, found) if found in (DAMAGED, ELSE) else found


def passing(error: DBAPIError, line: str) -> bool:
    """Whether the same call may work later."""
    lower = line.lower()
    state = getattr(error.orig, "sqlstate", None)
    if error.connection_invalidated or any(word in lower for word in BUSY):
        return True
    if state is not None:
        return str(state).startswith(PASSING)
    return "connection" in lower and not any(word in lower for word in LASTING)
