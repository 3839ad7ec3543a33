"""Recorded steps on a GPU: what graphs replay is what the calls compute, twice the same, and nobody waits."""

from collections.abc import Iterator
from contextlib import contextmanager

import caches
import numpy as np
import pytest
import torch

from cellsearch.compiler import graphs
from cellsearch.dsl import zoo
from cellsearch.train import model, windows
from cellsearch.train.steps import Data, Steps

CELLS = ("lstm", "clockwork", "mut1", "qrnn")


def data(vocabulary: int, device: str) -> Data:
    generator = torch.Generator().manual_seed(0)

    def part(length: int) -> list[windows.Window]:
        tokens = torch.randint(vocabulary, (4, length), generator=generator)
        targets = tokens.roll(-1, 1).clone()
        targets[torch.rand(4, length, generator=generator) >= 0.7] = -1
        return windows.cut(tokens.to(device), targets.to(device), 20)

    return Data(part(130), part(50))


def steps(name: str, vocabulary: int = 11, device: str = "cuda", dtype: torch.dtype = torch.float32) -> Steps:
    shape = model.Shape(zoo.load(name), vocabulary, 2, 16)
    rows = model.first_rows(shape, [1.0, 0.7, 0.5], [1, 2, 3], dtype).to(device)
    norms = torch.full((3,), 1.0, dtype=dtype, device=device)
    return Steps(shape, data(vocabulary, device), rows, norms)


def train(made: Steps, epochs: int = 3) -> list[tuple[np.ndarray, ...]]:
    found = []
    for _ in range(epochs):
        for walk in (made.train(np.array([0.5, 0.3, 0.1])), made.score()):
            for _ in walk:
                pass
        found.append(made.found())
    return found


@pytest.mark.parametrize("vocabulary", [11, 300])
@pytest.mark.parametrize("name", CELLS)
def test_a_graph_replays_what_the_calls_compute_bit_for_bit(
    name: str, vocabulary: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded, again = steps(name, vocabulary), steps(name, vocabulary)
    theirs = train(recorded)
    assert all(
        np.array_equal(a, b)
        for x, y in zip(theirs, train(again), strict=True)
        for a, b in zip(x, y, strict=True)
    )
    assert torch.equal(recorded.rows, again.rows)  # the same once more
    monkeypatch.setattr(graphs, "capture", lambda step, changed, at: step)
    called = steps(name, vocabulary)
    ours = train(called)
    assert all(
        np.array_equal(a, b) for x, y in zip(ours, theirs, strict=True) for a, b in zip(x, y, strict=True)
    )
    assert torch.equal(called.rows, recorded.rows)


@pytest.mark.parametrize("name", CELLS)
def test_training_is_that_of_the_cpu(name: str) -> None:
    ours, theirs = (steps(name, device=device, dtype=torch.float64) for device in ("cuda", "cpu"))
    for x, y in zip(train(ours), train(theirs), strict=True):
        assert all(np.allclose(a, b, rtol=1e-9) for a, b in zip(x, y, strict=True))
    assert torch.allclose(ours.rows.cpu(), theirs.rows, rtol=1e-8, atol=1e-10)


@contextmanager
def nobody_waits() -> Iterator[None]:
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("name", CELLS)
def test_nobody_waits_inside_an_epoch(name: str, recorded: bool) -> None:
    """Not where graphs are replayed, and not where the same calls are made one by one."""
    made = steps(name)
    made.recorded = recorded
    train(made, 1)
    with nobody_waits():
        for _ in made._walk("train", made._train):
            pass
        for _ in made._walk("valid", made._score):
            pass
    torch.cuda.synchronize()


@pytest.mark.parametrize("name", ["clockwork", "qrnn", "lstm"])
def test_what_a_graph_reads_outlives_every_cache(name: str) -> None:
    """Masks, clock periods and kernels lie with the shape. What is freed is written over here."""
    recorded, wanted = steps(name), train(steps(name), 2)
    found = train(recorded, 1)
    caches.clear()
    torch.cuda.empty_cache()
    junk = [torch.full((1 << k,), float("nan"), device="cuda") for k in range(2, 20) for _ in range(20)]
    found += train(recorded, 1)
    del junk
    assert all(
        np.array_equal(a, b) for x, y in zip(found, wanted, strict=True) for a, b in zip(x, y, strict=True)
    )
