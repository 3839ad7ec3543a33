"""Text: cutting, numbering and folding, at both levels, and the documentation that every Python has."""

import sys
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellsearch.errors import DataError
from cellsearch.tasks import Dataset, build, memoryless
from cellsearch.tasks.corpus import fold, number
from cellsearch.tasks.text import python_docs


def built(tmp_path: Path, text: str, batch: int = 1, **options: object) -> Dataset:
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    return build("text", {"path": "text.txt", **options}, batch=batch, seed=0, data=tmp_path)


def test_the_text_is_cut_in_three_in_order(tmp_path: Path) -> None:
    text = "abcdefghijklmnopqrst" * 5
    data = built(tmp_path, text, valid_fraction=0.2, test_fraction=0.1)
    spelled = [
        "".join(data.symbols[s] for s in part.inputs[0]) for part in (data.train, data.valid, data.test)
    ]
    assert spelled == [text[:69], text[70:89], text[90:99]]
    assert data.measure == "bits"
    assert data.symbols == tuple("abcdefghijklmnopqrst")


def test_words_and_marks(tmp_path: Path) -> None:
    text = "Don't stop, <unk>: it's 3.5!\n\n" * 4
    data = built(tmp_path, text, level="word", valid_fraction=0.25, test_fraction=0.25)
    words = ["Don't", "stop", ",", "<unk>", ":", "it's", "3", ".", "5", "!", "<eos>"]
    assert [data.symbols[s] for s in data.train.inputs[0]] == (2 * words)[:-1]
    assert data.measure == "perplexity"
    spaced = built(tmp_path, text, level="word", split="spaces", valid_fraction=0.25, test_fraction=0.25)
    assert [spaced.symbols[s] for s in spaced.train.inputs[0]][:6] == [
        "Don't", "stop,", "<unk>:", "it's", "3.5!", "<eos>",
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_words_of_any_script_are_whole(form: Literal["NFC", "NFD"], tmp_path: Path) -> None:
    persian, combined = "\u0645\u06cc\u200c\u062e\u0648", "x\u0338 ❤\ufe0f"
    line = f"un café déjà-vu; Tiếng_Việt, हिन्दी! {persian} a‿b l\u2019été <été> {combined}"
    words = f"un café déjà - vu ; Tiếng_Việt , हिन्दी ! {persian} a‿b l\u2019été <été> {combined}".split()
    line, words = (unicodedata.normalize(form, line), [unicodedata.normalize(form, word) for word in words])
    data = built(tmp_path, f"{line}\n" * 8, level="word", valid_fraction=0.25, test_fraction=0.25)
    assert [data.symbols[s] for s in data.train.inputs[0]][: len(words)] == words


def test_symbols_are_those_of_training_by_frequency_and_the_rest_is_unknown(tmp_path: Path) -> None:
    text = "ccabbcc" + "xa" + "yb"
    data = built(tmp_path, text, valid_fraction=2 / 11, test_fraction=2 / 11)
    assert data.symbols == ("c", "b", "a", "<unk>")
    assert data.train.inputs[0].tolist() == [0, 0, 2, 1, 1, 0]
    assert data.valid.inputs[0].tolist() == [3]
    assert data.test.inputs[0].tolist() == [3]
    capped = built(tmp_path, text, vocabulary=2, valid_fraction=2 / 11, test_fraction=2 / 11)
    assert capped.symbols == ("c", "<unk>")
    assert capped.train.inputs[0].tolist() == [0, 0, 1, 1, 1, 0]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from("aaabbcdefü\U00010348"), min_size=1),
    st.lists(st.sampled_from("abcxyz\U0010ffff")),
    st.integers(2, 9),
)
def test_characters_and_words_are_numbered_alike(train: list[str], valid: list[str], cap: int) -> None:
    """The fast way for characters and the general one; and the numbering against its definition."""
    symbols, as_words = number({"train": train, "valid": valid}, cap)
    again, as_text = number({"train": "".join(train), "valid": "".join(valid)}, cap)
    assert symbols == again
    assert len(symbols) <= cap
    assert len(set(symbols)) == len(symbols)
    counts = Counter(train)
    known = [symbol for symbol in symbols if symbol != "<unk>"]
    assert known == sorted(counts, key=lambda token: (-counts[token], token))[: len(known)]
    for name, tokens in (("train", train), ("valid", valid)):
        assert np.array_equal(as_words[name], as_text[name])
        spelled = [symbols[place] for place in as_words[name]]
        assert spelled == [token if token in known else "<unk>" for token in tokens]


