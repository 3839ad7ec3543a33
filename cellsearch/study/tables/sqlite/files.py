"""Checks of the files of an SQLite database before it is opened.

SQLite opens `-wal`, `-shm` and `-journal` by name, and follows links. So they are checked first.
"""

import os
import shlex
import stat
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from cellsearch.errors import RunError, printable
from cellsearch.files import NotRegularError, refuse_links

SIDES = ("-wal", "-shm")  # exist while a database is open
JOURNAL = "-journal"  # exists on file systems without WAL support
BACKUP = ".backup"
RESCUED = ".rescued"  # data rescued by a process when -wal was deleted


class Damaged(RunError):
    """The database is damaged; further writes would make it worse."""


def check(file: Path) -> None:
    """Checks before a database is opened. Raises RunError if it is not a file, UnsafeError if a file beside
    it is a link, and Damaged if -wal was deleted during a search."""
    with suppress(ValueError):  # invalid path: opening it raises the error
        if not stat.S_ISREG(mode := _mode(file)):  # a FIFO would block
            kind = NotRegularError(mode).kind
            raise RunError(
                f"{printable(str(file))} is {kind}, not a database\nremove it, or name another one"
            )
        real = os.path.realpath(file)  # SQLite uses the directory of a link's target
        refuse_links(*(Path(real + side) for side in (*SIDES, JOURNAL)))
        if (rescued := Path(real + RESCUED)).is_file():
            raise Damaged(
                f"{printable(real)} lacks results: its -wal was deleted during a search\n"
                f"{rescued.name} has them; {put_in_place(rescued, Path(real))}"
            )
        wal, shm = (Path(real + side) for side in SIDES)
        if (
            shm.exists() and not wal.exists() and shm.exists()
        ):  # SQLite creates -wal first, and removes it last
            otherwise = "there is no backup; run the same command again"
            raise Damaged(
                f"{printable(str(wal))} was deleted during a search: results may be missing\n"
                f"end all processes of the search; to continue with the rest, `rm {shlex.quote(str(shm))}`\n"
                f"{remedy(Path(real), otherwise)}"
            )


def _mode(file: Path) -> int:
    """The stat mode of a path's target; that of a regular file if unknown or missing."""
    try:
        return file.stat().st_mode
    except OSError:
        return stat.S_IFREG


def backup_of(file: Path) -> Path | None:
    """The backup of a database, if there is one."""
    found = file.with_name(file.name + BACKUP)
    with suppress(OSError, ValueError):
        return found if found.is_file() else None
    return None


def remedy(file: Path | None, otherwise: str) -> str:
    """The remedy for a damaged database: restore its backup, or `otherwise` without one."""
    backup = None if file is None else backup_of(file)
    if file is None or backup is None:
        return otherwise
    at = datetime.fromtimestamp(backup.stat().st_mtime).isoformat(" ", "minutes")
    return f"there is a backup of {at}; {put_in_place(backup, file)}"


def put_in_place(copy: Path, file: Path) -> str:
    # the old -wal would be applied to the copy
    sides = " ".join(shlex.quote(str(file) + side) for side in SIDES)
    move = "cp" if copy.name.endswith(BACKUP) else "mv"
    names = f"{shlex.quote(str(copy))} {shlex.quote(str(file))}"
    return printable(f"end all processes of the search, then `rm -f {sides} && {move} {names}`", 2_000)
