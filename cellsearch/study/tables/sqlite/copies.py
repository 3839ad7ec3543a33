"""Copy a database in use: a complete, verified file, or none."""

import os
import secrets
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

from cellsearch.errors import printable
from cellsearch.files import create, sync_folder
from cellsearch.study.tables.sqlite import guard
from cellsearch.study.tables.sqlite.files import Damaged, remedy

BACKUP_SECONDS = 60.0  # seconds for a backup, which waits for writers if there is no -wal


def copy_of(source: sqlite3.Connection, target: Path) -> Path:
    """Writes the snapshot of `source` to a separate, verified file."""
    for left in target.parent.glob(f".{target.name}.*.partial"):  # left by a killed process
        with suppress(OSError):
            if left.lstat().st_mtime < time.time() - 10 * BACKUP_SECONDS:
                left.unlink()
    partial = target.with_name(f".{target.name}.{secrets.token_hex(6)}.partial")
    main = source.execute("PRAGMA database_list").fetchone()[2]
    handle = create(partial, 0o600)
    try:
        with suppress(OSError):
            os.fchmod(handle, Path(main).stat().st_mode & 0o777)
        _fill(source, partial)
        os.fsync(handle)
        with closing(sqlite3.connect(f"file:{quote(str(partial.absolute()))}?immutable=1", uri=True)) as copy:
            guard.limit(copy)
            found = [str(row[0]) for row in copy.execute("PRAGMA quick_check(3)")]
        if found != ["ok"]:
            listed = "\n".join(f"  {printable(line, 400)}" for line in found)
            copies = remedy(Path(main), "restore a copy")
            raise Damaged(f"{printable(str(main))} is damaged:\n{listed}\n{copies}")
        partial.replace(target)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise
    finally:
        os.close(handle)
    sync_folder(target.parent)
    return target


def _fill(source: sqlite3.Connection, partial: Path) -> None:
    end = time.monotonic() + BACKUP_SECONDS

    def bounded(*_: int) -> None:
        if time.monotonic() > end:
            raise TimeoutError("it took too long")

    with closing(sqlite3.connect(partial, isolation_level=None)) as copy:
        copy.execute("PRAGMA journal_mode=OFF")
        copy.execute("PRAGMA synchronous=OFF")
        source.backup(copy, progress=bounded)  # all pages at once: a concurrent writer would restart it
