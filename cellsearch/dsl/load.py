"""Load a cell by the name of a zoo cell or the path of a file of at most 64 KiB in UTF-8."""

import os

from cellsearch import files
from cellsearch.dsl import zoo
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.limits import MAX_TEXT
from cellsearch.dsl.text import parse
from cellsearch.errors import TextError, did_you_mean, printable


def load(path: str | os.PathLike[str]) -> Cell:
    """The cell of this name in the zoo, else the cell in this file.

    Raises TextError where there is none, or where the file is not a cell, with file, line, column and remedy.

        >>> cs.load("gru").name
        'gru'
        >>> cs.load("mine.cell")                                        # doctest: +SKIP
        <Cell mine(x; h, c): 6 equations>
    """
    name = os.fspath(path)
    if isinstance(path, str) and name in zoo.names():
        return zoo.load(name)
    return parse(read(name), file=name)


def read(name: str) -> str:
    """The text of a `.cell` file."""
    try:
        return files.read_text(name, MAX_TEXT, TextError, "a cell", ".cell file", "is this a .cell file?")
    except FileNotFoundError:
        hint = did_you_mean(name, zoo.names()) or files.near(name)
        known = f"({len(zoo.names())} zoo cells; `cellsearch cells` lists them)"
        raise TextError(
            f"there is neither a cell nor a file called '{printable(name)}'", remedy=hint + known
        ) from None
