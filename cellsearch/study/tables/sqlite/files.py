"""The files of an SQLite database before it is opened: the one that is named, and those beside it.

SQLite opens `-wal`, `-shm` and `-journal` by their names, and follows links. So they are looked at first.
"""

import os
import shlex
import stat
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from cellsearch.errors import RunError, printable
from cellsearch.files import NotRegularError, refuse_links

SIDES = ("-wal", "-shm")  # there while a database is open
JOURNAL = "-journal"  # there where a file system has no use for the other two
BACKUP = ".backup"
RESCUED = ".rescued"  # what a process still saw when -wal was deleted


class Damaged(RunError):
    """The database itself is damaged: to go on would make it worse."""


def check(file: Path) -> None:
    """Before a database is opened. RunError where it is no file; UnsafeError where a file beside it leads
    elsewhere; Damaged where -wal was deleted under a search."""
    with suppress(ValueError):  # no system has such a path: opening it says so
        if not stat.S_ISREG(mode := _mode(file)):  # a FIFO would be waited for
            kind = NotRegularError(mode).kind
            raise RunError(
                f"{printable(str(file))} is {kind}, not a database\nremove it, or name another one"
            )
        real = os.path.realpath(file)  # SQLite looks beside the file that a link leads to
        refuse_links(*(Path(real + side) for side in (*SIDES, JOURNAL)))
        if (rescued := Path(real + RESCUED)).is_file():
            raise Damaged(
                f"{printable(real)} lacks results: its -wal was deleted while a search was at work\n"
                f"{rescued.name} has them; {put_in_place(rescued, Path(real))}"
            )
        wal, shm = (Path(real + side) for side in SIDES)
        if shm.exists() and not wal.exists() and shm.exists():  # SQLite makes -wal first, and removes it last
            otherwise = "there is no backup; give the same command again"
            raise Damaged(
                f"{printable(str(wal))} was deleted while a search was at work: results may be missing\n"
                f"end all processes of the search; to go on with what is left, `rm {shlex.quote(str(shm))}`\n"
                f"{remedy(Path(real), otherwise)}"
            )


def _mode(file: Path) -> int:
    """What a path leads to; that of a file where that is not known, or nothing is there."""
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
    """What to do about a damaged database: to restore its backup, or `otherwise` where there is none."""
    backup = None if file is None else backup_of(file)
    if file is None or backup is None:
        return otherwise
    at = datetime.fromtimestamp(backup.stat().st_mtime).isoformat(" ", "minutes")
    return f"there is a backup of {at}; {put_in_place(backup, file)}"


def put_in_place(copy: Path, file: Path) -> str:
    # the old -wal would be taken for that of the copy
    sides = " ".join(shlex.quote(str(file) + side) for side in SIDES)
    move = "cp" if copy.name.endswith(BACKUP) else "mv"
    names = f"{shlex.quote(str(copy))} {shlex.quote(str(file))}"
    return printable(f"end all processes of the search, then `rm -f {sides} && {move} {names}`", 2_000)
