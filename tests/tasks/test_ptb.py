"""Penn Treebank: small files of its form, and the real ones where they are."""

from pathlib import Path

import pytest

from cellsearch.errors import DataError
from cellsearch.tasks import build, memoryless
from cellsearch.tasks.ptb import Ptb, read

# the digest of the real files at batch 20 with all defaults
GOLDEN = "3fb18428f365fe4e877fe7bb00dcd8d3b27e3660462b957fa91ee483bd0b76d8"

TEXTS = {
    "train": " the cat sat \n the <unk> sat \n the cat <unk> \n N \n",
    "valid": " the dog sat \n the cat \n",
    "test": " a cat \n the cat sat \n",
}


def written(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for part, text in TEXTS.items():
        (folder / f"ptb.{part}.txt").write_text(text)
    return folder


@pytest.mark.parametrize("below", ["", "ptb"])
def test_lines_end_with_a_symbol_and_words_are_those_of_training(tmp_path: Path, below: str) -> None:
    written(tmp_path / below)
    data = build("ptb", {}, batch=1, seed=0, data=tmp_path)
    assert data.symbols == ("<eos>", "the", "<unk>", "cat", "sat", "N")
    assert [data.symbols[s] for s in data.train.inputs[0]] == (
        "the cat sat <eos> the <unk> sat <eos> the cat <unk> <eos> N".split()
    )
    assert [data.symbols[s] for s in data.valid.inputs[0]] == "the <unk> sat <eos> the cat".split()
    assert [data.symbols[s] for s in data.test.targets[0]] == "cat <eos> the cat sat <eos>".split()
    assert data.measure == "perplexity"
    assert data.vocabulary == 6


def test_caps(tmp_path: Path) -> None:
    written(tmp_path)
    data = build("ptb", {"train": 8, "test": 3, "vocabulary": 4}, batch=1, seed=0, data=tmp_path)
    assert data.symbols == (
        "<eos>",
        "sat",
        "the",
        "<unk>",
    )  # capped, and <unk> in the place of the least frequent
    assert (data.train.inputs.size, data.valid.inputs.size, data.test.inputs.size) == (7, 6, 2)


def test_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="needs a directory with its data"):
        build("ptb", {}, batch=1, seed=0, data=None)
    with pytest.raises(DataError, match=r"no ptb\.train\.txt in .* nor in its folder ptb\. Put"):
        build("ptb", {}, batch=1, seed=0, data=tmp_path)
    written(tmp_path / "ptb")
    (tmp_path / "ptb" / "ptb.valid.txt").unlink()
    with pytest.raises(DataError, match=r"ptb\.valid\.txt: the valid part of task 'ptb' does not exist"):
        build("ptb", {}, batch=1, seed=0, data=tmp_path)
    (tmp_path / "ptb" / "ptb.valid.txt").mkdir()
    with pytest.raises(DataError, match="is a directory"):
        build("ptb", {}, batch=1, seed=0, data=tmp_path)


def test_too_short_for_the_batch(tmp_path: Path) -> None:
    written(tmp_path)
    with pytest.raises(DataError, match="the train part of task 'ptb' has 14 symbols: too few for 20 rows"):
        build("ptb", {}, batch=20, seed=0, data=tmp_path)


def test_the_real_one_has_the_published_counts(shared_data: Path) -> None:
    parts = read(shared_data, Ptb())
    assert {part: len(words) for part, words in parts.items()} == {
        "train": 929_589,
        "valid": 73_760,
        "test": 82_430,
    }
    assert set(parts["valid"]) | set(parts["test"]) <= set(parts["train"])
    data = build("ptb", {}, batch=20, seed=0, data=shared_data)
    assert data.vocabulary == 10_000
    assert data.train.inputs.shape == (20, 46_479)
    assert data.symbols[:3] == ("the", "<unk>", "<eos>")
    assert 0.1 < memoryless(data) < 0.25
    assert data.digest == GOLDEN


def test_the_real_one_made_small(shared_data: Path) -> None:
    options = {"train": 50_000, "valid": 5_000, "test": 5_000, "vocabulary": 1_000}
    data = build("ptb", options, batch=20, seed=0, data=shared_data)
    assert data.vocabulary == 1_000
    assert data.train.inputs.shape == (20, 2_499)
