"""The paper's schedule: three epochs without improvement, then halved at each of four more, then stop."""

import numpy as np

from cellsearch.train import schedule
from cellsearch.train.settings import Training


def rates(losses: list[float], training: Training) -> tuple[list[float], bool]:
    """The rate in each epoch of one member, and whether it has stopped at the end."""
    state = schedule.begin(np.array([1.0]))
    seen = []
    for loss in losses:
        if state.stopped[0]:
            break
        seen.append(float(state.rate[0]))
        state = schedule.after_epoch(state, np.array([loss]), training)
    return seen, bool(state.stopped[0])


def test_the_rate_stays_while_the_loss_falls() -> None:
    seen, stopped = rates([5, 4, 3, 2, 1], Training())
    assert seen == [1.0] * 5
    assert not stopped


def test_three_stale_epochs_then_four_halvings_then_stop() -> None:
    """Epoch 1 improves, 2 to 4 do not; epochs 5 to 8 run at half the rate each, and 8 is the last."""
    seen, stopped = rates([3.0] * 20, Training())
    assert seen == [1, 1, 1, 1, 0.5, 0.25, 0.125, 0.0625]
    assert stopped


def test_an_improvement_in_time_starts_the_count_again_but_not_once_halving_has_begun() -> None:
    seen, _ = rates([3, 3, 3, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0], Training())
    assert seen[:10] == [1] * 10
    assert seen[10:] == [0.5, 0.25, 0.125, 0.0625]


def test_patience_halvings_and_factor_are_options() -> None:
    seen, stopped = rates([3.0] * 20, Training(patience=1, halvings=2, factor=0.1))
    assert np.allclose(seen, [1, 1, 0.1, 0.01])
    assert stopped


def test_members_are_independent_and_a_nan_is_no_improvement() -> None:
    state = schedule.begin(np.array([1.0, 1.0, 1.0]))
    for epoch in range(4):
        state = schedule.after_epoch(state, np.array([1.0, 5.0 - epoch, np.nan]), Training())
    assert state.rate.tolist() == [0.5, 1.0, 0.25]  # the last one never improved at all
    assert state.keep(np.array([1])).lowest.tolist() == [2.0]
