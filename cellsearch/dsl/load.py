"""A cell by the name of a zoo cell or of a file. In: a name or path. Out: a `Cell`, or a TextError.

A file is at most 64 KiB of UTF-8.
"""

import difflib
import os
from pathlib import Path

from cellsearch import files
from cellsearch.dsl import zoo
from cellsearch.dsl.graph import MAX_TEXT, Cell
from cellsearch.dsl.text import parse
from cellsearch.errors import TextError, printable


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
        data = files.read(Path(name), MAX_TEXT)
    except files.NotRegularError as error:
        if error.is_directory:
            raise TextError(f"{shown} is a directory", remedy="name a .cell file in it") from None
        raise TextError(
            f"{shown} is not a regular file", remedy="a cell is read from a file on disk"
        ) from None
    except FileNotFoundError:
        near = difflib.get_close_matches(name, zoo.names(), n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        known = f"(cells by name: {', '.join(zoo.names())})"
        raise TextError(f"there is neither a cell nor a file called '{shown}'", remedy=hint + known) from None
    except (OSError, ValueError) as error:
        raise TextError(
            f"cannot read {shown}: {files.reason(error)}", remedy="name a readable .cell file"
        ) from None
    if len(data) > MAX_TEXT:
        raise TextError(f"{shown} is longer than {MAX_TEXT // 1024} KiB", remedy="is this a .cell file?")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise TextError(
            f"byte 0x{data[error.start]:02X} is not UTF-8",
            files.place_of(error, name),
            "save the file as UTF-8",
        ) from None
