"""Seconds of one setting in one epoch: every shape counts by its share of the settings that a stage draws."""

from collections.abc import Sequence

import numpy as np
import pytest

from cellsearch.analysis.dry_run import measuring
from cellsearch.analysis.dry_run.measuring import Group, groups
from cellsearch.dsl.zoo import load
from cellsearch.study.space import load_space
from cellsearch.train.settings import Grid

PAPER = load_space("jozefowicz2015").tasks[0].grid
GRIDS = {
    "paper": PAPER,
    "one shape": Grid((0.3, 1), (0.1, 0.2, 0.5), (5,), (1,), (10_000,)),
    "two layers, fastest last": Grid((0.3, 1), (0.1, 0.5), (5,), (1, 2), (2_000, 3_000, 9_000)),
    "every setting a shape": Grid((1,), (0.1,), (5,), (1, 2, 3, 4), (3_000, 9_000, 20_000)),
    "sizes of one width": Grid((1,), (0.1, 0.2), (5,), (1,), (3_000, 3_001)),
}


class Machine:
    """A population takes a second, each member the seconds of its layers and units."""

    def __init__(self) -> None:
        self.measured: list[Group] = []

    def epoch(self, some: Sequence[Group]) -> float:
        self.measured += some
        return sum(1 + group.members * self.member(group) for group in some)

    def member(self, group: Group) -> float:
        return group.model.layers**2 * group.model.hidden


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("settings", [1, 3, 5, 8, 20])
def test_groups_are_all_shapes_and_come_to_the_settings_that_are_drawn(name: str, settings: int) -> None:
    grid = GRIDS[name]
    settings = min(settings, len(grid))
    found = groups(grid, settings, load("gru"), 40)
    assert sum(group.settings for group in found) == pytest.approx(settings)
    assert {g.model.layers for g in found} == set(grid.layers)
    assert len(found) == len({g.model for g in found})
    assert len(found) == (1 if "one" in name else len(grid.layers) * len(grid.parameters))
    assert all(1 <= g.members <= settings for g in found)


@pytest.mark.parametrize("settings", [1, 3, 20, 300])
def test_groups_are_as_large_as_those_of_drawn_settings(settings: int) -> None:
    """Members of a group, where a stage has any of its shape: the mean over many draws."""
    found = groups(PAPER, settings, load("gru"), 40)
    rng, shapes, sizes = np.random.default_rng(1), len(found), []
    for _ in range(2_000):
        drawn = rng.choice(len(PAPER), settings, replace=False) % shapes
        sizes += [n for n in np.bincount(drawn, minlength=shapes) if n]
    assert {group.members for group in found} == {round(np.mean(sizes))}


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("settings", [1, 2, 3, 4, 6, 8, 12, 16, 20])
def test_the_mean_is_that_of_the_whole_grid_whatever_the_count_of_settings(name: str, settings: int) -> None:
    """Samples at even distances in the grid met one shape alone where the distance is a multiple of it."""
    grid = GRIDS[name]
    found = groups(grid, min(settings, len(grid)), load("gru"), 40)
    machine = Machine()
    seconds = measuring.seconds(found, machine.epoch, side_by_side=False)
    assert sorted(g.multiply_adds for g in machine.measured) == sorted(g.multiply_adds for g in found)
    expected = [1 / g.members + machine.member(g) for g in found]
    assert seconds == pytest.approx(np.average(expected, weights=[g.settings for g in found]))


def test_of_many_shapes_some_are_measured_and_the_others_follow() -> None:
    sizes = tuple(range(20_000, 2_000_000, 20_000))
    found = groups(Grid((1,), (0.1, 0.2), (5,), (1, 2, 3), sizes), 20, load("gru"), 40)
    measured: list[Group] = []

    def epoch(some: Sequence[Group]) -> float:
        measured.extend(some)
        return sum(1e-6 * group.members * group.multiply_adds for group in some)

    seconds = measuring.seconds(found, epoch, side_by_side=False)
    assert len(measured) == measuring.MOST < len(found)
    assert {1, 3} <= {group.model.layers for group in measured}
    costs = [group.multiply_adds for group in found]
    assert {min(costs), max(costs)} <= {group.multiply_adds for group in measured}
    assert seconds == pytest.approx(1e-6 * np.mean(costs))


def test_groups_that_train_side_by_side_are_measured_together() -> None:
    found = groups(PAPER, 20, load("gru"), 40)
    calls: list[int] = []

    def epoch(some: Sequence[Group]) -> float:
        calls.append(len(some))
        return 48.0

    assert measuring.seconds(found, epoch, side_by_side=True) == 48 / sum(g.members for g in found)
    assert calls == [8]


def test_where_no_shape_fits_nothing_is_measured() -> None:
    assert measuring.seconds([], lambda some: 1 / 0, side_by_side=False) == 0.0
