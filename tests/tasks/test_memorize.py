"""Memorisation: what is read comes back, and nothing else is scored."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellsearch.errors import DataError
from cellsearch.tasks import build


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 12), st.integers(2, 26), st.integers(1, 7), st.integers(0, 2**64 - 1))
def test_every_example_is_read_and_then_reproduced(count: int, alphabet: int, batch: int, seed: int) -> None:
    total = batch * (2 * count + 5)
    options = {"symbols": count, "alphabet": alphabet, "train": total, "valid": total, "test": total}
    data = build("memorize", options, batch=batch, seed=seed, data=None)
    assert data.vocabulary == len(data.symbols) == alphabet
    for part in (data.train, data.valid, data.test):
        for inputs, targets in zip(part.inputs.tolist(), part.targets.tolist(), strict=True):
            for place, target in enumerate(targets):
                reproduces = (place + 1) % (2 * count) >= count  # of the next place in the row
                assert (target != -1) == reproduces
                if reproduces:
                    # the symbol read `count` places before the one predicted
                    assert target == inputs[place + 1 - count]


def test_a_separator_stands_in_front_of_each_example_and_is_not_scored() -> None:
    options = {"symbols": 2, "alphabet": 3, "separator": "symbol", "train": 44, "valid": 44, "test": 44}
    data = build("memorize", options, batch=4, seed=1, data=None)
    assert data.symbols == ("a", "b", "c", "^") and data.vocabulary == 4
    for inputs, targets in zip(data.train.inputs.tolist(), data.train.targets.tolist(), strict=True):
        for place, (symbol, target) in enumerate(zip(inputs, targets, strict=True)):
            assert (symbol == 3) == (place % 5 == 0)
            assert (target != -1) == ((place + 1) % 5 >= 3), "the two that are reproduced"
            assert target in (-1, inputs[place - 1])


def test_symbols_are_even_and_independent(spell) -> None:
    data = build("memorize", {"train": 260_000}, batch=20, seed=1, data=None)
    rows = spell(data, data.train)
    read = [row[start : start + 5] for row, _ in rows for start in range(0, len(row), 10)]
    letters = Counter("".join(read))
    assert set(letters) == set("abcdefghijklmnopqrstuvwxyz")
    assert max(letters.values()) < 1.1 * len(read) * 5 / 26
    neighbours = Counter(word[:2] for word in read)
    assert len(neighbours) == 26**2
    assert max(neighbours.values()) < 2 * len(read) / 26**2


def test_large_alphabets_have_numbered_names() -> None:
    data = build("memorize", {"alphabet": 30}, batch=20, seed=1, data=None)
    assert data.symbols[:2] == ("s0", "s1")
    assert data.train.inputs.max() == 29
    assert data.measure == "loss"


def test_rows_too_short_to_reproduce_anything_are_refused() -> None:
    with pytest.raises(
        DataError,
        match="the valid part of task 'memorize' has no position to score, in 20 rows of 45 symbols",
    ):
        build("memorize", {"symbols": 50, "valid": 900}, batch=20, seed=1, data=None)
