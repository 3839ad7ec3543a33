"""XML: nested tags with random names; predict every character (Jozefowicz et al. 2015, section 3.5).

The paper's loop generates a document: with probability one half, or after 50 iterations, close the tag
opened last, or stop if none is open; otherwise open a tag with a random name of 2 to 10 lower-case letters.

    <pegshmnaj><zbhmg></zbhmg></pegshmnaj><autmh></autmh>

Documents are concatenated without a separator: the loop prints none. Half of them are empty, since the first
iteration may be the last. We treat the spaces in the paper's sample as typography: no step of the loop prints
one. Names of opened tags are noise, so accuracy stays far below 1; the learnable part is the name in a
closing tag.
"""

from dataclasses import dataclass
from string import ascii_lowercase

import numpy as np
from numpy.typing import NDArray

from cellsearch.errors import DataError
from cellsearch.options import option
from cellsearch.tasks.data import Part
from cellsearch.tasks.options import size
from cellsearch.tasks.streams import Examples, parts

SYMBOLS = tuple(ascii_lowercase + "<>/")
OPEN, CLOSE, SLASH = (SYMBOLS.index(symbol) for symbol in "<>/")

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Xml:
    """Options of the task."""

    shortest: int = option(2, "the shortest tag name, in letters (the paper: 2)", low=1, high=100)
    longest: int = option(10, "the longest tag name (the paper: 10)", low=1, high=100)
    iterations: int = option(
        50, "iterations of the loop after which open tags are only closed (the paper: 50)", low=1, high=1000
    )
    # Not in the paper. The number of words of PTB, so that an epoch, the unit of the schedule, is equally
    # long; 100,000 scored characters give an accuracy of 0.45 a standard error of 0.0016.
    train: int = size(1_000_000, "training characters over all rows")
    valid: int = size(100_000, "validation characters")
    test: int = size(100_000, "test characters")


def check(options: Xml) -> None:
    """Raises DataError for contradictory options."""
    if options.shortest > options.longest:
        raise DataError(
            f"options of task 'xml': shortest is {options.shortest} and longest {options.longest}."
            " The shortest tag name cannot be longer than the longest."
        )


def generate(options: Xml, *, batch: int, seed: int) -> dict[str, Part]:
    """The three parts."""

    def draw(rng: np.random.Generator, examples: int) -> Examples:
        return documents(options, rng, examples)

    longest = options.iterations * (2 * options.longest + 5)  # <name></name> for every turn
    sizes = {"train": options.train, "valid": options.valid, "test": options.test}
    return parts(draw, longest, sizes, batch=batch, seed=seed, task="xml")


def documents(options: Xml, rng: np.random.Generator, examples: int) -> Examples:
    """`examples` documents, including empty ones."""
    document, opens = _events(options, rng, examples)
    tag = _tags(document, opens)
    tags = int(np.count_nonzero(opens))
    length = rng.integers(options.shortest, options.longest + 1, size=tags, dtype=np.int64)
    name = rng.integers(len(ascii_lowercase), size=(tags, options.longest), dtype=np.uint16)

    # one event per row: < / name >, with the slash only for closing tags
    symbols = np.empty((opens.size, options.longest + 3), np.uint16)
    symbols[:, 0], symbols[:, 1], symbols[:, -1] = OPEN, SLASH, CLOSE
    symbols[:, 2:-1] = name[tag]
    present = np.ones(symbols.shape, np.bool_)
    present[:, 1] = ~opens
    present[:, 2:-1] = np.arange(options.longest) < length[tag][:, None]
    stream = symbols[present]
    width = np.count_nonzero(present, axis=1)
    lengths = np.bincount(document, weights=width, minlength=examples).astype(np.int64)
    return Examples(stream, np.ones(stream.shape, np.bool_), lengths)


def _events(options: Xml, rng: np.random.Generator, examples: int) -> tuple[Indices, NDArray[np.bool_]]:
    """The events of the loops of `examples` documents, in order: the document of each, and whether it opens a
    tag."""
    turns = options.iterations
    opens = rng.integers(2, size=(examples, turns), dtype=np.uint8) == 1
    depth = np.cumsum(np.where(opens, np.int16(1), np.int16(-1)), axis=1, dtype=np.int16)
    stopped = depth < 0  # no tag was open to close: the document ends
    stop = np.where(stopped.any(axis=1), stopped.argmax(axis=1), turns)
    left = np.where(stop == turns, depth[:, -1], 0)  # still open after the last iteration: closed one by one
    happens = np.arange(2 * turns) < (stop + left)[:, None]
    document = np.repeat(np.arange(examples, dtype=np.int64), stop + left)
    return document, np.hstack([opens, np.zeros_like(opens)])[happens]


def _tags(document: Indices, opens: NDArray[np.bool_]) -> Indices:
    """The tag of every event [V]; tags are numbered in the order of opening."""
    after = np.cumsum(
        np.where(opens, 1, -1)
    )  # every document closes all its tags, so the depth is 0 between documents
    level = np.where(opens, after, after + 1)
    # Within a document and level, openings and closings alternate; a closing matches the preceding opening.
    order = np.lexsort((level, document))
    tag = np.cumsum(opens) - 1
    tag[order[1::2]] = tag[order[0::2]]
    return tag
