"""The shares of settings with which seeds pass the filters of the bundled spaces."""

from dataclasses import replace

import pytest

from cellsearch.report.searches.filter import shares, unfair
from cellsearch.study.leaderboard.filter_share import FAIR, Passed, digest, measured
from cellsearch.study.space import check_seeds, load_space, names


@pytest.mark.parametrize("name", names())
def test_every_bundled_space_has_a_filter_that_its_seeds_pass(name: str) -> None:
    """Where this fails, the filter was changed after it was measured: see results/findings/filter."""
    space = load_space(name)
    found = measured(space, check_seeds(space))
    assert [seed.seed for seed in found] == list(space.seeds)
    assert all(seed.fair and seed.settings >= 6 for seed in found), found


def test_another_filter_was_not_measured() -> None:
    space = load_space("quick", ["filter.training.patience=1"])
    assert measured(space, check_seeds(space)) == []
    assert space.filter
    others = [
        replace(space.filter, accuracy=0.9),
        replace(space.filter, grid=replace(space.filter.grid, layers=(1, 2))),
        replace(space.filter, options={**space.filter.options, "symbols": 4}),
    ]
    assert len({digest(filter) for filter in [space.filter, *others]}) == 4


def test_the_words() -> None:
    seeds = [Passed("gru", 8, 10), Passed("lstm", 7, 10)]
    assert shares(seeds) == "gru passes with 8 of 10 settings, lstm passes with 7 of 10 settings"
    (warning,) = unfair(seeds)
    assert warning.startswith("the filter refuses lstm with 3 of 10 settings") and FAIR == 0.8
