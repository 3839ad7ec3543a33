"""Cells of other programs, read as data and never executed: a file in, cells out, or a ForeignError.

    .json    recipes of NAS-Bench-NLP: one, a list of them, or the log of a run  (`nas_bench_nlp`)
    .py      recurrent genotypes of DARTS and ENAS as literals                   (`darts`)

A cell is named after its file and its place in it, or after its genotype; its description says what was left
out or renamed. Pickles are refused: to read one is to run it.
"""

import os
from pathlib import Path

from cellsearch.dsl.foreign import darts, nas_bench_nlp
from cellsearch.dsl.foreign.source import PYTHON, Source, open_source
from cellsearch.dsl.graph import Cell
from cellsearch.errors import ForeignError

__all__ = ["read"]


def read(path: str | os.PathLike[str]) -> list[Cell]:
    """All cells of a file, in its order and with different names (also where case is ignored).

    Raises ForeignError, with the place in the file wherever there is one: the file is none of the above,
    something in it is not as its format wants it, or a cell of it is larger than a cell may be.
    """
    source = open_source(Path(path))
    if Path(path).suffix.lower() == PYTHON:
        return darts.cells(source)
    if source.text.lstrip()[:1] in ("{", "["):
        return nas_bench_nlp.cells(source)
    raise _unknown(source)


def _unknown(source: Source) -> ForeignError:
    start = len(source.text) - len(source.text.lstrip())
    return source.error(
        "this is neither a recipe nor a genotype", start, start + 1,
        "recipes of NAS-Bench-NLP are JSON ({...} or [...]); genotypes of DARTS stand in a .py file",
    )  # fmt: skip
