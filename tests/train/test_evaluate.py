"""Training a batch of settings: learning, divergence, early ends, and independence from the neighbours."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from cellsearch.dsl import zoo
from cellsearch.errors import RunError
from cellsearch.tasks import build, memoryless
from cellsearch.tasks.data import Dataset, Part
from cellsearch.train import evaluate as evaluating
from cellsearch.train import population as populations
from cellsearch.train.evaluate import evaluate
from cellsearch.train.settings import Grid, Training, key, keys

GRID = Grid((1.0,), (0.05, 0.2, 0.5), (1.0, 5.0), (1, 2), (2000, 3000))
SHORT = Training(max_epochs=3, batch=10, steps=20)


@pytest.fixture(scope="module")
def memorize() -> Dataset:
    options = {"symbols": 2, "alphabet": 5, "train": 8000, "valid": 1000, "test": 1000}
    return build("memorize", options, batch=10, seed=1, data=None)


def test_lstm_and_gru_learn_to_memorize(memorize: Dataset) -> None:
    grid = Grid((1.0,), (0.2, 0.5), (5.0,), (1,), (3000,))
    for name in ("lstm", "gru"):
        found = evaluate(zoo.load(name), memorize, grid, range(2), replace(SHORT, max_epochs=12), seed=1)
        best = max(found, key=lambda o: o.accuracy or 0)
        assert best.accuracy is not None
        assert best.accuracy > 0.95 > memoryless(memorize) + 0.5
        assert best.loss is not None
        assert best.loss < 0.3
        assert best.parameters <= 3000


@pytest.mark.long
def test_outcomes_stand_in_the_order_of_the_settings_and_repeat(memorize: Dataset) -> None:
    indices = [13, 2, 7, 20, 5]
    first = evaluate(zoo.load("gru"), memorize, GRID, indices, SHORT, seed=4)
    again = evaluate(zoo.load("gru"), memorize, GRID, indices, SHORT, seed=4)
    assert [o.setting for o in first] == [key(GRID[index]) for index in indices]
    assert first == again
    assert {o.hidden for o in first} == {
        evaluating.cost.width(zoo.load("gru"), memorize.vocabulary, GRID[i].layers, GRID[i].parameters)
        for i in indices
    }
    assert first != evaluate(zoo.load("gru"), memorize, GRID, indices, SHORT, seed=5)


@pytest.mark.long
def test_a_setting_comes_to_the_same_alone_and_among_others(memorize: Dataset) -> None:
    exact = replace(SHORT, dtype="float64")
    together = evaluate(zoo.load("lstm"), memorize, GRID, range(0, 24, 2), exact, seed=2)
    for outcome in together[::4]:
        alone = evaluate(zoo.load("lstm"), memorize, GRID, [keys(GRID)[outcome.setting]], exact, seed=2)[0]
        assert alone.accuracy == outcome.accuracy
        assert alone.loss == pytest.approx(outcome.loss, rel=1e-9)


def test_a_diverged_setting_has_no_accuracy_and_changes_no_other(memorize: Dataset) -> None:
    """A rate of 1e30 throws the weights out of float32 in the first step."""
    wild = Grid((1.0,), (0.2, 1e38), (5.0, 1e30), (1,), (2000,))
    found = evaluate(zoo.load("gru"), memorize, wild, range(4), SHORT, seed=1)
    calm = evaluate(
        zoo.load("gru"), memorize, replace(wild, learning_rate=(0.2, 0.2)), range(4), SHORT, seed=1
    )
    assert [o.status for o in found] == ["done", "done", "diverged", "diverged"]
    for outcome in found[2:]:
        assert outcome.accuracy is None
        assert outcome.loss is None
        assert "epoch 1" in outcome.cause
    assert [o.accuracy for o in found[:2]] == [o.accuracy for o in calm[:2]]
    assert [o.loss for o in found[:2]] == [o.loss for o in calm[:2]]


def test_members_that_end_early_leave_without_a_trace(
    memorize: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `stop_at` some end sooner than others; whether their rows leave the batch or stay changes
    nothing."""
    grid = Grid((0.7, 1.0), (0.2, 0.5, 1.0), (5.0,), (1,), (3000,))
    training = replace(SHORT, max_epochs=10, dtype="float64")
    alive: list[int] = []
    left = evaluate(
        zoo.load("gru"),
        memorize,
        grid,
        range(6),
        training,
        seed=1,
        stop_at=0.9,
        progress=lambda _, n: alive.append(n),
    )
    monkeypatch.setattr(populations, "LEAVE_SHARE", 2.0)
    stayed = evaluate(zoo.load("gru"), memorize, grid, range(6), training, seed=1, stop_at=0.9)
    assert any(0 < n < 6 for n in alive)
    assert [o.epochs for o in left] == [o.epochs for o in stayed]
    assert [o.accuracy for o in left] == [o.accuracy for o in stayed]
    assert np.allclose([o.loss for o in left], [o.loss for o in stayed], rtol=1e-9)


