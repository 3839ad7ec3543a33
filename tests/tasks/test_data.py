"""Digest and the predictor without memory, against slow versions of both."""

import hashlib
import json
import struct
from collections import Counter

import numpy as np
import pytest

from cellsearch.errors import DataError
from cellsearch.tasks import IGNORE, Dataset, Part, build, memoryless
from cellsearch.tasks.data import assemble, digest


def part(rng: np.random.Generator, vocabulary: int, batch: int = 3, length: int = 40) -> Part:
    inputs = rng.integers(vocabulary, size=(batch, length))
    targets = rng.integers(vocabulary, size=(batch, length))
    targets[rng.random(targets.shape) < 0.3] = IGNORE
    return Part(inputs, targets)


def dataset(seed: int, vocabulary: int = 7, used: int | None = None) -> Dataset:
    rng = np.random.default_rng(seed)
    parts = {
        "train": part(rng, used or vocabulary),
        "valid": part(rng, vocabulary),
        "test": part(rng, vocabulary),
    }
    return assemble("text", {"level": "word"}, tuple("abcdefghij"[:vocabulary]), parts, "perplexity")


def slow_memoryless(data: Dataset) -> float:
    after: dict[int, Counter[int]] = {}
    overall: Counter[int] = Counter()
    for x, y in zip(data.train.inputs.ravel().tolist(), data.train.targets.ravel().tolist(), strict=True):
        if y != IGNORE:
            after.setdefault(x, Counter())[y] += 1
            overall[y] += 1

    def best(counts: Counter[int]) -> int:
        return min(counts, key=lambda y: (-counts[y], y))

    pairs = zip(data.valid.inputs.ravel().tolist(), data.valid.targets.ravel().tolist(), strict=True)
    hits = [best(after.get(x, overall)) == y for x, y in pairs if y != IGNORE]
    return sum(hits) / len(hits)


@pytest.mark.parametrize("seed", range(20))
def test_memoryless_is_the_most_frequent_target_after_a_symbol(seed: int) -> None:
    data = dataset(
        seed, used=4 if seed % 2 else None
    )  # in every other one valid has symbols that train lacks
    assert memoryless(data) == pytest.approx(slow_memoryless(data), abs=1e-15)


def test_memoryless_of_memorising_is_chance() -> None:
    data = build("memorize", {"train": 100_000, "valid": 100_000}, batch=20, seed=1, data=None)
    assert memoryless(data) == pytest.approx(1 / 26, abs=0.005)


def slow_digest(
    task: str, options: dict[str, object], symbols: tuple[str, ...], parts: dict[str, Part]
) -> str:
    text = json.dumps({"options": options, "symbols": list(symbols), "task": task}, sort_keys=True).encode()
    for name in ("train", "valid", "test"):
        for array in (parts[name].inputs, parts[name].targets):
            text += f"\n{name} {len(array)} {len(array[0])}\n".encode()
            text += b"".join(struct.pack("<i", value) for row in array.tolist() for value in row)
    return hashlib.sha256(text).hexdigest()


def test_digest_is_what_it_says_in_any_byte_order_and_layout() -> None:
    rng = np.random.default_rng(0)
    parts = {name: part(rng, 5) for name in ("train", "valid", "test")}
    other = {
        name: Part(np.asfortranarray(p.inputs.astype(">i8")), np.asfortranarray(p.targets.astype(">i8")))
        for name, p in parts.items()
    }
    expected = slow_digest("xml", {"b": 1, "a": None}, ("x", "ü"), parts)
    assert digest("xml", {"b": 1, "a": None}, ("x", "ü"), parts) == expected
    assert digest("xml", {"a": None, "b": 1}, ("x", "ü"), other) == expected


def test_digest_depends_on_everything_that_makes_the_data() -> None:
    rng = np.random.default_rng(0)
    parts = {name: part(rng, 5, batch=4, length=6) for name in ("train", "valid", "test")}
    symbols = tuple("abcde")

    def folded(batch: int) -> dict[str, Part]:
        return {n: Part(p.inputs.reshape(batch, -1), p.targets.reshape(batch, -1)) for n, p in parts.items()}

    changed = {name: Part(p.inputs.copy(), p.targets.copy()) for name, p in parts.items()}
    changed["test"].targets[-1, -1] += 1
    digests = [
        digest("xml", {"a": 1}, symbols, parts),
        digest("arithmetic", {"a": 1}, symbols, parts),
        digest("xml", {"a": 2}, symbols, parts),
        digest("xml", {"a": 1}, tuple("abcdf"), parts),
        digest("xml", {"a": 1}, symbols, changed),
        digest("xml", {"a": 1}, symbols, folded(2)),
        digest("xml", {"a": 1}, symbols, {**parts, "valid": parts["test"], "test": parts["valid"]}),
    ]
    assert len(set(digests)) == len(digests)


def test_options_that_say_where_data_lies_stay_out_of_the_digest() -> None:
    rng = np.random.default_rng(0)
    parts = {name: part(rng, 5) for name in ("train", "valid", "test")}

    def assembled(path: str) -> Dataset:
        return assemble("text", {"path": path}, tuple("abcde"), parts, "bits", frozenset({"path"}))

    assert assembled("/here").digest == assembled("/there").digest
    assert assembled("/here").options == {"path": "/here"}


def test_a_part_with_nothing_to_score_is_refused() -> None:
    rng = np.random.default_rng(0)
    parts = {name: part(rng, 5) for name in ("train", "valid", "test")}
    parts["valid"].targets[:] = IGNORE
    with pytest.raises(DataError, match="valid part of task 'xml' has no position to score"):
        assemble("xml", {}, tuple("abcde"), parts, "loss")


@pytest.mark.parametrize(("what", "value"), [("inputs", -1), ("inputs", 3), ("targets", -2), ("targets", 3)])
def test_a_symbol_that_there_is_not_is_refused(what: str, value: int) -> None:
    good = Part(np.zeros((2, 5), np.int64), np.zeros((2, 5), np.int64))
    bad = Part(good.inputs.copy(), good.targets.copy())
    getattr(bad, what)[1, 3] = value
    parts = {"train": good, "valid": good, "test": bad}
    with pytest.raises(DataError, match=f"the {what} of the test part of task 'mine'.*symbols 0 to 2"):
        assemble("mine", {}, ("a", "b", "c"), parts, "loss")
    assert assemble("mine", {}, ("a", "b", "c"), parts | {"test": good}, "loss").vocabulary == 3
