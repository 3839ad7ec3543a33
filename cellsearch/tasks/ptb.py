"""Penn Treebank, words: the data set of Mikolov et al. (2010) used by Jozefowicz et al. (2015, section 3.5).

The files `ptb.train.txt`, `ptb.valid.txt` and `ptb.test.txt` have one sentence per line, words separated by
spaces, rare words as `<unk>`, numbers as `N`. A sentence ends with the symbol `<eos>`: 929,589 / 73,760 /
82,430 symbols in total, 10,000 different ones. The text belongs to the Linguistic Data Consortium and is not
part of this project.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cellsearch.errors import DataError, printable
from cellsearch.options import option
from cellsearch.tasks.corpus import END, fold, limit, lines, number
from cellsearch.tasks.data import Part
from cellsearch.tasks.files import directory, exists, read_text
from cellsearch.tasks.options import cap

PARTS = ("train", "valid", "test")


@dataclass(frozen=True, slots=True)
class Ptb:
    """Options of the task."""

    vocabulary: int = option(
        10_000,
        "maximum number of words, including <unk> and <eos> (the paper: 10,000)",
        low=2,
        high=1_000_000,
    )
    # Whole parts by default, as in the paper: "1M words".
    train: int | None = cap(
        "train only on this number of words from the start; null for all. Other words become <unk>"
    )
    valid: int | None = cap("validate only on this number of words from the start; null for all")
    test: int | None = cap("test only on this number of words from the start; null for all")


def words(text: str) -> list[str]:
    """The words of a text with one sentence per line, each line followed by `<eos>`."""
    return [word for line in lines(text) for word in (*line.split(), END)]


def files(data: Path | None) -> dict[str, Path]:
    """The three files, directly in the directory `data` or in its folder `ptb`; raises DataError if there are
    none."""
    top = directory(data, "ptb")
    for folder in (top, top / "ptb"):
        paths = {part: folder / f"ptb.{part}.txt" for part in PARTS}
        if exists(paths["train"]):
            return paths
    raise DataError(
        f"no ptb.train.txt in {printable(str(top), 300)} nor in its folder ptb. Put ptb.train.txt,"
        " ptb.valid.txt and ptb.test.txt there (Mikolov's preparation of the Penn Treebank; it may not be"
        " redistributed, so it is not shipped), or give another directory with --data DIR."
    )


def read(data: Path | None, options: Ptb) -> dict[str, Sequence[str]]:
    """The words of each part, capped."""
    caps = {"train": options.train, "valid": options.valid, "test": options.test}
    read_parts = {}
    for part, path in files(data).items():
        what = f"the {part} part of task 'ptb'"
        read_parts[part] = limit(words(read_text(path, what)), caps[part], what)
    return read_parts


def load(options: Ptb, *, batch: int, data: Path | None) -> tuple[tuple[str, ...], dict[str, Part]]:
    """The symbols and the three parts."""
    symbols, streams = number(read(data, options), options.vocabulary)
    return symbols, {
        part: fold(stream, batch, f"the {part} part of task 'ptb'") for part, stream in streams.items()
    }
