"""Rows of generated examples: each of the B rows is a concatenation of independent examples, cut at N
symbols.

A function draws a number of examples at once. Every row starts with a new example; the last example of a row
is truncated at the end of the row.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cellsearch.errors import DataError, plural
from cellsearch.tasks.data import IGNORE, Part

FIRST = 256  # examples drawn to estimate their mean length
CELLS = 10_000_000  # maximum size of the tables for examples drawn at once: bounds their memory


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """E independent examples, one after the other."""

    symbols: NDArray[np.uint16]  # [S]
    scored: NDArray[np.bool_]  # [S], whether the symbol is a scored target
    lengths: NDArray[np.int64]  # [E], may be 0; their sum is S


Draw = Callable[[np.random.Generator, int], Examples]


def parts(
    draw: Draw, longest: int, sizes: Mapping[str, int], *, batch: int, seed: int, task: str
) -> dict[str, Part]:
    """Train, valid and test with `sizes` symbols over all rows, each from its own random stream. `longest` is
    the maximum length of an example. Valid and test do not depend on the size of train.
    """
    children = np.random.SeedSequence(seed).spawn(len(sizes))
    made = {}
    for (name, total), child in zip(sizes.items(), children, strict=True):
        if total < batch:
            raise DataError(
                f"option '{name}' of task '{task}' is {plural(total, 'symbol')}:"
                f" too few for {plural(batch, 'row')}. Increase it, or reduce the batch."
            )
        # PCG64 by name: default_rng may change, and with it every digest
        made[name] = lay(draw, longest, batch, total // batch, np.random.Generator(np.random.PCG64(child)))
    return made


def lay(draw: Draw, longest: int, batch: int, length: int, rng: np.random.Generator) -> Part:
    """`batch` rows of `length` positions; a target is the next symbol of the row if that one is scored."""
    drawn = draw(rng, FIRST)
    inputs = np.empty((batch, length), np.int64)
    targets = np.empty((batch, length), np.int64)
    row = at = 0
    while True:
        starts = np.cumsum(drawn.lengths) - drawn.lengths
        while row < batch:
            example = int(np.searchsorted(starts, at))
            start = int(starts[example]) if example < starts.size else drawn.symbols.size
            end = start + length + 1  # one more than the row: its last position needs a target
            if end > drawn.symbols.size:
                break
            inputs[row] = drawn.symbols[start : end - 1]
            following = drawn.symbols[start + 1 : end].astype(np.int64)
            targets[row] = np.where(drawn.scored[start + 1 : end], following, IGNORE)
            row, at = row + 1, end
        if row == batch:
            return Part(inputs, targets)
        drawn = _more(draw, drawn, at + (batch - row) * (length + 1), batch - row, longest, rng)


def _more(
    draw: Draw, drawn: Examples, needed: int, rows: int, longest: int, rng: np.random.Generator
) -> Examples:
    """`drawn` plus the estimated number of examples for `needed` symbols, including the parts cut off by
    `rows` rows."""
    total = drawn.symbols.size
    mean = max(1.0, total / drawn.lengths.size)
    squares = float(np.sum(drawn.lengths.astype(np.float64) ** 2))
    rest = squares / (2 * max(1, total))  # mean number of symbols cut off per row
    # at least some: a long last example may hold all needed symbols and start no row
    wanted = max(16, int(1.02 * (needed + rows * rest - total) / mean) + 16)
    new = []
    while wanted > 0:
        new.append(draw(rng, min(wanted, max(1, CELLS // longest))))
        wanted -= new[-1].lengths.size
    return Examples(
        np.concatenate([drawn.symbols, *(each.symbols for each in new)]),
        np.concatenate([drawn.scored, *(each.scored for each in new)]),
        np.concatenate([drawn.lengths, *(each.lengths for each in new)]),
    )


def pack(symbols: NDArray[np.uint16], present: NDArray[np.bool_], scored: NDArray[np.bool_]) -> Examples:
    """Examples from a table [E, C] with gaps: the `present` symbols, row by row."""
    return Examples(symbols[present], scored[present], np.count_nonzero(present, axis=1).astype(np.int64))
