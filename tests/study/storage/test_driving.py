"""The search is an Optuna study while it goes on: trials are there from `ask` on, with their reports and ends."""

import math
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState, create_trial

import cellsearch as cs
from cellsearch.dsl.text import parse
from cellsearch.study.leaderboard import board
from cellsearch.study.scoring import ranking
from cellsearch.study.storage.attributes import RECORD, RESULT, record_of
from cellsearch.study.storage.pruner import StagePruner
from cellsearch.study.tables import cellrecords, integrity, queries, records
from cellsearch.study.tables.transactions import Store
from cellsearch.study.workers.trial import runner
from tests.study.scripted import SEEDS, Scripted, based, hashed, items_of, new_study, one_of, space_of, work
from tests.study.storage.snapshots import plain, result_of, snapshot

SPACE = space_of()
STEPS = {"filter": 0, "arithmetic": 1, "xml": 2}
STATES = {"ranked": TrialState.COMPLETE, "filtered": TrialState.PRUNED, "failed": TrialState.FAIL}


def accuracy(mark: str, task: str, setting: int) -> float | None:
    """As scripted, and every fifth cell diverges on all settings."""
    if task != "filter" and mark not in SEEDS.values() and int(mark, 16) % 5 == 0:
        return None
    return hashed(mark, task, setting)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A search of thirty trials, with refinements."""
    store = based(tmp_path_factory.mktemp("ended"), SPACE, 30)
    work(store, SPACE, Scripted(accuracy), one_of(25))
    return store


def test_seeds_are_running_trials_with_records_from_the_start(tmp_path: Path) -> None:
    store = new_study(tmp_path, SPACE)
    there = plain(store).trials
    assert [(trial.number, trial.state) for trial in there] == [
        (0, TrialState.RUNNING),
        (1, TrialState.RUNNING),
    ]
    for trial, (name, mark) in zip(there, SEEDS.items(), strict=True):
        assert trial.user_attrs[RECORD] == record_of("seed", cs.load(name), mark)
        assert cs.suggest_cell(trial) == cs.load(name)
        assert trial.params["cell.states"] == len(cs.load(name).states)


@pytest.mark.long
def test_a_proposal_is_a_running_trial_with_its_record_and_the_reports_so_far_before_anything_trains(
    tmp_path: Path,
) -> None:
    store = based(tmp_path, SPACE, 8)
    seen: list[tuple[int, str, list[int]]] = []

    def look(mark: str, task: str) -> None:
        trial = plain(store).trials[-1]
        assert trial.state == TrialState.RUNNING
        record = trial.user_attrs[RECORD]
        assert (record["fingerprint"], record["kind"]) == (mark, items_of(store)[-1].kind)
        assert cs.suggest_cell(trial) == parse(cellrecords.recorded_cells(store, [mark])[0].text)
        assert set(trial.params) == {
            f"cell.{name}" for name in ("nodes", "states", "matrices", "peepholes", "gates", "depth")
        }
        assert RESULT not in trial.user_attrs
        done = [stage.task for stage in queries.recorded_stages(store) if stage.trial == trial.number]
        assert sorted(trial.intermediate_values) == sorted(STEPS[name] for name in done)
        seen.append((trial.number, task, sorted(trial.intermediate_values)))

    work(store, SPACE, Scripted(before=look), one_of(1_000))
    assert sorted({number for number, _, _ in seen}) == list(range(2, 10))
    assert {(task, tuple(steps)) for _, task, steps in seen} >= {
        ("filter", ()), ("arithmetic", (0,)), ("xml", (0, 1)), ("arithmetic", ())
    }  # fmt: skip


@pytest.mark.long
def test_a_report_is_there_right_after_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = based(tmp_path, SPACE, 6)
    looks = 0

    def look(name: str) -> None:
        nonlocal looks
        if name == "after-commit":
            looks += 1
            last = queries.recorded_stages(store)[-1]
            found = ranking.bests(queries.recorded_stages(store))[last.fingerprint][last.task].accuracy
            unit = records.facts(store).units.get(last.task, 1.0)
            expected = math.nan if found is None else found / unit
            told = plain(store).trials[last.trial].intermediate_values[STEPS[last.task]]
            assert repr(told) == repr(expected)

    monkeypatch.setattr(runner, "failpoint", look)
    work(store, SPACE, Scripted(accuracy), one_of(1_000))
    assert looks > 8


class Killed(BaseException):
    """As abrupt as a signal, for the code in between."""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_stage_and_its_report_are_one_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    store = based(tmp_path, SPACE, 1)
    before: list[Any] = []
    lab = Scripted(lambda mark, task, setting: 1.0, before=lambda *_: before.append(snapshot(store)))
    report = runner.report

    def dies(*arguments: Any) -> None:
        if when == "after":
            report(*arguments)
        raise Killed

    monkeypatch.setattr(runner, "report", dies)
    with pytest.raises(Killed):
        work(store, SPACE, lab, one_of(9))
    (then,) = before
    assert snapshot(store) == then
    assert not plain(store).trials[2].intermediate_values
    assert not [stage for stage in queries.recorded_stages(store) if stage.trial == 2]
    monkeypatch.undo()
    work(store, SPACE, lab, one_of(9))
    assert plain(store).trials[2].intermediate_values.keys() == {0, 1, 2}


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_end_of_an_item_and_of_its_trial_are_one_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    store = based(tmp_path, SPACE, 1)
    last: list[Any] = []
    finished = optuna.Study.tell

    def dies(*arguments: Any, **keys: Any) -> None:
        if when == "after":
            finished(*arguments, **keys)
        raise Killed

    monkeypatch.setattr(optuna.Study, "tell", dies)
    monkeypatch.setattr(runner, "failpoint", lambda name: last.append(snapshot(store)))
    with pytest.raises(Killed):
        work(store, SPACE, Scripted(), one_of(9))
    assert snapshot(store) == last[-1]
    assert (plain(store).trials[2].state, items_of(store)[0].outcome) == (TrialState.RUNNING, "")


@pytest.mark.long
def test_at_the_end_states_are_those_of_the_board(ended: Store) -> None:
    there, counts = plain(ended).trials, board.status(ended, SPACE).counts
    states = [trial.state for trial in there[2:]]
    assert len(states) == counts.trials == 30
    assert states.count(TrialState.COMPLETE) == counts.ranked > 2
    assert states.count(TrialState.PRUNED) == counts.filtered > 2
    assert states.count(TrialState.FAIL) == counts.failed == 0
    assert states == [STATES[row.outcome] for row in items_of(ended)]
    scores = [row.score for row in items_of(ended)]
    assert [trial.value for trial in there[2:] if trial.state == TrialState.COMPLETE] == [
        score for score in scores if score is not None
    ]
    assert [(trial.state, there[1].value) for trial in there[:2]] == [(TrialState.COMPLETE, 1.0)] * 2
    table = {row.name: row for row in board.leaderboard(ended, SPACE)}
    assert there[0].value == table["lstm"].score
    assert integrity.damages(ended) == []


def test_the_best_trial_is_the_first_of_the_board(ended: Store) -> None:
    first = board.leaderboard(ended, SPACE)[0]
    best = plain(ended).best_trial
    assert cs.suggest_cell(best) == parse(first.text)
    assert best.value == first.score > 1.0


@pytest.mark.long
def test_steps_are_stages_and_their_values_the_best_so_far(ended: Store) -> None:
    study, units = plain(ended), records.facts(ended).units
    assert study.user_attrs["steps"] == {str(step): stage for stage, step in STEPS.items()}
    assert study.metric_names == ["score"]
    stages = queries.recorded_stages(ended)
    for trial in study.trials:
        mark = trial.user_attrs[RECORD]["fingerprint"]
        known = ranking.bests(stage for stage in stages if stage.trial <= trial.number)[mark]
        mine = {stage.task for stage in stages if stage.trial == trial.number}
        assert trial.intermediate_values.keys() == {STEPS[task] for task in mine}
        for task in mine:
            reached, told = known[task].accuracy, trial.intermediate_values[STEPS[task]]
            assert repr(told) == repr(math.nan if reached is None else reached / units.get(task, 1.0))
        if trial.state == TrialState.COMPLETE:
            assert trial.value == min(trial.intermediate_values[STEPS[task]] for task in units)


def test_pruned_trials_say_at_which_stage_and_why(ended: Store) -> None:
    rows = {row.trial: row for row in items_of(ended)}
    causes = set()
    for trial in plain(ended).trials[2:]:
        row, result = rows[trial.number], result_of(trial)
        assert result["outcome"] == row.outcome
        assert result.get("task", "") == row.task
        assert result.get("cause", "") == row.cause
        assert result["seconds"] >= 0
        if trial.state == TrialState.PRUNED:
            assert STEPS[result["task"]] == trial.last_step
            causes.add((result["task"], result.get("cause", "")))
    assert causes >= {
        ("filter", ""),
        ("arithmetic", ""),
        ("arithmetic", "diverged: loss non-finite in epoch 1"),
    }


def test_refinements_are_never_pruned(ended: Store) -> None:
    kinds = {trial.number: trial.user_attrs[RECORD]["kind"] for trial in plain(ended).trials}
    pruned = {kinds[trial.number] for trial in plain(ended).trials if trial.state == TrialState.PRUNED}
    assert pruned == {"propose"}
    assert list(kinds.values()).count("refine") == queries.counts(ended).refinements > 5


@pytest.mark.parametrize(
    ("record", "judged"),
    [
        ({"kind": "propose"}, True),
        ({}, True),  # of an objective with cells of its own
        ({"kind": "refine"}, False),
        ({"kind": "seed"}, False),
        ({"kind": "propose", "seed": "gru"}, False),  # equivalent to a seed
    ],
)
def test_the_pruner_judges_proposals_alone_by_their_last_report(record: dict[str, str], judged: bool) -> None:
    study, pruner = optuna.create_study(), StagePruner(SPACE)

    def pruned(**reports: float) -> bool:
        values = {STEPS[task]: value for task, value in reports.items()}
        state = TrialState.RUNNING
        trial = create_trial(state=state, user_attrs={RECORD: record}, intermediate_values=values)
        return pruner.prune(study, trial)

    assert not pruned()
    assert not pruned(filter=0.95)
    assert pruned(filter=0.9499) is judged
    assert not pruned(filter=0.95, arithmetic=0.9001)
    assert pruned(filter=0.95, arithmetic=0.9) is judged
    assert pruned(arithmetic=2.0, xml=math.nan) is judged
    assert pruned(arithmetic=2.0, xml=math.inf) is judged


def test_the_trial_of_a_cell_that_came_again_names_it_as_the_board_does(ended: Store) -> None:
    names = {row.fingerprint: row.name for row in board.leaderboard(ended, SPACE, every=True)}
    records_ = [trial.user_attrs[RECORD] for trial in plain(ended).trials]
    assert [record["name"] for record in records_] == [names[record["fingerprint"]] for record in records_]
    assert len({record["fingerprint"] for record in records_ if record["kind"] == "propose"}) < sum(
        record["kind"] == "propose" for record in records_
    )
