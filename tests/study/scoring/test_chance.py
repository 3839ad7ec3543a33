"""The band of chance against drawn searches, and the noise that records tell of."""

import numpy as np
import pytest

from cellsearch.study.scoring import chance
from cellsearch.study.scoring.chance import Baseline

TASKS = (
    Baseline((0.50, 0.55, 0.56, 0.53, 0.56, 0.40), 0.010, 0.57),
    Baseline((0.60, 0.62, 0.63, 0.61, 0.55, 0.63), 0.012, 0.64),
)


def drawn(cells: int, settings: int, searches: int) -> np.ndarray:
    """The score of each cell of each search [searches, cells]."""
    rng = np.random.default_rng(1)
    ratios = []
    for task in TASKS:
        count = len(task.accuracies)
        which = rng.permuted(np.tile(np.arange(count), (searches * cells, 1)), axis=1)[:, :settings]
        found = np.array(task.accuracies)[which] + rng.normal(0, task.spread, which.shape)
        ratios.append(found.max(axis=1) / task.unit)
    return np.min(ratios, axis=0).reshape(searches, cells)


@pytest.mark.parametrize("settings", [1, 3, 6])
@pytest.mark.parametrize("cells", [1, 40])
def test_the_band_is_that_of_drawn_searches(cells: int, settings: int) -> None:
    scores = drawn(cells, settings, 4_000)
    band = chance.band(TASKS, {(settings, settings): cells})
    assert band is not None and band.cells == cells
    assert band.middle == pytest.approx(np.median(scores.max(axis=1)), abs=0.002)
    assert band.high == pytest.approx(np.quantile(scores.max(axis=1), 0.95), abs=0.003)
    assert band.one == pytest.approx(scores.std(), rel=0.05)
    assert chance.deviation(band, (settings, settings)) == pytest.approx(band.one)


def test_the_noise_of_a_score_depends_on_the_settings_that_its_cell_has_tried() -> None:
    """One setting of six: the luck of the choice is larger than the noise of training."""
    band = chance.band(TASKS, {(1, 1): 10, (3, 3): 30})
    assert band is not None
    for settings in (1, 3, 6):  # six: only the baseline
        found = chance.deviation(band, (settings, settings))
        assert found == pytest.approx(drawn(1, settings, 20_000).std(), rel=0.05)
    assert (
        chance.deviation(band, (60, 60))
        == chance.deviation(band, (6, 6))
        < 0.5 * chance.deviation(band, (1, 1))
    )
    assert chance.deviation(band, (2, 3)) == band.one  # a new number


def test_two_scores_are_near_within_their_common_noise() -> None:
    assert chance.near(1.0, 0.98, 0.009, 0.007) and not chance.near(1.0, 0.98, 0.009, 0.0)


def test_cells_that_tried_more_score_more() -> None:
    bands = [chance.band(TASKS, tried) for tried in ({(2, 2): 20}, {(2, 2): 10, (6, 6): 10}, {(6, 6): 20})]
    highs = [band.high for band in bands if band]
    assert len(highs) == 3 and highs == sorted(highs) and highs[0] < highs[2]
    more = chance.band(TASKS, {(60, 60): 20})  # than there are settings: all of them
    assert more is not None and more.high == pytest.approx(highs[2])


def test_without_cells_or_tasks_there_is_none() -> None:
    assert chance.band(TASKS, {}) is None
    assert chance.band((), {(): 3}) is None


def test_single_trainings_are_not_taken_for_as_good_as_their_luck() -> None:
    lucky = chance.supposed([0.50, 0.51, 0.49, 0.50, 0.54, 0.30], 0.02, 0.54)
    assert max(lucky.accuracies) < 0.54 and lucky.accuracies[-1] == 0.30
    assert 0.02 < lucky.spread < 0.02 * 2**0.5
    assert chance.supposed([0.5, 0.4], 0.02, 0.5).accuracies == (0.5, 0.4)


def test_noise_is_what_cells_and_settings_leave() -> None:
    rng = np.random.default_rng(2)
    cell, setting = rng.normal(0, 0.1, 12), rng.normal(0, 0.2, 8)
    outcomes = {
        str(k): {
            str(s): 0.5 * float(np.exp(cell[k] + setting[s] + rng.normal(0, 0.02)))
            for s in rng.permutation(8)[:5]
        }
        for k in range(12)
    }
    found = chance.spread(outcomes, 0.0)
    assert found is not None and 0.014 < found < 0.026
    outcomes["3"] |= dict.fromkeys(outcomes["3"], 0.01)  # it failed to learn, which is no noise
    again = chance.spread(outcomes, 0.1)
    assert again is not None and 0.014 < again < 0.026
    assert chance.spread({"a": {"1": 0.5, "2": 0.6}, "b": {"1": 0.5, "2": 0.7}}, 0.0) is None


def test_no_score_is_above_an_accuracy_of_one() -> None:
    """However large the noise of a small search is."""
    noisy = Baseline(accuracies=(0.9, 0.965), spread=0.5, unit=0.965)
    found = chance.band([noisy], {(2,): 100})
    assert found is not None
    assert found.middle <= found.high <= 1 / 0.965 + 1e-3  # a step of the scores at which it is computed
