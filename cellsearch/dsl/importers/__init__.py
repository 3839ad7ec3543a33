"""Cells of other programs, read as data and never executed: a file in, cells out, or a ForeignError.

    .json    recipes of NAS-Bench-NLP: one, a list of them, or the log of a run  (`nas_bench_nlp`)
    .py      recurrent genotypes of DARTS and ENAS as literals                   (`darts`)
    others   a text with Genotype(...) in it, such as the log of a search        (`darts`)

A cell is named after its file and its place in it, or after its genotype; its description says what was left
out or renamed. Pickles are refused: to read one is to run it.
"""

import os
from pathlib import Path

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.importers import darts, nas_bench_nlp
from cellsearch.dsl.importers.genotype import CALL
from cellsearch.dsl.importers.source import JSON, PYTHON, Found, Source, open_source
from cellsearch.errors import ForeignError

__all__ = ["Found", "read", "read_each"]


def read(path: str | os.PathLike[str]) -> list[Cell]:
    """All cells of a file, in its order and with different names (also where case is ignored).

    Raises ForeignError, with the place in the file wherever there is one: the file is none of the above,
    something in it is not as its format wants it, or a cell of it is larger than a cell may be.
    """
    found = read_each(path)
    if found.refused:
        raise found.refused[0]
    return list(found.cells)


def read_each(path: str | os.PathLike[str]) -> Found:
    """The cells of a file, and an error for each recipe or genotype that is refused; one at least of either.

    Raises ForeignError where the whole file is refused.
    """
    source = open_source(Path(path))
    suffix = Path(path).suffix.lower()
    if suffix == PYTHON:
        return darts.cells(source)
    logged = suffix != JSON and CALL.search(source.text)  # a line of a log may begin with [ too
    if not logged and source.text.lstrip()[:1] in ("{", "["):
        return nas_bench_nlp.cells(source)
    if logged:
        return darts.cells(source, log=True)
    raise _unknown(source)


def _unknown(source: Source) -> ForeignError:
    start = len(source.text) - len(source.text.lstrip())
    return source.error(
        "this is neither a recipe nor a genotype", start, start + 1,
        "recipes of NAS-Bench-NLP are JSON ({...} or [...]); genotypes of DARTS stand in a .py file or a log",
    )  # fmt: skip
