"""Limits for an untrusted SQLite file.

A view in place of a table may compute forever, a trigger may write, one value may fill the memory. So a file
with anything but plain tables and their indexes is refused, and the length of values and the work of a
transaction of a reading verb are limited; the latter in proportion to the size of the file.
"""

import sqlite3
from pathlib import Path

from cellsearch.errors import RunError, printable

LENGTH = (
    16 << 20
)  # maximum bytes of a value or a row; the longest value of a search is the space, at most 1 MiB
#: Steps of SQLite's virtual machine in one reading transaction, about 10^8 per second: a constant, plus some
#: per byte of the file.
STEPS, STEPS_OF_BYTE = 500_000_000, 20
EVERY = 100_000  # steps between two checks

_FOREIGN = """
SELECT type, name FROM sqlite_master
WHERE type NOT IN ('table', 'index') OR coalesce(rootpage, 0) = 0
UNION ALL
SELECT 'computed column', m.name || '.' || c.name FROM sqlite_master AS m, pragma_table_xinfo(m.name) AS c
WHERE m.type = 'table' AND c.hidden > 1
LIMIT 1
"""
_KINDS = {"table": "virtual table"}  # a table without a page


def limit(connection: sqlite3.Connection) -> None:
    """Limits the values of a connection, and disables features that a file could abuse."""
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LENGTH)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.execute("PRAGMA trusted_schema=OFF").close()
    connection.execute("PRAGMA cell_size_check=ON").close()


def refuse_foreign(connection: sqlite3.Connection, file: Path) -> None:
    """Raises RunError if a file has anything but tables and indexes, before any of it is evaluated."""
    if (found := connection.execute(_FOREIGN).fetchone()) is None:
        return
    kind = _KINDS.get(str(found[0]), str(found[0]))
    raise RunError(
        f"{printable(str(file))} holds the {printable(kind, 20)} {printable(repr(found[1]), 60)}; a search "
        f"has only plain tables, so it was not read\n"
        "restore a copy of the database; if you added it yourself, drop it with the program sqlite3"
    )


def begin(connection: sqlite3.Connection, size: int) -> None:
    """Limits the work of the next transaction on a file of `size` bytes: beyond it SQLite raises
    "interrupted"."""
    left = STEPS + STEPS_OF_BYTE * size

    def look() -> bool:
        nonlocal left
        left -= EVERY
        return left < 0

    connection.set_progress_handler(look, EVERY)


def size(file: Path) -> int:
    """Size of a file in bytes; 0 if it is missing."""
    try:
        return file.stat().st_size
    except OSError:
        return 0