def test_unknown_is_no_symbol_twice() -> None:
    symbols, streams = number({"train": ["a", "<unk>", "<unk>"], "valid": ["b", "a"]}, 10)
    assert symbols == ("<unk>", "a")
    assert streams["valid"].tolist() == [0, 1]
    symbols, _ = number({"train": ["a", "a", "b", "b", "<unk>"], "valid": []}, 2)
    assert symbols == ("a", "<unk>")


@given(st.integers(2, 200), st.integers(1, 20))
def test_rows_go_on_where_the_last_one_ended(size: int, batch: int) -> None:
    stream = np.arange(size)
    if (size - 1) // batch < 1:
        with pytest.raises(DataError, match=f"has {size} symbols?: too few for {batch} rows?\\."):
            fold(stream, batch, "it")
        return
    part = fold(stream, batch, "it")
    assert part.inputs.ravel().tolist() == list(range(part.inputs.size))
    assert np.array_equal(part.targets, part.inputs + 1)
    assert size - 1 - part.inputs.size < batch


def test_caps_take_the_first_symbols(tmp_path: Path) -> None:
    data = built(tmp_path, "abcdefghij" * 20, train=30, valid=10, test=5)
    assert [part.inputs.size for part in (data.train, data.valid, data.test)] == [29, 9, 4]


def test_too_short_for_the_batch(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the valid part of task 'text' has 10 symbols: too few for 20 rows"):
        built(tmp_path, "abcdefghij" * 10, batch=20)


def test_more_symbols_than_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cellsearch.tasks.corpus.MAX_SYMBOLS", 79)
    with pytest.raises(DataError, match="the train part of task 'text' has 80 symbols, and 79 are the most"):
        built(tmp_path, "abcdefghij" * 10)
    built(tmp_path, "abcdefghij" * 10, train=79)


def test_what_the_text_is_must_be_said_once(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"path: FILE, or source: python-docs"):
        build("text", {}, batch=1, seed=0, data=tmp_path)
    with pytest.raises(DataError, match="path goes with source: file"):
        build("text", {"source": "python-docs", "path": "x"}, batch=1, seed=0, data=tmp_path)
    with pytest.raises(DataError, match=r"less than 0\.05"):
        built(tmp_path, "text", valid_fraction=0.5, test_fraction=0.5)


@pytest.mark.parametrize(("level", "vocabulary", "floor"), [("character", 40, 0.2), ("word", 1000, 0.1)])
def test_the_documentation_of_python_is_real_language(level: str, vocabulary: int, floor: float) -> None:
    text = python_docs()
    assert len(text) > 200_000
    assert text == python_docs()
    assert not any(len(line) > 2 and set(line) == {mark} for line in text.split("\n") for mark in "*=-~")
    options = {"source": "python-docs", "level": level, "vocabulary": vocabulary}
    data = build("text", options, batch=20, seed=0, data=None)
    assert data.vocabulary == vocabulary
    assert "<unk>" in data.symbols
    assert floor < memoryless(data) < 0.5
    assert (
        data.digest == build("text", options, batch=20, seed=1, data=None).digest
    )  # nothing in it is random


def test_a_python_without_its_documentation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(DataError, match="this Python lacks the texts of help"):
        build("text", {"source": "python-docs"}, batch=1, seed=0, data=None)
