"""A given text as symbols: from the tokens of three parts to numbered symbols in B rows.

Symbols are the tokens of the training part, most frequent first and ties in code point order, up to a cap;
other tokens become `<unk>`, which is a symbol only if needed. So every symbol can be learned.
"""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import repeat

import numpy as np

from cellsearch.errors import DataError, plural
from cellsearch.tasks.data import Part, Symbols
from cellsearch.tasks.options import MAX_SYMBOLS

UNKNOWN = "<unk>"
END = "<eos>"  # the end of a line, if lines are tokens


def number(parts: Mapping[str, Sequence[str]], cap: int) -> tuple[tuple[str, ...], dict[str, Symbols]]:
    """The symbols, at most `cap` including `<unk>`, and every part as symbol numbers. `parts` holds sequences
    of tokens (a string is a sequence of characters); "train" determines the symbols.
    """
    counts = Counter(parts["train"])
    ranked = sorted(counts, key=lambda token: (-counts[token], token))
    symbols = ranked[:cap]
    strange = len(ranked) > cap or any(set(part) - counts.keys() for part in parts.values())
    if strange and UNKNOWN not in symbols:
        symbols = [*ranked[: cap - 1], UNKNOWN]
    index = {token: place for place, token in enumerate(symbols)}
    return tuple(symbols), {name: _numbers(part, index) for name, part in parts.items()}


def _numbers(part: Sequence[str], index: Mapping[str, int]) -> Symbols:
    unknown = index.get(UNKNOWN, -1)  # -1 is never used: without <unk> every token is in the index
    if not isinstance(part, str):
        return np.fromiter(map(index.get, part, repeat(unknown)), np.int64, len(part))
    table = np.full(
        sys.maxunicode + 1, unknown, np.int64
    )  # by code point: a hundred million characters in a second
    for token, place in index.items():
        if len(token) == 1:
            table[ord(token)] = place
    numbers: Symbols = table[np.frombuffer(part.encode("utf-32-le"), "<u4")]
    return numbers


def fold(stream: Symbols, batch: int, what: str) -> Part:
    """One text as `batch` consecutive rows; every target is the next symbol. Drops a remainder of less than
    `batch` symbols. Raises DataError if a row would be empty.
    """
    length = (stream.size - 1) // batch
    if length < 1:
        raise DataError(
            f"{what} has {plural(stream.size, 'symbol')}: too few for {plural(batch, 'row')}. Use a longer "
            f"text or a smaller batch."
        )
    used = length * batch
    return Part(
        stream[:used].reshape(batch, length).copy(), stream[1 : used + 1].reshape(batch, length).copy()
    )


def limit(tokens: Sequence[str], cap: int | None, what: str) -> Sequence[str]:
    """The first `cap` tokens; raises DataError if more than MAX_SYMBOLS remain."""
    tokens = tokens[:cap]
    if len(tokens) > MAX_SYMBOLS:
        raise DataError(
            f"{what} has {len(tokens):,} symbols, and {MAX_SYMBOLS:,} are the most."
            " Cap it with the option of the part's name."
        )
    return tokens


def lines(text: str) -> list[str]:
    """The lines of `text` without their ends; a final newline starts no line."""
    return text.removesuffix("\n").split("\n")
