"""Chance in numbers that are known beforehand."""

from collections.abc import Sequence

import numpy as np
import pytest

from cellsearch.analysis import noise
from cellsearch.analysis.cost_curve import Curve, Point
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.zoo import load
from cellsearch.study.space import parse_space
from cellsearch.study.workers.evaluator import TorchEvaluator
from cellsearch.train.outcome import Outcome

SPACE = """\
name: s
tasks: [{name: arithmetic}, {name: xml}]
grid: {init_scale: [1, 2], learning_rate: [0.5, 1], max_norm: [5], layers: [1], parameters: [1500]}
"""


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def test_the_best_of_settings_that_are_all_alike_is_their_chance_alone() -> None:
    draws = rng().normal(size=(4_000, 1))
    table = np.repeat(draws, 12, axis=1)
    found = noise.parts(table, 4, 2_000, rng())
    assert found.settings == pytest.approx(0)
    # the best of four normal draws: mean 1.029, standard deviation 0.701
    assert found.both == pytest.approx(0.701, abs=0.04) and found.training == pytest.approx(0.701, abs=0.04)
    best = noise.spread(noise.best_of(table, 4, 4_000, rng()))
    assert best.mean == pytest.approx(1.029, abs=0.04) and best.low < best.mean < best.high


def test_without_chance_in_training_the_settings_are_all_there_is() -> None:
    table = np.tile(np.arange(12.0), (5, 1))
    found = noise.parts(table, 4, 4_000, rng())
    assert (
        found.training == pytest.approx(0)
        and found.both == pytest.approx(found.settings, rel=0.05)
        and found.both > 1
    )
    best = noise.best_of(table, 4, 4_000, rng())
    assert best.min() >= 3  # four different ones: the best of them is at least the fourth
    assert noise.best_of(table, 12, 10, rng()).tolist() == [11.0] * 10
    # of numbers 0 to n-1 the greatest of k is k(n+1)/(k+1) - 1 in the mean
    assert best.mean() == pytest.approx(4 * 13 / 5 - 1, abs=0.1)


def test_a_score_is_the_least_of_the_tasks() -> None:
    tables = {"a": np.full((3, 12), 0.5), "b": np.full((3, 12), 0.9)}
    found = noise.by_chance(tables, {"a": 0.5, "b": 1.0}, 4, 50, rng())
    assert found.tolist() == [0.9] * 50
    assert noise.highest(np.array([0.9, 1.0]), 20, 50, rng()).mean() > 0.999


class Known(TorchEvaluator):
    """A laboratory whose results are known."""

    def evaluate(
        self, cell: Cell, task: str, settings: Sequence[str], seed: int, say: object
    ) -> list[Outcome]:
        good = {fingerprint(load("gru")): 0.5, fingerprint(load("lstm")): 0.4}
        top = good.get(fingerprint(cell), 0.55 if task == "xml" else 0.45)
        found = [
            Outcome(s, "done", top - 0.01 * k + 0.001 * seed, 0.1, 1, 8, 100) for k, s in enumerate(settings)
        ]
        return [*found[:-1], Outcome(settings[-1], "diverged", None, None, 1, 8, 100)]


def test_cells_again() -> None:
    lab = Known(parse_space(SPACE), 1)
    table = noise.accuracies(lab, load("gru"), "xml", [1, 2])
    assert table.shape == (2, 4)
    assert table[0].tolist() == pytest.approx([0.501, 0.491, 0.481, noise.NOTHING])
    assert noise.again(lab, load("mut1"), ["arithmetic", "xml"], 0) == {"arithmetic": 0.45, "xml": 0.55}


def test_the_band_of_several_searches() -> None:
    def curve(*steps: tuple[int, float | None]) -> Curve:
        points = [
            Point(k, "propose", "ranked", "f", 1, spent, best, best, 1, 0)
            for k, (spent, best) in enumerate(steps, 1)
        ]
        return Curve("s", 1, 0, tuple(points))

    curves = [curve((1, None), (2, 0.9), (5, 1.0)), curve((1, 0.8), (4, 0.95)), curve((2, 0.7))]
    median, least, most = noise.band(curves, [1, 2, 4, 6])
    assert np.isnan([median[0], least[0], most[0]]).all()
    assert median[1:].tolist() == [0.8, 0.9, 0.95]
    assert least[1:].tolist() == [0.7] * 3 and most[1:].tolist() == [0.9, 0.95, 1.0]
