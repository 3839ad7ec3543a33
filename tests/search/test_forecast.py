"""What a dry run says, against what the search of the same space then does."""

from pathlib import Path

import pytest

from cellsearch.dsl.zoo import load
from cellsearch.report import forecast as report
from cellsearch.search import forecast
from cellsearch.search.lab import RealLab
from cellsearch.search.records import Target
from cellsearch.search.space import load_space
from cellsearch.train.cost import of_training

SMALL = [
    "filter.options.train=4000", "filter.options.valid=800",
    *(f"tasks.{k}.options.{part}={size}" for k in range(3) for part, size in (("train", 4000), ("valid", 800))),
]  # fmt: skip


@pytest.fixture(scope="module")
def found() -> forecast.Forecast:
    space = load_space("quick", SMALL)
    return forecast.forecast(space, "quick", RealLab(space, 1), load("gru"), Target(40), 2)


def test_the_stages_are_those_of_the_space_with_the_models_that_are_trained(found: forecast.Forecast) -> None:
    assert [stage.name for stage in found.stages] == ["filter", "arithmetic", "xml", "text"]
    assert [stage.settings for stage in found.stages] == [1, 3, 3, 3]
    assert [stage.epochs for stage in found.stages] == [(1, 8), *[(5, 8)] * 3]  # 1 + patience 2 + halvings 2
    for stage in found.stages:
        ((model,), data) = stage.models, stage.data
        assert data is not None and not stage.missing
        assert model.parameters <= (4_000 if stage.name == "filter" else 10_000)
        expected = of_training(load("gru"), data.vocabulary, 1, model.hidden, 1, data.train, data.valid)
        assert data.multiply_adds == expected
        assert data.seconds > 0 and data.memory > 1e6


def test_times_add_up(found: forecast.Forecast) -> None:
    assert found.baseline and found.refined and found.proposed and found.rest
    for low, high in (found.baseline, found.refined, found.proposed, found.rest):
        assert high is not None and 0 < low <= high
    assert found.proposed[1] is not None and found.refined[1] is not None
    assert found.proposed[1] > found.refined[1]  # a mutant that passes everything was filtered first
    seconds = [stage.data.seconds for stage in found.stages[1:] if stage.data]
    assert found.refined == pytest.approx((3 * 5 * sum(seconds), 3 * 8 * sum(seconds)))
    assert found.baseline == pytest.approx((2 * 6 * 5 * sum(seconds) / 2, 2 * 6 * 8 * sum(seconds) / 2))


def test_data_that_is_not_here_is_named_and_the_rest_is_told(tmp_path: Path) -> None:
    space = load_space("quick", [*SMALL, "tasks.2.name=ptb", "tasks.2.options={}"])
    found = forecast.forecast(space, "quick", RealLab(space, 1, tmp_path), load("gru"), Target(40), 2)
    assert [bool(stage.missing) for stage in found.stages] == [False, False, False, True]
    assert "ptb" in found.stages[-1].missing
    assert found.rest is None


def test_a_schedule_without_a_limit_has_no_most() -> None:
    space = load_space("quick", [*SMALL, "training.max_epochs=null"])
    found = forecast.forecast(space, "quick", RealLab(space, 1), load("gru"), Target(40), 2)
    assert found.stages[1].epochs == (5, None)
    assert found.rest is not None and found.rest[1] is None


def test_what_the_bound_on_memory_does_is_told() -> None:
    """Three settings of 34 units take 18 to 21 MB, of 175 units 25 to 42 MB."""
    changes = [*SMALL, "tasks.0.parameters=[10000, 200000]"]
    for bound, batches, unfit in ((16, 1, 0), (0.03, 3, 0), (0.02, 2, 1)):
        space = load_space("quick", [*changes, f"budget.memory_gb={bound}"])
        found = forecast.forecast(space, "quick", RealLab(space, 1), load("gru"), Target(40), 2)
        data = found.stages[1].data
        assert data is not None
        assert (data.batches, len(data.unfit)) == (batches, unfit)
        assert data.memory <= 1e9 * bound
        told = " ".join(line.plain for line in report.lines(found, 200))
        assert (f"arithmetic: settings of one shape are trained in up to {batches} batches" in told) == (
            batches > 1
        )
        assert ("arithmetic: models of 1x175 take more memory alone" in told) == (unfit > 0)
