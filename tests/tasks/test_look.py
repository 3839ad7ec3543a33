"""A look at data: what `build` has, within seconds, and no more than that is claimed."""

import time
from pathlib import Path

import pytest

from cellsearch.errors import DataError
from cellsearch.tasks import TASKS, build
from cellsearch.tasks.look import MOST_BYTES, MOST_SYMBOLS, look


@pytest.mark.parametrize("name", sorted(TASKS))
def test_sizes_are_those_of_the_data(name: str, tmp_path: Path) -> None:
    for part in ("train", "valid", "test"):
        (tmp_path / f"ptb.{part}.txt").write_text("the cat sat\n" * 200)
    (tmp_path / "x.txt").write_text("the cat sat\n" * 200)
    options = {"text": {"path": "x.txt"}, "ptb": {}}.get(name, {"train": 900, "valid": 500, "test": 400})
    found = look(name, options, batch=10, seed=1, data=tmp_path)
    data = build(name, options, batch=10, seed=7, data=tmp_path)
    assert found.sizes == {part: getattr(data, part).inputs.size for part in ("train", "valid", "test")}
    assert (found.vocabulary, found.note) == (data.vocabulary, "")
    assert found.size == {"text": 2_400, "ptb": 3 * 2_400}.get(name, 0)


def test_large_data_takes_seconds(tmp_path: Path) -> None:
    begin = time.process_time()
    huge = look("xml", {"train": 100_000_000}, batch=20, seed=1, data=None)
    assert "sample" in huge.note and sum(huge.sizes.values()) <= MOST_SYMBOLS and huge.vocabulary == 29
    (tmp_path / "x.txt").write_text("a line\n" * (MOST_BYTES // 7 + 1))
    large = look("text", {"path": "x.txt", "level": "word"}, batch=20, seed=1, data=tmp_path)
    assert (
        (large.sizes, large.vocabulary) == ({}, None) and large.size > MOST_BYTES and "search" in large.note
    )
    assert time.process_time() - begin < 5


def test_trouble_is_that_of_the_data(tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("abc")
    for options, message in (
        ({"path": "short.txt"}, "too few for 20 rows"),
        ({"path": "none.txt"}, "does not exist"),
        ({"path": "."}, "a directory"),
    ):
        with pytest.raises(DataError, match=message):
            look("text", options, batch=20, seed=1, data=tmp_path)
    assert "--data" in look("ptb", {}, batch=20, seed=1, data=None).note
    with pytest.raises(DataError, match=r"no ptb\.train\.txt"):
        look("ptb", {}, batch=20, seed=1, data=tmp_path)
