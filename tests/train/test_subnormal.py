"""Subnormal numbers count as zero within the steps of a training, and as themselves everywhere else."""

from contextlib import nullcontext
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch

from cellsearch.dsl.text import parse
from cellsearch.train import model
from cellsearch.train import steps as module
from cellsearch.train.resources.subnormal import flushed, flushed_on, flushes
from cellsearch.train.steps import Steps
from tests.train.test_steps import VOCABULARY, data, steps

SUBNORMAL = 1e-40  # of float32

pytestmark = pytest.mark.skipif(not torch.set_flush_denormal(False), reason="this processor cannot flush")


def half() -> tuple[float, float]:
    """Half of a subnormal number, by torch and by numpy."""
    return (torch.tensor([SUBNORMAL]) * 0.5).item(), float(
        np.array([SUBNORMAL], np.float32)[0] * np.float32(0.5)
    )


def test_they_are_zero_within_and_the_former_mode_returns() -> None:
    assert not flushes() and min(half()) > 0.0
    with flushed():
        assert flushes() and half() == (0.0, 0.0)
        with flushed():
            assert flushes()
        assert flushes()
    assert not flushes() and min(half()) > 0.0


def test_the_mode_returns_after_an_error_too() -> None:
    with pytest.raises(ZeroDivisionError), flushed():
        1 / 0  # noqa: B018
    assert not flushes()


def test_on_an_accelerator_nothing_changes() -> None:
    with flushed_on(torch.device("cuda")):
        assert not flushes()


@pytest.mark.parametrize("recorded", [False, True])
def test_steps_flush_and_pauses_between_them_do_not(monkeypatch: pytest.MonkeyPatch, recorded: bool) -> None:
    """Trainings of others may run in a pause."""
    within: list[bool] = []
    run = model.run

    def spied(*args: Any, **more: Any) -> Any:
        within.append(flushes())
        return run(*args, **more)

    monkeypatch.setattr(model, "run", spied)
    made = steps("gru", data(scored=1.0), recorded)
    for walk in (made.train(np.array([0.5, 0.3, 0.1])), made.score()):
        for _ in walk:
            assert not flushes()
    assert len(within) >= 4 and all(within)


@pytest.mark.parametrize("engine", ["eager", "native"])
def test_a_decaying_state_reaches_zero(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit that starts at 1e-35 and halves in each step is subnormal after ten steps."""

    def after(steps_of: int) -> float:
        shape = model.Shape(parse("cell leak(x; h=1e-35)\nh' = 0.5 * h + [x, bias=none]\n"), VOCABULARY, 1, 8)
        rows = torch.zeros_like(model.first_rows(shape, [1.0], [1], torch.float32))
        made = Steps(shape, data(scored=1.0), rows, torch.ones(1), engine=engine)
        for _ in islice(made.score(), steps_of):  # windows of seven steps
            pass
        return float(made.states[0][0].max())

    assert after(2) == 0.0 < after(1)
    monkeypatch.setattr(module, "flushed_on", lambda device: nullcontext())
    assert 0.0 < after(2) < torch.finfo(torch.float32).tiny