def test_progress_begins_when_the_first_window_is_trained(
    memorize: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes before is compilation, which may take long."""
    seen: list[tuple[int, int]] = []
    trained = 0
    train = populations.Steps.train

    def counted(steps: Any, rate: Any) -> Any:
        nonlocal trained
        for _ in train(steps, rate):
            trained += 1
            yield

    def tell(epochs: int, members: int) -> None:
        seen.append((epochs, members))
        assert trained == 1 or epochs

    monkeypatch.setattr(populations.Steps, "train", counted)
    evaluate(zoo.load("gru"), memorize, GRID, [0, 8], SHORT, seed=1, progress=tell)
    assert [epochs for epochs, _ in seen] == [0, 1, 2, 3] and seen[0] == (0, 2)


def test_a_window_without_targets_still_moves_the_states_on() -> None:
    """Windows of 3 steps: in the first nothing is scored, but what the second must say stands in it. The last
    symbol of a stream of 6 is its first; only a state that went through both windows can know it."""
    rng = np.random.default_rng(3)
    stream = rng.integers(0, 2, (10, 600))
    inputs, targets = stream.copy(), np.full_like(stream, -1)
    inputs[:, 3::6], inputs[:, 4::6], inputs[:, 5::6] = 2, 2, 2
    targets[:, 3::6] = stream[:, 2::6]  # the third symbol of the silent window
    part = Part(inputs, targets)
    data = Dataset("echo", {}, 3, ("0", "1", "-"), part, part, part, "loss", "")
    grid = Grid((1.0,), (1.0,), (5.0,), (1,), (400,))
    training = Training(batch=10, steps=3, max_epochs=6)
    found = evaluate(zoo.load("rnn"), data, grid, [0], training, seed=1)
    assert found[0].accuracy == 1.0


def test_the_seed_of_a_member_follows_from_cell_task_and_setting() -> None:
    lstm, gru = zoo.load("lstm"), zoo.load("gru")
    seeds = {
        evaluating.member_seed(*a)
        for a in [
            (1, lstm, "xml", 3),
            (2, lstm, "xml", 3),
            (1, gru, "xml", 3),
            (1, lstm, "ptb", 3),
            (1, lstm, "xml", 4),
        ]
    }
    assert len(seeds) == 5
    assert all(0 <= s < 2**63 for s in seeds)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_missing_device_is_one_clear_error(memorize: Dataset) -> None:
    with pytest.raises(RunError, match="not available"):
        evaluate(zoo.load("gru"), memorize, GRID, [0], SHORT, seed=1, device="cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_training_on_a_gpu_comes_close_to_the_cpu(memorize: Dataset) -> None:
    exact = replace(SHORT, dtype="float64")
    here, there = (
        evaluate(zoo.load("lstm"), memorize, GRID, [3, 9], exact, seed=1, device=d) for d in ("cpu", "cuda")
    )
    for a, b in zip(here, there, strict=True):
        assert a.loss == pytest.approx(b.loss, rel=1e-6)
