"""Rows of examples: every row starts with an example and is one after the other, cut where the row ends."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellsearch.errors import DataError
from cellsearch.tasks.data import IGNORE
from cellsearch.tasks.streams import Draw, Examples, lay, pack, parts

LONGEST = 9


def counting(longest: int = LONGEST) -> Draw:
    """Examples that read length, length - 1, …, 1, of random length; the last symbol of each is scored."""

    def draw(rng: np.random.Generator, examples: int) -> Examples:
        lengths = rng.integers(longest + 1, size=examples)
        symbols = [symbol for length in lengths.tolist() for symbol in range(length, 0, -1)]
        return Examples(np.array(symbols, np.uint16), np.array(symbols) == 1, lengths)

    return draw


def check_row(inputs: list[int], targets: list[int]) -> None:
    expected = 0  # what has to follow inside an example; 0 at the end of one
    for place, symbol in enumerate(inputs):
        assert expected in (0, symbol)
        expected = symbol - 1
        if place + 1 < len(inputs):
            assert targets[place] == (1 if inputs[place + 1] == 1 else IGNORE)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 300), st.integers(1, 60), st.integers(0, 10))
def test_rows_are_whole_examples_cut_at_the_end(batch: int, length: int, seed: int) -> None:
    part = lay(counting(), LONGEST, batch, length, np.random.default_rng(seed))
    assert part.inputs.shape == part.targets.shape == (batch, length)
    assert part.inputs.dtype == part.targets.dtype == np.int64
    for inputs, targets in zip(part.inputs.tolist(), part.targets.tolist(), strict=True):
        check_row(inputs, targets)


def test_the_last_position_of_a_row_has_the_target_that_would_follow() -> None:
    part = lay(counting(1), 1, 4, 10, np.random.default_rng(0))
    assert (part.targets == 1).all()


def test_rows_are_independent() -> None:
    """Starts of rows have the distribution of examples, whatever the row before cut off."""
    part = lay(counting(), LONGEST, 20_000, 4, np.random.default_rng(0))
    first = np.bincount(part.inputs[:, 0], minlength=LONGEST + 1)[1:] / 20_000
    assert first == pytest.approx(1 / LONGEST, abs=0.01)


def test_short_rows_of_long_examples_do_not_draw_for_ever() -> None:
    calls = 0
    draw = counting(400)

    def counted(rng: np.random.Generator, examples: int) -> Examples:
        nonlocal calls
        calls += 1
        return draw(rng, examples)

    lay(counted, 400, 1000, 2, np.random.default_rng(0))
    assert calls <= 6


def test_a_long_example_at_the_end_of_what_was_drawn() -> None:
    """It holds more symbols than are needed, but the second row cannot start inside it."""
    calls = 0

    def draw(rng: np.random.Generator, examples: int) -> Examples:
        nonlocal calls
        calls += 1
        assert calls < 100
        lengths = np.ones(examples, np.int64)
        if calls == 1:
            lengths[-1] = 1000
        total = int(lengths.sum())
        return Examples(np.full(total, calls, np.uint16), np.ones(total, np.bool_), lengths)

    part = lay(draw, 1000, 2, 255, np.random.default_rng(0))
    assert (part.inputs[0] == 1).all()
    assert (part.inputs[1] > 1).all()


def test_parts_have_random_streams_of_their_own() -> None:
    def made(train: int, seed: int = 3) -> dict[str, np.ndarray]:
        sizes = {"train": train, "valid": 400, "test": 400}
        made = parts(counting(), LONGEST, sizes, batch=4, seed=seed, task="xml")
        return {name: part.inputs for name, part in made.items()}

    short, long = made(400), made(4000)
    assert not np.array_equal(short["train"], short["valid"])
    assert not np.array_equal(short["valid"], short["test"])
    assert np.array_equal(short["valid"], long["valid"])
    assert np.array_equal(short["test"], long["test"])
    assert not np.array_equal(short["valid"], made(400, seed=4)["valid"])


def test_too_few_symbols_for_the_rows() -> None:
    with pytest.raises(DataError, match="option 'test' of task 'xml' is 7 symbols: too few for 8 rows"):
        parts(counting(), LONGEST, {"train": 80, "test": 7}, batch=8, seed=0, task="xml")


def test_pack_reads_what_is_present_row_by_row() -> None:
    symbols = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], np.uint16)
    present = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]], np.bool_)
    packed = pack(symbols, present, symbols > 2)
    assert packed.symbols.tolist() == [1, 3, 8]
    assert packed.scored.tolist() == [False, True, True]
    assert packed.lengths.tolist() == [2, 0, 1]
