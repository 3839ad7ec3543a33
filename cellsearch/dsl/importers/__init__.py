"""Import cells from other tools. Files are read as data and never executed.

    .json    recipes of NAS-Bench-NLP: one, a list of them, or the log of a run  (`nas_bench_nlp`)
    .py      recurrent genotypes of DARTS and ENAS as literals                   (`darts`)
    others   a text that contains Genotype(...), such as the log of a search        (`darts`)

A cell is named after its file and its position in it, or after its genotype; its description lists omitted
and renamed nodes. Pickles are refused, since reading one runs code.
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
    """All cells of a file, in its order, with names that differ even if case is ignored. Raises ForeignError,
    with the location if known, for an unknown format, an invalid entry, or a cell beyond the limits.
    """
    found = read_each(path)
    if found.refused:
        raise found.refused[0]
    return list(found.cells)


def read_each(path: str | os.PathLike[str]) -> Found:
    """The cells of a file, and an error for each refused recipe or genotype; at least one cell or error.
    Raises ForeignError if the whole file is refused.
    """
    source = open_source(Path(path))
    suffix = Path(path).suffix.lower()
    if suffix == PYTHON:
        return darts.cells(source)
    logged = suffix != JSON and CALL.search(source.text)  # a line of a log may also begin with [
    if not logged and source.text.lstrip()[:1] in ("{", "["):
        return nas_bench_nlp.cells(source)
    if logged:
        return darts.cells(source, log=True)
    raise _unknown(source)


def _unknown(source: Source) -> ForeignError:
    start = len(source.text) - len(source.text.lstrip())
    return source.error(
        "this is neither a recipe nor a genotype", start, start + 1,
        "recipes of NAS-Bench-NLP are JSON ({...} or [...]); genotypes of DARTS are in a .py file or a log",
    )  # fmt: skip
