"""Text: the next character or word of any UTF-8 file, or of the Python language's own documentation.

The file is cut in three: training text first, test text last. At the level of words a line ends with `<eos>`;
at that of characters the newline is a character like any other.

`source: python-docs` is the text of `help()`'s topics, which comes with every Python: half a million
characters of English prose with grammars and examples in between, in alphabetical order of the topics. It
differs between versions of Python, and so does the digest.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from cellsearch.errors import DataError
from cellsearch.options import option
from cellsearch.tasks.corpus import END, fold, limit, lines, number
from cellsearch.tasks.data import Part
from cellsearch.tasks.files import located, read_text
from cellsearch.tasks.options import cap

JOINERS = "\u200c\u200d"  # zero-width (non-)joiner: within words of Persian and of Indian languages

# the underline of a heading: rows of one mark that would be predicted for nothing
RULE = re.compile(r"^([*=~^-])\1{2,}\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Text:
    """Options of the task."""

    source: str = option(
        "file",
        "file: the file named by path; python-docs: the topics of Python's help()",
        choices=("file", "python-docs"),
    )
    path: str | None = option(
        None,
        "the file: absolute, or relative to the folder of the YAML file, or else to the data directory",
        path=True,
    )
    level: str = option("character", "what a symbol is", choices=("character", "word"))
    split: str = option(
        "marks",
        "of words: marks cuts at spaces and around punctuation marks, spaces at spaces alone (prepared text)",
        choices=("marks", "spaces"),
    )
    # That of PTB. Characters hardly ever reach it.
    vocabulary: int = option(
        10_000, "at most so many symbols; rarer ones become <unk>", low=2, high=1_000_000
    )
    # A tenth each: of half a million characters that leaves an accuracy near 0.5 a standard error of 0.0023.
    valid_fraction: float = option(0.1, "share of the text to validate on", low=0.001, high=0.9)
    test_fraction: float = option(0.1, "share of the text to test on, at its end", low=0.001, high=0.9)
    train: int | None = cap("train on the first so many symbols of the part alone; null for all")
    valid: int | None = cap("validate on the first so many symbols of the part alone; null for all")
    test: int | None = cap("test on the first so many symbols of the part alone; null for all")


def check(options: Text) -> None:
    """DataError where the options contradict each other."""
    if options.source == "file" and options.path is None:
        raise DataError("task 'text' needs a text: give the option path: FILE, or source: python-docs.")
    if options.source != "file" and options.path is not None:
        raise DataError(
            f"options of task 'text': path goes with source: file, not with source: {options.source}."
        )
    if options.valid_fraction + options.test_fraction > 0.95:
        raise DataError(
            "options of task 'text': valid_fraction and test_fraction leave less than 0.05 of the text to"
            " train on. Lower one of them."
        )


def files(options: Text, data: Path | None) -> list[Path]:
    """The file, where the text is in one. DataError where its directory is not known."""
    return [] if options.path is None else [located(options.path, data, "text")]


def read(options: Text, data: Path | None) -> str:
    """The whole text."""
    for path in files(options, data):
        return read_text(path, "the text of task 'text'")
    return python_docs()


def python_docs() -> str:
    """The topics of Python's `help()`, in alphabetical order, an empty line between two."""
    try:
        # not at the top: 700 KB that nothing else needs, and some distributions of Python leave them out
        topics: dict[str, str] = import_module("pydoc_data.topics").topics
    except (ImportError, AttributeError):
        raise DataError(
            "this Python comes without the texts of help() (the module pydoc_data.topics). Install the"
            " complete standard library, or give task 'text' a file with the option path: FILE."
        ) from None
    whole = "\n\n".join(topics[name].strip() for name in sorted(topics)) + "\n"
    return RULE.sub("", whole)


def tokens(text: str, options: Text) -> Sequence[str]:
    """The characters of `text`, or its words with `<eos>` after each line that has any."""
    if options.level == "character":
        return text
    cut = token_pattern(text).findall if options.split == "marks" else str.split
    found = (cut(line) for line in lines(text))
    return [token for line in found if line for token in (*line, END)]


def token_pattern(text: str) -> re.Pattern[str]:
    """Words with their apostrophes, marks one by one, and what is written like <unk> as one token.

    A word is made of letters, numbers, combining marks, connectors and joiners: of the Unicode categories
    L, N, M and Pc, and of U+200C and U+200D. What combines with a mark or a picture goes with it.
    """
    beyond = sorted(c for c in set(text) if not re.match(r"\w|\s", c))  # what \w of Python leaves out
    combining = "".join(c for c in beyond if unicodedata.category(c)[0] == "M" or c in JOINERS)
    connecting = "".join(c for c in beyond if unicodedata.category(c) == "Pc")
    word = rf"\w{combining}{connecting}"
    alone = rf"[^{word}\s]" + (rf"[{combining}]*" if combining else "")
    return re.compile(rf"<[{word}]+>|[{word}]+(?:['\u2019][{word}]+)*|{alone}")


def load(options: Text, *, batch: int, data: Path | None) -> tuple[tuple[str, ...], dict[str, Part]]:
    """The symbols and the three parts."""
    stream = tokens(read(options, data), options)
    valid_at = round(len(stream) * (1 - options.valid_fraction - options.test_fraction))
    test_at = round(len(stream) * (1 - options.test_fraction))
    cuts = {
        "train": (stream[:valid_at], options.train),
        "valid": (stream[valid_at:test_at], options.valid),
        "test": (stream[test_at:], options.test),
    }
    capped = {part: limit(cut, cap, f"the {part} part of task 'text'") for part, (cut, cap) in cuts.items()}
    symbols, streams = number(capped, options.vocabulary)
    return symbols, {
        part: fold(stream, batch, f"the {part} part of task 'text'") for part, stream in streams.items()
    }
