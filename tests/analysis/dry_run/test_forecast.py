"""What a dry run says, against what the search of the same space then does."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from cellsearch.analysis.dry_run import forecast
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.zoo import load
from cellsearch.report.searches import dry_run as report
from cellsearch.study.leaderboard.filter_share import Passed
from cellsearch.study.space import load_space, parse_space
from cellsearch.study.tables import queries, records
from cellsearch.study.tables.study_facts import Target
from cellsearch.study.workers.evaluator import Say, TorchEvaluator
from cellsearch.train.outcome import Outcome
from cellsearch.train.resources import pace as pace_module
from cellsearch.train.resources.cost import of_training
from cellsearch.train.resources.pace import Pace
from cellsearch.train.settings import keys
from tests.study.scripted import TEXT, Scripted, items_of, new_study, one_of, work

SMALL = [
    "filter.options.train=4000", "filter.options.valid=800",
    *(f"tasks.{k}.options.{part}={size}" for k in range(3) for part, size in (("train", 4000), ("valid", 800))),
]  # fmt: skip


def plain(found: forecast.Forecast) -> str:
    """The report as one line."""
    return " ".join(line.plain for line in report.lines(found, 200))


@pytest.fixture
def a_second_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """A member takes a second for an epoch."""

    def pace(populations: Sequence[tuple[object, int]], *_: object) -> Pace:
        return Pace(0.75 * sum(members for _, members in populations), 0.25 * sum(m for _, m in populations))

    monkeypatch.setattr(pace_module, "pace", pace)


@pytest.fixture(scope="module")
def found() -> forecast.Forecast:
    space = load_space("quick", SMALL)
    return forecast.forecast(space, "quick", TorchEvaluator(space, 1), {"gru": load("gru")}, Target(40), 2)


@pytest.mark.long
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
    for span in (found.baseline, found.refined, found.proposed, found.rest):
        assert span.middle is None and span.most is not None and 0 < span.least <= span.most
    assert found.proposed.most is not None and found.refined.most is not None
    assert found.proposed.most > found.refined.most  # a mutant that passes everything was filtered first
    seconds = sum(stage.data.seconds for stage in found.stages[1:] if stage.data)
    assert (found.refined.least, found.refined.most) == pytest.approx((3 * 5 * seconds, 3 * 8 * seconds))
    assert found.stages[0].data
    filtered = 3 * found.stages[0].data.seconds  # of each of the two seeds, by two workers
    expected = 6 * 5 * seconds + filtered, 6 * 8 * seconds + 8 * filtered
    assert (found.baseline.least, found.baseline.most) == pytest.approx(expected)


def test_the_words_of_a_new_search(found: forecast.Forecast) -> None:
    told = plain(found)
    assert "at least" not in told and ", middle " not in told
    assert "Filter: not measured yet with these seeds and options" in told
    measured = plain(replace(found, passed=(Passed("gru", 1, 6),)))
    assert "Filter: gru passes with 1 of 6 settings (measured before" in measured
    assert "Warning: the filter refuses gru with 5 of 6 settings" in measured
    assert "no records, so it has no mean" in told and "Maximum: every setting takes the most epochs" in told


@dataclass
class Trained(Scripted):
    """Settings that are accurate train for 10 epochs, 2 in the filter; diverged ones for 1."""

    def evaluate(self, cell: Cell, task: str, settings: Sequence[str], seed: int, say: Say) -> list[Outcome]:
        full = 2 if task == "filter" else 10
        found = super().evaluate(cell, task, settings, seed, say)
        return [replace(o, trained=1 if o.accuracy is None else full) for o in found]


@pytest.mark.long
def test_records_give_a_middle(tmp_path: Path, a_second_each: None) -> None:
    changes = ["filter.options={train: 4000, valid: 800}", *SMALL[2:6]]
    space = parse_space(TEXT, overrides=[*changes, "training.max_epochs=20"])
    store = new_study(tmp_path, space, trials=12)
    known, lab = records.facts(store), TorchEvaluator(space, 1)

    def now() -> forecast.Forecast:
        study = (store, records.facts(store))
        return forecast.forecast(space, "s", lab, {"gru": load("gru")}, Target(40), 2, study)

    assert known.units == {}
    before = now()
    assert before.baseline and before.baseline.middle is None
    work(store, space, Trained(), one_of(200))
    after = now()
    rows: dict[str, list[Any]] = {name: [] for name in ("filter", "arithmetic", "xml")}
    for stage in queries.recorded_stages(store):
        rows[stage.task].append(stage)
    items = items_of(store, "propose")
    for stage in after.stages:
        settings = sum(s.settings for s in rows[stage.name])
        good = sum(s.trained for s in rows[stage.name])
        epochs = ((2 if stage.name == "filter" else 10) * good + settings - good) / settings
        assert stage.trained == pytest.approx(epochs)
        proposed = [s for s in rows[stage.name] if s.trial in {item.trial for item in items}]
        assert stage.proposed == pytest.approx(sum(s.settings for s in proposed) / len(items))
    first, *tasks = after.stages
    assert first.trained and first.proposed == 1
    refined = sum(4 * (stage.trained or 0) for stage in tasks)
    proposed_middle = first.trained + sum((s.trained or 0) * (s.proposed or 0) for s in tasks)
    assert after.refined and after.proposed and after.rest and after.baseline
    assert after.refined.middle == pytest.approx(refined)
    assert after.proposed.middle == pytest.approx(proposed_middle)
    assert after.rest.middle == pytest.approx((40 - 12) / 2 * (refined + proposed_middle) / 2)
    assert after.rest.least < after.rest.middle < (after.rest.most or 0)
    assert after.baseline.middle == 0
    told = plain(after)
    assert "Mean: from this search's records." in told and ", mean " in told
    assert "8 to 20, mean " in told


def test_data_that_is_not_here_is_named_and_the_rest_is_told(tmp_path: Path, a_second_each: None) -> None:
    space = load_space("quick", [*SMALL, "tasks.2.name=ptb", "tasks.2.options={}"])
    found = forecast.forecast(
        space, "quick", TorchEvaluator(space, 1, tmp_path), {"gru": load("gru")}, Target(40), 2
    )
    assert [bool(stage.missing) for stage in found.stages] == [False, False, False, True]
    assert "ptb" in found.stages[-1].missing
    assert found.rest is None


def test_a_schedule_without_a_limit_has_no_most(a_second_each: None) -> None:
    space = load_space("quick", [*SMALL, "training.max_epochs=null"])
    found = forecast.forecast(space, "quick", TorchEvaluator(space, 1), {"gru": load("gru")}, Target(40), 2)
    assert found.stages[1].epochs == (5, None)
    assert found.rest is not None and found.rest.most is None
    assert "no maximum" in plain(
        found
    ) and "No maximum: epochs have no limit (training.max_epochs)." in plain(found)


def test_what_the_bound_on_memory_does_is_told(a_second_each: None) -> None:
    """Three settings of 34 units take 18 to 21 MB, of 175 units 25 to 42 MB."""
    changes = [*SMALL, "tasks.0.parameters=[10000, 200000]"]
    for bound, batches, unfit in ((16, 1, 0), (0.03, 3, 0), (0.02, 2, 1)):
        space = load_space("quick", [*changes, f"budget.memory_gb={bound}"])
        found = forecast.forecast(
            space, "quick", TorchEvaluator(space, 1), {"gru": load("gru")}, Target(40), 2
        )
        data = found.stages[1].data
        assert data is not None
        assert (data.batches, len(data.unfit)) == (batches, unfit)
        assert data.memory <= 1e9 * bound
        told = plain(found)
        assert (f"arithmetic: settings of one shape are trained in up to {batches} batches" in told) == (
            batches > 1
        )
        assert ("arithmetic: models of 1x175 need more memory on their own" in told) == (unfit > 0)


@pytest.mark.soak
def test_the_seconds_of_a_stage_are_those_that_training_takes() -> None:
    """CPU time, which other programs on a machine change by up to a factor of 1.6 (hyperthreads, caches);
    results/findings/forecast has how near it is."""
    space = load_space("quick", ["training.max_epochs=1", "filter.training.max_epochs=1"])
    lab = TorchEvaluator(space, 1)
    found = forecast.forecast(space, "quick", lab, {"gru": load("gru")}, Target(40), 1)
    for stage in found.stages:
        settings = list(keys(lab.stage(stage.name).grid))[: stage.settings]
        took = []
        for _ in range(3):
            began = time.process_time()
            lab.evaluate(load("gru"), stage.name, settings, 1, lambda text: None)
            took.append(time.process_time() - began)
        assert stage.data is not None
        assert 0.5 < min(took) / stage.settings / stage.data.seconds < 2, stage.name
