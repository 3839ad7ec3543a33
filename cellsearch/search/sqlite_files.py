"""The files of an SQLite database: the one that is named, and those that SQLite keeps beside it.

SQLite opens `-wal`, `-shm` and `-journal` by their names, and follows links. So they are looked at first.
"""

import os
from contextlib import suppress
from pathlib import Path

from cellsearch.files import refuse_links

SIDES = ("-wal", "-shm")  # there while a database is open
JOURNAL = "-journal"  # there where a file system has no use for the other two


def check(file: Path) -> None:
    """Before a database is opened: UnsafeError where a file beside it leads elsewhere."""
    with suppress(ValueError):  # no system has such a path: opening it says so
        real = os.path.realpath(file)  # SQLite looks beside the file that a link leads to
        refuse_links(*(Path(real + side) for side in (*SIDES, JOURNAL)))
