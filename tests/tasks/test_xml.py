"""XML against a slow, independent reader: nesting, names, the loop's limit and its probabilities."""

from collections import Counter
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellsearch.errors import DataError
from cellsearch.tasks import IGNORE, build
from cellsearch.tasks.options import parse
from cellsearch.tasks.xml import SYMBOLS, Xml, documents


def read(text: str) -> tuple[list[tuple[str, str]], list[str]]:
    """The events ("open" or "close", name) of a stream, a cut last one dropped, and what is left open."""
    events: list[tuple[str, str]] = []
    stack: list[str] = []
    place = 0
    while place < len(text):
        assert text[place] == "<"
        end = text.find(">", place)
        if end < 0:
            rest = text[place + 1 :]
            if rest.startswith("/"):
                assert stack, "closes what is not open"
                assert stack[-1].startswith(rest[1:])
            break
        inside = text[place + 1 : end]
        if inside.startswith("/"):
            assert stack, "closes what is not open"
            assert stack.pop() == inside[1:]
            events.append(("close", inside[1:]))
        else:
            assert inside.isalpha()
            assert inside.islower()
            stack.append(inside)
            events.append(("open", inside))
        place = end + 1
    return events, stack


def drawn(options: dict[str, object], examples: int, seed: int) -> list[list[tuple[str, str]]]:
    """The events of documents, document by document; each one is closed."""
    made = documents(parse(Xml, options, "xml"), np.random.default_rng(seed), examples)
    text = "".join(SYMBOLS[symbol] for symbol in made.symbols)
    assert made.scored.all()
    assert made.lengths.sum() == len(text)
    assert len(made.lengths) == examples
    found = []
    for end, length in zip(np.cumsum(made.lengths).tolist(), made.lengths.tolist(), strict=True):
        events, still_open = read(text[end - length : end])
        assert not still_open
        found.append(events)
    return found


@pytest.mark.parametrize("part", ["train", "valid", "test"])
def test_every_stream_is_well_nested_and_every_position_scored(part: str, spell) -> None:
    data = build("xml", {"train": 60_000, "valid": 60_000, "test": 60_000}, batch=20, seed=5, data=None)
    assert data.vocabulary == 29
    assert (getattr(data, part).targets != IGNORE).all()
    for row, _ in spell(data, getattr(data, part)):
        events, _ = read(row)
        assert len(events) > 100


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 12), st.integers(0, 12), st.integers(1, 70), st.integers(1, 30), st.integers(0, 1000))
def test_streams_keep_to_the_options(
    shortest: int, more: int, iterations: int, batch: int, seed: int
) -> None:
    options: dict[str, object] = {"shortest": shortest, "longest": shortest + more, "iterations": iterations}
    sizes = dict.fromkeys(("train", "valid", "test"), 500 * batch)
    data = build("xml", {**options, **sizes}, batch=batch, seed=seed, data=None)
    for row in data.train.inputs:
        events, _ = read("".join(data.symbols[symbol] for symbol in row))
        assert all(shortest <= len(name) <= shortest + more for _, name in events)
    for events in drawn(options, 50, seed):
        assert all(kind == "close" for kind, _ in events[iterations:])


def test_the_loop_closes_after_fifty_iterations() -> None:
    found = drawn({}, 20_000, seed=2)
    long = [events for events in found if len(events) > 50]
    assert len(long) > 1000
    for events in long:
        assert all(kind == "close" for kind, _ in events[50:])
    assert max(sum(kind == "open" for kind, _ in events) for events in found) > 25


def test_the_loop_has_the_probabilities_of_the_paper() -> None:
    found = drawn({}, 40_000, seed=3)
    lengths = Counter(len(events) for events in found)
    # k tags, closed again within the loop: Catalan(k) ways, 2k even chances, and one more to stop
    for k in range(5):
        expected = comb(2 * k, k) / (k + 1) / 2 ** (2 * k + 1)
        assert lengths[2 * k] / len(found) == pytest.approx(expected, abs=0.008)
    # never stopped in 50 turns: an even walk that stays above -1
    assert sum(len(e) >= 50 for e in found) / len(found) == pytest.approx(comb(50, 25) / 2**50, abs=0.008)


def test_names_are_even() -> None:
    names = [name for events in drawn({}, 20_000, seed=4) for kind, name in events if kind == "open"]
    lengths = Counter(map(len, names))
    assert set(lengths) == set(range(2, 11))
    for count in lengths.values():
        assert count / len(names) == pytest.approx(1 / 9, abs=0.006)
    letters = Counter("".join(names))
    assert set(letters) == set("abcdefghijklmnopqrstuvwxyz")
    for count in letters.values():
        assert count / letters.total() == pytest.approx(1 / 26, abs=0.002)


def test_names_that_are_longest_before_they_are_shortest() -> None:
    with pytest.raises(DataError, match="shortest is 11 and longest 10"):
        build("xml", {"shortest": 11}, batch=20, seed=0, data=None)
