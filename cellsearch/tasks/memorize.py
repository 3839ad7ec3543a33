"""Memorisation: symbols are read, then reproduced in the same order (Jozefowicz et al. 2015, section 3.1).

An example with 3 symbols is `qkbqkb`. There is no separator, as the paper names none: the last symbol read
predicts the first one reproduced, and only what is reproduced is scored. With teacher forcing the input of a
reproducing step is the right symbol, so the cell has to carry each symbol over as many steps as there are
symbols.
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

    symbols: int = option(5, "how many symbols are read and then reproduced (the paper: 5)", low=1, high=1000)
    alphabet: int = option(26, "how many different symbols there are (the paper: 26)", low=2, high=1000)
    # Not said; the paper names no separator.
    separator: str = option(
        "none", "symbol: one of its own stands in front of each example", choices=("none", "symbol")
    )
    # Not said. A GRU of 24,000 parameters gets to 95% within 1.4 to 2 million symbols (learning rate 1 on the
    # mean loss, norm 5): some eight epochs of this size, so that a schedule that counts epochs sees it learn.
    train: int = size(200_000, "symbols to train on, over all rows")
    # 10,000 scored positions: at the filter's 95% the standard error is 0.002.
    valid: int = size(20_000, "symbols to validate on")
    test: int = size(20_000, "symbols to test on")


def symbols(options: Memorize) -> tuple[str, ...]:
    """Letters, or numbered names where there are not enough letters."""
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
