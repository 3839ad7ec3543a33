"""Lanes of a GPU: cells that run at once come to what they come to alone, bit for bit."""

import pytest
from cohorts import evaluate_together
from mutants import mutants

from cellsearch.dsl import zoo
from cellsearch.tasks import build
from cellsearch.tasks.data import Dataset
from cellsearch.train.evaluate import Request, evaluate
from cellsearch.train.settings import Grid, Training

GRID = Grid((0.7, 1.0), (0.2, 0.5, 1e38), (1.0,), (1, 2), (800, 1500))
SHORT = Training(max_epochs=3, batch=10, steps=20)


@pytest.fixture(scope="module")
def memorize() -> Dataset:
    options = {"symbols": 2, "alphabet": 5, "train": 1200, "valid": 400, "test": 400}
    return build("memorize", options, batch=10, seed=1, data=None)


def test_a_cohort_in_lanes_equals_each_cell_alone(memorize: Dataset) -> None:
    cells = [zoo.load("lstm"), zoo.load("clockwork"), zoo.load("mut1"), *mutants(4)[2:]]
    requests = [
        Request(cell, memorize, GRID, range(k, len(GRID), 4 + k), SHORT, seed=3)
        for k, cell in enumerate(cells)
    ]
    alone = [
        evaluate(r.cell, r.dataset, r.grid, r.indices, r.training, seed=r.seed, device="cuda")
        for r in requests
    ]
    assert {o.status for found in alone for o in found} == {"done", "diverged"}
    for _ in range(3):  # races show by chance
        assert dict(evaluate_together(requests, "cuda")) == dict(enumerate(alone))


def test_many_lanes_at_once(memorize: Dataset) -> None:
    """More populations than torch has streams (32)."""
    cell = zoo.load("gru")
    requests = [Request(cell, memorize, GRID, [k % 8], SHORT, seed=k) for k in range(40)]
    alone = [evaluate(cell, memorize, GRID, r.indices, SHORT, seed=r.seed, device="cuda") for r in requests]
    assert dict(evaluate_together(requests, "cuda")) == dict(enumerate(alone))


def test_the_gpu_and_the_cpu_agree_in_float64(memorize: Dataset) -> None:
    training = Training(max_epochs=2, batch=10, steps=20, dtype="float64")
    ours, theirs = (
        evaluate(zoo.load("lstm"), memorize, GRID, range(8), training, seed=1, device=d)
        for d in ("cuda", "cpu")
    )
    for a, b in zip(ours, theirs, strict=True):
        assert (a.status, a.epochs, a.hidden) == (b.status, b.epochs, b.hidden)
        assert a.loss == pytest.approx(b.loss, rel=1e-9)
        assert a.accuracy == pytest.approx(b.accuracy, abs=2 / 400)  # an argmax may tip
