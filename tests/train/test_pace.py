"""The speed of training: what is timed, and what is left out."""

from collections.abc import Iterator

import numpy as np
import pytest

from cellsearch.dsl.zoo import load
from cellsearch.errors import RunError
from cellsearch.tasks import build
from cellsearch.tasks.data import Dataset
from cellsearch.train.model import Shape
from cellsearch.train.resources import pace as paces
from cellsearch.train.resources.pace import FEWEST, pace, per_turn
from cellsearch.train.settings import Training

OPTIONS = {"symbols": 2, "alphabet": 5, "train": 8000, "valid": 1000, "test": 1000}
DATA = build("memorize", OPTIONS, batch=10, seed=1, data=None)


class Walk:
    """Windows that take the seconds of `took` in turn, on a clock of their own."""

    def __init__(self, *took: float) -> None:
        self.took, self.now, self.windows = took, 0.0, 0

    def clock(self) -> float:
        return self.now

    def __iter__(self) -> Iterator[None]:
        while True:
            self.now += self.took[min(self.windows, len(self.took) - 1)]
            self.windows += 1
            yield


def test_start_up_is_left_out() -> None:
    walk = Walk(60.0, 0.5)
    assert per_turn(iter(walk), walk.clock, 1, seconds=2.0) == 0.5
    assert walk.windows == 1 + 4


def test_what_takes_long_is_timed_a_few_times() -> None:
    walk = Walk(60.0, 20.0)
    assert per_turn(iter(walk), walk.clock, 1, seconds=2.0) == 20.0
    assert walk.windows == 1 + FEWEST


def test_a_window_that_was_disturbed_does_not_count() -> None:
    walk = Walk(9.0, 0.5, 30.0, 0.5)
    assert per_turn(iter(walk), walk.clock, 1, seconds=0.1) == 0.5


def test_a_clock_that_waits_for_a_device_is_read_once_a_round() -> None:
    walk, reads = Walk(*[60.0] * 20, 0.5), 0

    def clock() -> float:
        nonlocal reads
        reads += 1
        return walk.now

    assert per_turn(iter(walk), clock, 20, seconds=30.0) == 0.5
    assert (walk.windows, reads) == (20 * 4, 4)


def test_an_epoch_is_as_long_as_its_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock that counts 1 for each window, parts that are longer than what is timed."""
    monkeypatch.setattr(paces, "per_turn", lambda walk, clock, turns, seconds: next(walk) or 1.0)
    steps = DATA.train.inputs.shape[1] // 7
    training = Training(batch=DATA.train.inputs.shape[0], steps=steps)
    found = pace([(Shape(load("gru"), DATA.vocabulary, 1, 4), 2)], DATA, training, "cpu")
    assert found.train == pytest.approx(DATA.train.inputs.shape[1] / steps)
    assert found.valid == pytest.approx(max(1, DATA.valid.inputs.shape[1] / steps))


@pytest.mark.long
def test_an_epoch_takes_time_and_members_add_to_it() -> None:
    training = Training(batch=DATA.train.inputs.shape[0], steps=20)
    shape = Shape(load("gru"), DATA.vocabulary, 2, 48)
    one, many = (pace([(shape, members)], DATA, training, "cpu") for members in (1, 12))
    assert 0 < one.valid and 0 < one.train < many.train


def test_memory_that_does_not_suffice_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Dataset:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(paces, "on_device", fail)
    shape = Shape(load("gru"), DATA.vocabulary, 2, 48)
    with pytest.raises(RunError, match=r"too little memory to measure models \(3 of 2x48\)"):
        pace([(shape, 3)], DATA, Training(), "cpu")
    assert np.isfinite(paces.clock_of("cpu")())
