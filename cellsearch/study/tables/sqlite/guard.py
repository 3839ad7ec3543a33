"""Bounds for an SQLite file that somebody else may have made.

A view stands where a table is expected and computes without end, a trigger writes without being asked, one
value fills the memory. So a file with anything but plain tables and their indexes is refused, the length of a
value is bounded, and so is the work of a transaction of a reading verb: all that it can need follows from the
size of the file.
"""

import sqlite3
from pathlib import Path

from cellsearch.errors import RunError, printable

LENGTH = (
    16 << 20
)  # bytes of a value or a row; the longest that a search writes is the space, of 1 MiB at most
#: Steps of SQLite's machine in one transaction that reads, about 10^8 a second: some, and more for each byte
#: of the file.
STEPS, STEPS_OF_BYTE = 500_000_000, 20
EVERY = 100_000  # steps between two looks

_FOREIGN = """
SELECT type, name FROM sqlite_master
WHERE type NOT IN ('table', 'index') OR coalesce(rootpage, 0) = 0
UNION ALL
SELECT 'computed column', m.name || '.' || c.name FROM sqlite_master AS m, pragma_table_xinfo(m.name) AS c
WHERE m.type = 'table' AND c.hidden > 1
LIMIT 1
"""
_KINDS = {"table": "virtual table"}  # one that has no page


def limit(connection: sqlite3.Connection) -> None:
    """Bounds the values of a connection, and what its file can make SQLite do."""
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LENGTH)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.execute("PRAGMA trusted_schema=OFF").close()
    connection.execute("PRAGMA cell_size_check=ON").close()


def refuse_foreign(connection: sqlite3.Connection, file: Path) -> None:
    """RunError where a file holds anything but tables and indexes. Nothing of it has been computed then."""
    if (found := connection.execute(_FOREIGN).fetchone()) is None:
        return
    kind = _KINDS.get(str(found[0]), str(found[0]))
    raise RunError(
        f"{printable(str(file))} holds the {printable(kind, 20)} {printable(repr(found[1]), 60)}; a search "
        "has plain tables alone, so it was not read\n"
        "restore a copy of the database; if you made this yourself, drop it with the program sqlite3"
    )


def begin(connection: sqlite3.Connection, size: int) -> None:
    """Bounds the work of the transaction that begins on a file of `size` bytes: beyond it SQLite says
    "interrupted"."""
    left = STEPS + STEPS_OF_BYTE * size

    def look() -> bool:
        nonlocal left
        left -= EVERY
        return left < 0

    connection.set_progress_handler(look, EVERY)


def size(file: Path) -> int:
    """Bytes of a file; 0 where it is not there."""
    try:
        return file.stat().st_size
    except OSError:
        return 0
