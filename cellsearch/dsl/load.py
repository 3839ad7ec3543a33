"""A cell by the name of a zoo cell or of a file. In: a name or path. Out: a `Cell`, or a TextError.

Files are read with care: regular files alone, at most 64 KiB, UTF-8; directories, FIFOs and devices are
refused.
"""

import difflib
import os
import stat
from pathlib import Path

from cellsearch.dsl import zoo
from cellsearch.dsl.graph import MAX_TEXT, Cell
from cellsearch.dsl.text import parse
from cellsearch.errors import Place, TextError, printable


def load(path: str | os.PathLike[str]) -> Cell:
    """The zoo's cell of this name, else the cell in this file. Raises TextError where there is none."""
    name = os.fspath(path)
    if isinstance(path, str) and name in zoo.names():
        return zoo.load(name)
    return parse(read(name), file=name)


def read(name: str) -> str:
    """The text of a `.cell` file."""
    shown = printable(name)
    try:
        mode = Path(name).stat().st_mode
        if stat.S_ISDIR(mode):
            raise TextError(f"{shown} is a directory", remedy="name a .cell file in it")
        if not stat.S_ISREG(mode):
            raise TextError(f"{shown} is not a regular file", remedy="a cell is read from a file on disk")
        # not blocking: between the two calls the path may have become a FIFO
        handle = os.open(name, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise TextError(f"{shown} is not a regular file", remedy="a cell is read from a file on disk")
            data = file.read(MAX_TEXT + 1)
    except FileNotFoundError:
        near = difflib.get_close_matches(name, zoo.names(), n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        known = f"(cells by name: {', '.join(zoo.names())})"
        raise TextError(f"there is neither a cell nor a file called '{shown}'", remedy=hint + known) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise TextError(f"cannot read {shown}: {reason}", remedy="name a readable .cell file") from None
    if len(data) > MAX_TEXT:
        raise TextError(f"{shown} is longer than {MAX_TEXT // 1024} KiB", remedy="is this a .cell file?")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        lines = data[: error.start].decode("utf-8").split("\n")
        text = data.split(b"\n")[len(lines) - 1].decode("utf-8", "replace")
        place = Place(name, len(lines), len(lines[-1]) + 1, text)
        raise TextError(
            f"byte 0x{data[error.start]:02X} is not UTF-8", place, "save the file as UTF-8"
        ) from None
