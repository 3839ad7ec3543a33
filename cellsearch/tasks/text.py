"""Text: the next character or word of any UTF-8 file, or of Python's own documentation.

The file is split in three: training text first, test text last. At the word level a line ends with `<eos>`;
at the character level the newline is an ordinary character.

`source: python-docs` is the text of `help()`'s topics, which every Python includes: half a million characters
of English prose with grammars and examples, in alphabetical order of the topics. It differs between versions
of Python, and so does the digest.
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

# the underline of a heading: trivial rows of one mark
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
        "word level: marks splits at spaces and around punctuation marks, spaces only at spaces (tokenised "
        "text)",
        choices=("marks", "spaces"),
    )
    # As for PTB. Character sets rarely reach it.
    vocabulary: int = option(
        10_000, "maximum number of symbols; rarer ones become <unk>", low=2, high=1_000_000
    )
    # A tenth each: for half a million characters an accuracy near 0.5 has a standard error of 0.0023.
    valid_fraction: float = option(0.1, "share of the text for validation", low=0.001, high=0.9)
    test_fraction: float = option(0.1, "share of the text for the test part, at its end", low=0.001, high=0.9)
    train: int | None = cap("train only on this number of symbols from the start of the part; null for all")
    valid: int | None = cap(
        "validate only on this number of symbols from the start of the part; null for all"
    )
    test: int | None = cap("test only on this number of symbols from the start of the part; null for all")


def check(options: Text) -> None:
    """Raises DataError for contradictory options."""
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
    """The file of the text, if any. Raises DataError if its directory is unknown."""
    return [] if options.path is None else [located(options.path, data, "text")]


def read(options: Text, data: Path | None) -> str:
    """The complete text."""
    for path in files(options, data):
        return read_text(path, "the text of task 'text'")
    return python_docs()


def python_docs() -> str:
    """The topics of Python's `help()`, in alphabetical order, separated by empty lines."""
    try:
        # imported here: 700 KB for this task only, and missing in some distributions of Python
        topics: dict[str, str] = import_module("pydoc_data.topics").topics
    except (ImportError, AttributeError):
        raise DataError(
            "this Python lacks the texts of help() (the module pydoc_data.topics). Install the"
            " complete standard library, or give task 'text' a file with the option path: FILE."
        ) from None
    whole = "\n\n".join(topics[name].strip() for name in sorted(topics)) + "\n"
    return RULE.sub("", whole)


def tokens(text: str, options: Text) -> Sequence[str]:
    """The characters of `text`, or its words with `<eos>` after each nonempty line."""
    if options.level == "character":
        return text
    cut = token_pattern(text).findall if options.split == "marks" else str.split
    found = (cut(line) for line in lines(text))
    return [token for line in found if line for token in (*line, END)]


def token_pattern(text: str) -> re.Pattern[str]:
    """Words with their apostrophes, single punctuation marks, and tokens like <unk>. A word consists of
    letters, numbers, combining marks, connectors and joiners: the Unicode categories L, N, M and Pc, and
    U+200C and U+200D. Combining characters stay with their mark or emoji.
    """
    beyond = sorted(c for c in set(text) if not re.match(r"\w|\s", c))  # not matched by Python's \w
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
