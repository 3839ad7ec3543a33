"""The backup beside a database: writing and comparison."""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from cellsearch.errors import RunError, printable
from cellsearch.files import reason
from cellsearch.study.tables.sqlite.connections import Connection
from cellsearch.study.tables.sqlite.copies import BACKUP_SECONDS, copy_of
from cellsearch.study.tables.sqlite.files import BACKUP, Damaged, backup_of, remedy


def back_up(file: Path, ending: str = BACKUP) -> Path:
    """Writes the backup beside a database atomically and returns its path. Blocks no process. Raises RunError
    on failure, and Damaged for a damaged database; an older backup stays then."""
    try:
        return copy(file, file.with_name(file.name + ending))
    except (OSError, sqlite3.Error) as error:
        said = reason(error) if isinstance(error, OSError) else str(error)
        if "malformed" in said or "not a database" in said:
            copies = remedy(file, "restore a copy")
            raise Damaged(f"{printable(str(file))} is damaged: {printable(said)}\n{copies}") from error
        raise RunError(
            f"cannot write a backup of {printable(str(file))}: {printable(said)}\n"
            "free some space, or change permissions; the search continues without it"
        ) from error


def copy(file: Path, target: Path) -> Path:
    """A consistent copy of a database that may be in use, complete or absent. Raises OSError, sqlite3.Error,
    and Damaged for a damaged database."""
    with closing(_opened(file, "mode=ro")) as source:
        return copy_of(source, target)


def ahead(file: Path, table: str) -> str:
    """A sentence if the backup has more rows of `table`, which only grows, than the database; else ""."""
    if (backup := backup_of(file)) is None:
        return ""
    counts = []
    for one, how in ((backup, "immutable=1"), (file, "mode=ro")):
        try:
            with closing(_opened(one, how)) as connection:
                listed = connection.execute(
                    "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)
                )
                if listed.fetchone() is None:  # or a view, whose count may never end
                    return ""
                query = f'SELECT count(*) FROM "{table}"'
                counts.append(int(connection.execute(query).fetchone()[0]))
        except sqlite3.Error:  # the backup: not a database; the database: opening it raises the error
            return ""
    if counts[0] <= counts[1]:
        return ""
    return f"its backup has {counts[0]} records of training, it has {counts[1]}"


def _opened(file: Path, how: str) -> Connection:
    uri = f"file:{quote(str(file.absolute()))}?{how}"
    return sqlite3.connect(uri, uri=True, timeout=BACKUP_SECONDS, isolation_level=None, factory=Connection)
