"""What Optuna shows of a search: every trial once with its state, six parameters that plots can use, one record."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import IntDistribution
from optuna.importance import (
    FanovaImportanceEvaluator,
    MeanDecreaseImpurityImportanceEvaluator,
    PedAnovaImportanceEvaluator,
    get_param_importances,
)
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import Row, select

from cellsearch.dsl.text import parse
from cellsearch.dsl.zoo import load
from cellsearch.study.leaderboard import board
from cellsearch.study.mutation.operators import Edit
from cellsearch.study.mutation.spec import Limits
from cellsearch.study.storage import attributes
from cellsearch.study.storage.attributes import PREFIX, distributions, structure, within
from cellsearch.study.tables import cellrecords, records
from cellsearch.study.tables.schema import STUDY_KEY, items, studies
from cellsearch.study.tables.study_facts import Target
from cellsearch.study.tables.transactions import Store, reading
from cellsearch.study.workers.evaluator import real_propose
from tests.study.scripted import SEEDS, Scripted, hashed, new_study, one_of, searched, space_of, work

SPACE = space_of()
STRUCTURE = tuple(f"cell.{name}" for name in ("nodes", "states", "matrices", "peepholes", "gates", "depth"))
EVALUATORS = (
    PedAnovaImportanceEvaluator,
    FanovaImportanceEvaluator,
    MeanDecreaseImpurityImportanceEvaluator,
)


def accuracy(mark: str, task: str, setting: int) -> float | None:
    """As scripted, and every fifth cell diverges on all settings."""
    if task != "filter" and mark not in SEEDS.values() and int(mark, 16) % 5 == 0:
        return None
    return hashed(mark, task, setting)


def opened(store: Store) -> optuna.Study:
    """The study as any program with Optuna opens it."""
    return optuna.load_study(study_name=store.name, storage=store.url)


def items_of(store: Store) -> list[Row[Any]]:
    """The items that tell a trial each."""
    query = select(items).where(items.c.kind != "baseline").order_by(items.c.trial)
    with reading(store.engine, store.url) as connection:
        return list(connection.execute(query))


@pytest.fixture(scope="module")
def twenty(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, list[FrozenTrial]]:
    """A search of twenty trials, and the trials of Optuna."""
    store = searched(tmp_path_factory.mktemp("twenty"), Scripted(accuracy), SPACE, one_of(60), trials=20)
    return store, opened(store).trials


@pytest.mark.long
def test_every_trial_is_there_once_with_its_state(twenty: tuple[Store, list[FrozenTrial]]) -> None:
    store, there = twenty
    rows = items_of(store)
    assert [(trial.number, trial._trial_id) for trial in there] == [(row.trial, row.trial_id) for row in rows]
    assert [row.trial for row in rows] == list(range(len(SEEDS) + 20))
    states = {"ranked": TrialState.COMPLETE, "filtered": TrialState.PRUNED, "failed": TrialState.FAIL}
    assert [trial.state for trial in there] == [states[row.outcome] for row in rows]
    assert {TrialState.COMPLETE, TrialState.PRUNED} <= {trial.state for trial in there}
    cells = {row.fingerprint: row for row in board.leaderboard(store, SPACE, every=True)}
    for trial, row in zip(there, rows, strict=True):
        record, result = trial.user_attrs["record"], trial.user_attrs["result"]
        assert record["kind"] == row.kind
        assert record["fingerprint"] == row.fingerprint
        assert record["cell"] == cells[row.fingerprint].text
        assert record.get("parent", "") == row.parent
        assert trial.params["cell.matrices"] >= 1
        assert (result["outcome"], result["seconds"]) == (row.outcome, round(row.seconds, 3))
        assert (result.get("task", ""), result.get("cause", "")) == (row.task, row.cause)
        if trial.state == TrialState.COMPLETE:
            assert trial.value == row.score
            assert trial.value is not None
            assert math.isfinite(trial.value)
            assert set(trial.intermediate_values) <= {0, 1, 2}
            assert all(math.isfinite(value) for value in trial.intermediate_values.values())


def test_a_cell_whose_settings_all_diverged_reports_what_is_no_number_and_is_pruned(
    twenty: tuple[Store, list[FrozenTrial]],
) -> None:
    """Optuna has no value for such a trial, and its plots leave it out."""
    lost = [t for t in twenty[1] if not math.isfinite(t.intermediate_values[t.last_step or 0])]
    assert lost
    for trial in lost:
        assert (trial.state, trial.value) == (TrialState.PRUNED, None)
        assert trial.user_attrs["result"]["task"] == ("filter", "arithmetic", "xml")[trial.last_step or 0]
        assert trial.user_attrs["result"]["cause"].startswith("diverged: loss non-finite")


def test_what_is_no_number_for_a_plot_is_in_two_attributes(twenty: tuple[Store, list[FrozenTrial]]) -> None:
    for trial in twenty[1]:
        assert set(trial.user_attrs) == {"record", "result"}
        assert json.loads(json.dumps(trial.user_attrs)) == trial.user_attrs
        for attribute in trial.user_attrs.values():
            assert all(value not in ("", [], None) for value in attribute.values())


def test_the_study_says_what_its_numbers_are(twenty: tuple[Store, list[FrozenTrial]]) -> None:
    store, study = twenty[0], opened(twenty[0])
    assert study.metric_names == ["score"]
    assert study.directions == [optuna.study.StudyDirection.MAXIMIZE]
    assert study.user_attrs["steps"] == {"0": "filter", "1": "arithmetic", "2": "xml"}
    assert (study.user_attrs["space"], study.user_attrs["seed"]) == ("scripted", 1)
    assert "ratio" in study.user_attrs["value"] and "0.95" in study.user_attrs["reports"]
    with reading(store.engine, store.url) as connection:
        assert study.user_attrs[STUDY_KEY] == connection.execute(select(studies.c.uuid)).scalar_one()


@pytest.mark.long
def test_a_record_says_which_edits_made_a_new_cell_and_how_strong_they_were(tmp_path: Path) -> None:
    """Of every proposal, also of a cell that was met before; the first trial of a cell is on record too."""
    space = replace(SPACE, strategy=replace(SPACE.strategy, refine=0.3))
    store = searched(tmp_path, Scripted(), space, real_propose(space), trials=12)
    made = {record.trial: record for record in cellrecords.recorded_cells(store) if not record.seed}
    for trial in opened(store).trials[len(SEEDS) :]:
        record = trial.user_attrs["record"]
        if trial.number in made:
            edits = json.loads(made[trial.number].edits)
            assert record["edits"] == [str(Edit(**edit)) for edit in edits[1:]]
            assert record["strength"] == float(edits[0]["detail"])
            assert record["parent"] == made[trial.number].parent
        elif record["kind"] == "refine":
            assert not {"edits", "strength"} & record.keys()
    assert made


def test_the_strength_of_a_walk_is_the_mean_of_its_steps() -> None:
    steps = [("strength", "0.2"), ("remove_node", ""), ("strength", "0.6"), ("swap_activation", "")]
    edits = [{"mutation": mutation, "node": "n", "detail": detail} for mutation, detail in steps]
    assert attributes.strength_of(edits) == pytest.approx(0.4)
    assert attributes.words_of(edits) == ["remove node at n: ", "swap activation at n: "]
    assert attributes.words_of([{"to": 3}]) == ['{"to": 3}']
    assert attributes.strength_of([{"to": 3}]) is attributes.strength_of([]) is None


def test_parameters_are_six_counts_with_the_same_narrow_ranges_for_a_whole_study(
    twenty: tuple[Store, list[FrozenTrial]],
) -> None:
    """Numbers of order, such as the parent, are none of them: they would lead every importance."""
    ranges = distributions(SPACE.limits, [load("lstm"), load("gru")])
    assert tuple(ranges) == STRUCTURE
    for trial in twenty[1]:
        assert trial.distributions == ranges
        assert trial.params == within(structure(parse(trial.user_attrs["record"]["cell"])), ranges)
    assert all(isinstance(bounds, IntDistribution) and bounds.high <= 64 for bounds in ranges.values())


def test_a_count_past_its_range_is_shown_as_the_end_of_it() -> None:
    ranges = distributions(Limits(nodes=8, matrices=2), [load("lstm")])
    assert ranges["cell.nodes"] == IntDistribution(0, 16)  # what the seed has
    params = within(structure(load("enas")), ranges)
    assert (params["cell.nodes"], params["cell.matrices"]) == (16, 8)


@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_importances_find_what_scores_follow_from(evaluator: Any) -> None:
    """Cells with many matrices are good, and nothing else counts."""
    if evaluator is not PedAnovaImportanceEvaluator:
        pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    ranges = distributions(SPACE.limits, [load("lstm"), load("gru")])
    study = optuna.create_study(direction="maximize")
    for k in range(120):
        number = 1 + k * 7 % 20
        text = f"cell m{k}(x; h)\nh' = {' + '.join(['tanh[h]'] * number)} + {'x + ' * (k % 11)}[x]\n"
        params = within(structure(parse(text)), ranges)
        study.add_trial(create_trial(value=number / 20, params=params, distributions=dict(ranges)))
    found = get_param_importances(study, evaluator=evaluator())
    assert set(found) <= set(STRUCTURE)
    assert max(found, key=lambda name: found[name]) in ("cell.matrices", "cell.depth", "cell.nodes")
    others = ("cell.states", "cell.peepholes", "cell.gates")
    assert found["cell.matrices"] > 5 * max(found.get(name, 0.0) for name in others)


@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_importances_of_a_search_can_be_asked_for(
    twenty: tuple[Store, list[FrozenTrial]], evaluator: Any
) -> None:
    if evaluator is not PedAnovaImportanceEvaluator:
        pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    found = get_param_importances(opened(twenty[0]), evaluator=evaluator())
    assert found and set(found) <= set(STRUCTURE)
    assert all(math.isfinite(value) for value in found.values())


@pytest.mark.long
def test_the_search_itself_is_not_moved_by_a_trial_that_another_program_adds(tmp_path: Path) -> None:
    """Optuna counts it: the numbers of ours go on after it. No decision reads it."""
    store = new_study(tmp_path, SPACE, trials=6)
    work(store, SPACE, Scripted(), one_of(60))
    opened(store).add_trial(create_trial(value=99.0))
    opened(store).enqueue_trial({"cell.depth": 3})
    records.extend(store, Target(9))
    work(store, SPACE, Scripted(), one_of(60))
    there = opened(store).trials
    assert [trial.number for trial in there] == list(range(len(SEEDS) + 11))
    foreign = (len(SEEDS) + 6, len(SEEDS) + 7)
    assert [row.trial for row in items_of(store)] == [t.number for t in there if t.number not in foreign]
    assert there[foreign[1]].state == TrialState.WAITING  # no worker takes it
    assert board.status(store, SPACE).finished
    assert max(row.score or 0.0 for row in board.leaderboard(store, SPACE)) < 99


def test_structure_counts_what_a_dashboard_can_plot() -> None:
    counts = structure(load("peephole_lstm"))
    assert tuple(counts) == STRUCTURE
    assert all(name.startswith(PREFIX) for name in counts)
    assert tuple(counts.values()) == (16, 2, 8, 3, 3, 7)
