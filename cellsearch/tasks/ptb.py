"""Penn Treebank, words: the set-up of Mikolov et al. (2010) that Jozefowicz et al. (2015, section 3.5) train
on.

The files `ptb.train.txt`, `ptb.valid.txt` and `ptb.test.txt` hold a sentence a line, words between spaces,
rare ones already `<unk>`, numbers already `N`. A sentence ends with the symbol `<eos>`: 929,589 / 73,760 /
82,430 symbols in all, 10,000 different ones. The text belongs to the Linguistic Data Consortium and is not
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
        10_000, "at most so many words, <unk> and <eos> among them (the paper: 10,000)", low=2, high=1_000_000
    )
    # Whole parts by default, as in the paper: "1M words".
    train: int | None = cap(
        "train on the first so many words alone; null for all. Words not among them become <unk>"
    )
    valid: int | None = cap("validate on the first so many words alone; null for all")
    test: int | None = cap("test on the first so many words alone; null for all")


def words(text: str) -> list[str]:
    """The words of a text with one sentence a line, each line ended by `<eos>`."""
    return [word for line in lines(text) for word in (*line.split(), END)]


def files(data: Path | None) -> dict[str, Path]:
    """The three files, directly in the directory `data` or in `ptb` below it; DataError if there are none."""
    top = directory(data, "ptb")
    for folder in (top, top / "ptb"):
        paths = {part: folder / f"ptb.{part}.txt" for part in PARTS}
        if exists(paths["train"]):
            return paths
    raise DataError(
        f"no ptb.train.txt in {printable(str(top), 300)} nor in its folder ptb. Put ptb.train.txt,"
        " ptb.valid.txt and ptb.test.txt there (Mikolov's preparation of the Penn Treebank; it may not be"
        " redistributed, so it is not shipped), or name another directory with --data DIR."
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
