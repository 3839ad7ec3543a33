"""F17: cells and settings whose numbers leave the range: a status with its cause, never a score, and neighbours that
do not notice."""

import math
from dataclasses import replace

import numpy as np
import pytest

from cellsearch.dsl import zoo
from cellsearch.dsl.text import parse
from cellsearch.study.workers.trial.outcome_checks import checked
from cellsearch.tasks import build
from cellsearch.tasks.data import Dataset, Part
from cellsearch.train.evaluate import evaluate
from cellsearch.train.outcome import Outcome
from cellsearch.train.settings import Grid, Training

GRID = Grid((1.0,), (0.2, 0.5), (5.0,), (1,), (1_000,))
SHORT = Training(max_epochs=2, batch=10, steps=20)

DIVERGING = {  # what goes wrong -> equations, and what is said of it
    "a NaN at the first step": ("h' = tanh[x, h] + sqrt(0 - 1 - h * h)", "non-finite in epoch 1"),
    "a NaN in the middle of a window": ("c' = c + 1\nh' = tanh[x, h] + sqrt(50 - c)", "non-finite in epoch "
    "1"),
    "a loss that is infinite": ("h' = exp(exp(exp(exp([x, h, bias=2]))))", "non-finite in epoch 1"),
    "a state that overflows": ("c' = 8 * c + 1\nh' = c * tanh[x, h]", "non-finite in epoch 1"),
    "a gradient that is NaN where the loss is finite": ("v = [x, h]\nh' = tanh(v) + sqrt(v * "
    "0)", "gradient non-finite in epoch 1"),
    "a gradient that is infinite where the loss is finite": ("v = [x, h]\nh' = tanh(v) + sqrt(v * v * "
    "1e-44)", "gradient non-finite in epoch 1"),
}  # fmt: skip


@pytest.fixture(scope="module")
def data() -> Dataset:
    options = {"symbols": 2, "alphabet": 5, "train": 4_000, "valid": 1_000, "test": 1_000}
    return build("memorize", options, batch=10, seed=1, data=None)


def cell(equations: str) -> str:
    states = "h, c" if "c'" in equations else "h"
    return f"cell wild(x; {states})\n{equations}\n"


@pytest.mark.parametrize("name", DIVERGING)
def test_what_is_not_finite_is_diverged_with_its_epoch(data: Dataset, name: str) -> None:
    equations, said = DIVERGING[name]
    for outcome in evaluate(parse(cell(equations)), data, GRID, range(2), SHORT, seed=1):
        assert (outcome.status, outcome.accuracy, outcome.loss) == ("diverged", None, None)
        assert said in outcome.cause


def test_what_explodes_and_stays_finite_is_no_number_of_another_kind(data: Dataset) -> None:
    """Values of 1e37: whatever becomes of them, an accuracy is a share and a loss is finite."""
    for equations in ("h' = 1e37 * tanh[x, h]", "c' = c + 1e35\nh' = c * tanh[x, h]", "h' = 1e38 * tanh[x]"):
        for outcome in evaluate(parse(cell(equations)), data, GRID, range(2), SHORT, seed=1):
            if outcome.status == "done":
                assert outcome.accuracy is not None and 0 <= outcome.accuracy <= 1
                assert outcome.loss is not None and math.isfinite(outcome.loss)
            else:
                assert (outcome.status, outcome.accuracy, outcome.loss) == ("diverged", None, None)
                assert outcome.cause


def test_a_loss_of_exactly_zero_is_a_result(data: Dataset) -> None:
    """One symbol, always: there is nothing to learn and nothing to lose."""
    part = Part(np.zeros((10, 100), np.int64), np.zeros((10, 100), np.int64))
    sure = Dataset("sure", {}, 1, ("a",), part, part, part, "loss", "")
    grid = Grid((1.0,), (0.2,), (5.0,), (1,), (400,))
    (outcome,) = evaluate(zoo.load("gru"), sure, grid, [0], SHORT, seed=1)
    assert (outcome.status, outcome.accuracy, outcome.loss) == ("done", 1.0, 0.0)
    assert checked(outcome) == outcome


@pytest.mark.parametrize("bad", [-math.inf, math.inf, math.nan])
def test_a_score_that_is_not_finite_is_never_the_best(bad: float) -> None:
    """Optuna would take minus infinity for the best value there is; none gets as far."""
    for number in (Outcome("a", "done", bad, 0.5, 1, 8, 9), Outcome("a", "done", 0.5, bad, 1, 8, 9)):
        found = checked(number)
        assert (found.status, found.accuracy, found.loss) == ("diverged", None, None)


@pytest.mark.parametrize("name", ["gru", "lstm", "mut1"])
def test_neighbours_of_what_diverges_come_to_the_same(data: Dataset, name: str) -> None:
    """Of eight settings in one batch every other one is thrown out of range, and leaves."""
    wild = Grid((0.7, 1.0), (0.2, 1e308), (5.0, 1e30), (1,), (1_000,))
    calm = replace(wild, learning_rate=(0.2, 0.2))
    training = replace(SHORT, max_epochs=3, dtype="float64")
    found = evaluate(zoo.load(name), data, wild, range(8), training, seed=1)
    expected = evaluate(zoo.load(name), data, calm, range(8), training, seed=1)
    for k in range(8):
        if wild[k].learning_rate == 0.2:
            assert found[k].accuracy == expected[k].accuracy
            assert found[k].loss == pytest.approx(expected[k].loss, rel=1e-9)
        else:
            assert (found[k].status, found[k].accuracy, found[k].loss) == ("diverged", None, None)
