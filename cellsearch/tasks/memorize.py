"""Memorisation: read symbols, then reproduce them in the same order (Jozefowicz et al. 2015, section 3.1).

An example with 3 symbols is `qkbqkb`. There is no separator, since the paper mentions none: the last symbol
read predicts the first one reproduced, and only reproduced symbols are scored. With teacher forcing the input
of a reproducing step is the correct symbol, so the cell must carry each symbol over a number of steps equal
to the number of symbols.
"""

from dataclasses import dataclass
from string import ascii_lowercase

import numpy as np

from cellsearch.options import option
from cellsearch.tasks.data import Part
from cellsearch.tasks.options import size
from cellsearch.tasks.streams import Examples, parts

SEPARATOR = "^"


@dataclass(frozen=True, slots=True)
class Memorize:
    """Options of the task."""

    symbols: int = option(
        5, "number of symbols that are read and then reproduced (the paper: 5)", low=1, high=1000
    )
    alphabet: int = option(26, "number of different symbols (the paper: 26)", low=2, high=1000)
    # The paper mentions no separator.
    separator: str = option(
        "none", "symbol: a separate symbol precedes each example", choices=("none", "symbol")
    )
    # Not in the paper. A GRU of 24,000 parameters reaches 95% within 1.4 to 2 million symbols (learning rate
    # 1 on the mean loss, norm 5): about eight epochs of this size, so that a schedule in epochs observes the
    # learning.
    train: int = size(200_000, "training symbols over all rows")
    # 10,000 scored positions: at the filter's 95% the standard error is 0.002.
    valid: int = size(20_000, "validation symbols")
    test: int = size(20_000, "test symbols")


def symbols(options: Memorize) -> tuple[str, ...]:
    """Letters, or numbered names if there are not enough letters."""
    few = options.alphabet <= len(ascii_lowercase)
    found = tuple(ascii_lowercase[k] if few else f"s{k}" for k in range(options.alphabet))
    return (*found, SEPARATOR) if options.separator == "symbol" else found


def generate(options: Memorize, *, batch: int, seed: int) -> dict[str, Part]:
    """The three parts."""
    count, first = options.symbols, int(options.separator == "symbol")
    length = first + 2 * count

    def draw(rng: np.random.Generator, examples: int) -> Examples:
        read = rng.integers(options.alphabet, size=(examples, count), dtype=np.uint16)
        start = np.full((examples, first), options.alphabet, np.uint16)
        scored = np.tile(np.arange(length) >= first + count, examples)
        return Examples(np.hstack([start, read, read]).ravel(), scored, np.full(examples, length, np.int64))

    sizes = {"train": options.train, "valid": options.valid, "test": options.test}
    return parts(draw, length, sizes, batch=batch, seed=seed, task="memorize")
