"""The rules of the search, one by one, with a laboratory that looks results up."""

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.errors import CellError, DataError, RunError
from cellsearch.study.leaderboard import board, filter_share
from cellsearch.study.leaderboard.filter_share import Passed
from cellsearch.study.space import Space
from cellsearch.study.storage import heartbeat
from cellsearch.study.system.stage_timeout import Deadline, Overdue
from cellsearch.study.tables import cellrecords, records, schema, transactions
from cellsearch.study.tables.database import Unavailable
from cellsearch.study.tables.study_facts import Target
from cellsearch.study.tables.transactions import Store
from cellsearch.study.workers import worker
from cellsearch.study.workers.evaluator import Say
from cellsearch.study.workers.trial import runner
from cellsearch.study.workers.trial.outcome_checks import checked
from cellsearch.train.outcome import Outcome
from tests.study.scripted import (
    DIGESTS,
    FLOORS,
    KEYS,
    PLACES,
    SEEDS,
    Scripted,
    hashed,
    items_of,
    new_study,
    one_of,
    searched,
    space_of,
    variant,
    work,
)

SPACE = space_of()


def trials(store: Store) -> list[Any]:
    """The items of proposals and refinements."""
    return items_of(store)


def rows(store: Store) -> list[Any]:
    """The items of the seeds."""
    return items_of(store, "baseline", "seed")


def table(store: Store, space: Space = SPACE) -> list[board.Row]:
    return board.leaderboard(store, space, every=True)


@pytest.mark.long
def test_the_seeds_run_on_the_whole_grid_before_anything_else(tmp_path: Path) -> None:
    lab = Scripted()
    searched(tmp_path, lab, SPACE, one_of(30))
    whole = [(mark, task, s) for mark in SEEDS.values() for task in ("arithmetic", "xml") for s in range(12)]
    assert sorted(lab.runs[: len(whole)]) == sorted(whole)
    rest = lab.runs[len(whole) :]
    filtered = [mark for mark, task, _ in rest if task == "filter" and mark in SEEDS.values()]
    assert Counter(filtered) == dict.fromkeys(SEEDS.values(), SPACE.strategy.settings)
    assert set(filtered) == {mark for mark, _, _ in rest[: len(filtered)]}, "before any proposal"
    assert all(task == "filter" or mark not in SEEDS.values() for mark, task, _ in rest)


def test_the_share_of_its_settings_with_which_each_seed_passes_the_filter(tmp_path: Path) -> None:
    def accuracy(mark: str, task: str, setting: int) -> float | None:
        if task != "filter":
            return 0.5
        return 0.95 if mark == SEEDS["gru"] or setting < 4 else None

    lab = Scripted(accuracy)
    store = searched(tmp_path, lab, SPACE, one_of(3), trials=1)
    lstm = [s for mark, task, s in lab.runs if task == "filter" and mark == SEEDS["lstm"]]
    count, passed = SPACE.strategy.settings, sum(s < 4 for s in lstm)
    assert filter_share.passed(store, SPACE) == [Passed("lstm", passed, count), Passed("gru", count, count)]
    assert [seed.fair for seed in filter_share.passed(store, SPACE)] == [passed >= 0.8 * count, True]


@pytest.mark.long
def test_the_units_are_the_best_of_the_baseline_and_stay(tmp_path: Path) -> None:
    store = searched(tmp_path, Scripted(), SPACE, one_of(30))
    units = records.facts(store).units
    for task in ("arithmetic", "xml"):
        best = max(a for s in range(12) if (a := hashed(SEEDS["gru"], task, s)) is not None)
        assert units[task] == best
    assert records.freeze(store, SEEDS["lstm"], FLOORS, 0.0).units == units


@pytest.mark.long
def test_a_task_that_the_baseline_does_not_learn_is_dropped_and_not_run(tmp_path: Path) -> None:
    lab = Scripted(floors={"arithmetic": 0.1, "xml": 1.0})
    store = searched(tmp_path, lab, SPACE, one_of(30))
    status = board.status(store, SPACE)
    assert len(status.dropped) == 1
    assert "xml" in status.dropped[0]
    assert "1.0000" in status.dropped[0]
    assert {task for mark, task, _ in lab.runs if mark not in SEEDS.values()} == {"filter", "arithmetic"}
    assert any(row.rank and not row.seed for row in table(store))


@pytest.mark.long
def test_the_margin_counts(tmp_path: Path) -> None:
    best = max(a for s in range(12) if (a := hashed(SEEDS["gru"], "xml", s)) is not None)
    for part, (floor, kept) in enumerate([(best - 0.019, False), (best - 0.021, True)]):
        lab = Scripted(floors={"arithmetic": 0.1, "xml": floor})
        store = searched(tmp_path / str(part), lab, SPACE, one_of(30), trials=0)
        baseline = records.facts(store).baseline
        assert baseline is not None
        assert baseline["xml"].kept is kept


def test_where_no_task_is_learned_the_search_ends_and_says_what_to_do(tmp_path: Path) -> None:
    store = searched(tmp_path, Scripted(floors={"arithmetic": 1.0, "xml": 1.0}), SPACE, one_of(30))
    stopped = records.facts(store).stopped
    assert "learns none of the tasks" in stopped
    assert "more epochs" in stopped
    assert not trials(store)
    with pytest.raises(RunError, match="learns none"):
        records.extend(store, Target(100))


@pytest.mark.long
def test_a_mutant_below_the_filter_is_thrown_out_after_one_setting(tmp_path: Path) -> None:
    def accuracy(mark: str, task: str, setting: int) -> float | None:
        return 0.9499 if task == "filter" else hashed(mark, task, setting)

    lab = Scripted(accuracy)
    store = searched(tmp_path, lab, SPACE, one_of(1_000), trials=9)
    assert all((row.outcome, row.task) == ("filtered", "filter") for row in trials(store))
    assert len([mark for mark, task, _ in lab.runs if task == "filter" and mark not in SEEDS.values()]) == 9
    assert {task for mark, task, _ in lab.runs if mark not in SEEDS.values()} == {"filter"}


def test_exactly_the_asked_accuracy_passes_the_filter(tmp_path: Path) -> None:
    def accuracy(mark: str, task: str, setting: int) -> float | None:
        return 0.95 if task == "filter" else 0.5

    lab = Scripted(accuracy)
    store = searched(tmp_path, lab, SPACE, one_of(1_000), trials=3)
    assert [row.outcome for row in trials(store)] == ["ranked"] * 3


@pytest.mark.long
def test_a_discarded_cell_may_come_again_but_with_another_setting(tmp_path: Path) -> None:
    def accuracy(mark: str, task: str, setting: int) -> float | None:
        return 0.1 if task == "filter" else hashed(mark, task, setting)

    lab = Scripted(accuracy)
    store = searched(tmp_path, lab, space_of(failures=3), one_of(1), trials=20)
    own = [s for mark, task, s in lab.runs if task == "filter" and mark not in SEEDS.values()]
    assert sorted(own) == list(range(12))
    outcomes = [row.outcome for row in trials(store)]
    assert (
        outcomes == ["filtered"] * 12 + ["failed"] * 3
    )  # then there is nothing left, and the search says so
    assert "nothing left to evaluate" in records.facts(store).stopped


def test_a_cell_that_passed_skips_the_filter_when_it_comes_again(tmp_path: Path) -> None:
    def accuracy(mark: str, task: str, setting: int) -> float | None:
        if task == "filter":
            return 1.0
        return 0.5 if mark in SEEDS.values() else 0.4  # never above 0.45: not listed, so not refined

    lab = Scripted(accuracy)
    store = searched(tmp_path, lab, SPACE, one_of(1), trials=3)
    assert Counter(task for mark, task, _ in lab.runs if mark not in SEEDS.values()) == {
        "filter": 1,
        "arithmetic": 12,
    }
    assert [(row.kind, row.outcome, row.task) for row in trials(store)] == [
        ("propose", "filtered", "arithmetic")
    ] * 3


@pytest.mark.long
def test_stages_follow_only_above_nine_tenths_of_the_unit(tmp_path: Path) -> None:
    ratios = {fingerprint(variant(n)): ratio for n, ratio in enumerate([0.9, 0.91, 1.2])}

    def accuracy(mark: str, task: str, setting: int) -> float | None:
        if mark in SEEDS.values():
            return 0.5
        return 1.0 if task == "filter" else 0.5 * ratios[mark] * (0.95 if task == "xml" else 1.0)

    lab = Scripted(accuracy)
    store = searched(tmp_path, lab, space_of(refine=0), one_of(3), trials=8)
    status = {row.fingerprint: row.status for row in table(store)}
    low, middle, high = ratios
    assert status[low] == "filtered at arithmetic"
    assert status[middle] == "filtered at xml"
    assert status[high] == "ranked"
    assert not any(run[:2] == (low, "xml") for run in lab.runs)
    assert next(row.score for row in table(store) if row.fingerprint == high) == pytest.approx(1.14)


@pytest.mark.long
def test_a_refinement_runs_fresh_settings_on_every_task(tmp_path: Path) -> None:
    def accuracy(mark: str, task: str, setting: int) -> float | None:
        return 1.0 if task == "filter" else 0.5 + setting / 1_000

    lab = Scripted(accuracy)
    store = searched(tmp_path, lab, space_of(refine=1), one_of(1_000), trials=7)
    kinds = [row.kind for row in trials(store)]
    assert kinds == [
        "propose",
        "refine",
        "refine",
        "propose",
        "refine",
        "refine",
        "propose",
    ]  # 3 x 4 is the grid
    for row in trials(store):
        with transactions.reading(store.engine, store.url) as connection:
            claimed = connection.execute(
                select(schema.claims)
                .where(schema.claims.c.trial == row.trial)
                .order_by(schema.claims.c.place)
            ).all()
        by_task: dict[str, list[str]] = {}
        for claim in claimed:
            by_task.setdefault(claim.task, []).append(claim.setting)
        by_task.pop("filter", None)
        assert {task: len(settings) for task, settings in by_task.items()} == {"arithmetic": 4, "xml": 4}


@pytest.mark.long
def test_settings_of_the_tasks_are_independent(tmp_path: Path) -> None:
    lab = Scripted(lambda mark, task, setting: 1.0 if task == "filter" else 0.5)
    searched(tmp_path, lab, space_of(refine=0), one_of(1_000), trials=20)
    same = 0
    for mark in {mark for mark, _, _ in lab.runs} - set(SEEDS.values()):
        first, second = (
            {s for m, t, s in lab.runs if (m, t) == (mark, task)} for task in ("arithmetic", "xml")
        )
        same += first == second
    assert same < 5


@pytest.mark.long
def test_no_cell_runs_a_setting_twice_even_when_all_is_run(tmp_path: Path) -> None:
    lab = Scripted()
    store = searched(tmp_path, lab, space_of(failures=2), one_of(7), trials=400)
    assert len(set(lab.runs)) == len(lab.runs)
    assert "nothing left to evaluate" in records.facts(store).stopped
    recorded = [
        (row.fingerprint, row.task, PLACES[outcome["setting"]])
        for row in stages(store)
        for outcome in json.loads(row.outcomes)
    ]
    assert sorted(recorded) == sorted(lab.runs)


@pytest.mark.long
def test_the_same_seed_is_the_same_search_and_another_is_another(tmp_path: Path) -> None:
    runs = []
    for part, seed in enumerate([1, 1, 2]):
        lab = Scripted()
        searched(tmp_path / str(part), lab, SPACE, one_of(100), trials=9, seed=seed)
        runs.append(lab.runs)
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


class Killed(BaseException):
    """As abrupt as a signal, for the code in between."""


def gave_up(store: Store) -> list[int]:
    """Another process takes the trials away from the worker of this one."""
    return heartbeat.leave(store, [heartbeat.myself("worker").id], "other", failures=10)


@pytest.mark.long
def test_a_search_that_dies_at_every_evaluation_is_the_search_that_does_not(tmp_path: Path) -> None:
    whole = Scripted()
    expected = searched(tmp_path / "whole", whole, SPACE, one_of(20), trials=9)
    seen: list[int] = []
    late = False

    def die(mark: str, task: str) -> None:
        nonlocal late
        late = not late
        if late:  # every other call: before anything is evaluated
            raise Killed

    (tmp_path / "dying").mkdir()
    lab = Scripted(before=die)
    store = new_study(tmp_path / "dying", SPACE, 9)
    while len(seen) < 500:
        try:
            work(store, SPACE, lab, one_of(20))
            break
        except Killed:
            seen.append(len(lab.runs))
            assert gave_up(store)
    assert len(seen) > 15
    assert lab.runs == whole.runs
    assert table(store) == table(expected)


@pytest.mark.long
def test_a_search_that_dies_between_evaluation_and_record_runs_that_again_and_differs_in_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = searched(tmp_path / "whole", Scripted(), SPACE, one_of(20), trials=9)
    deaths = Counter[str]()

    def die(name: str) -> None:
        deaths[name] += 1
        if deaths[name] % 3 == 1:
            raise Killed

    monkeypatch.setattr(runner, "failpoint", die)
    (tmp_path / "dying").mkdir()
    store = new_study(tmp_path / "dying", SPACE, 9)
    for _ in range(500):
        try:
            work(store, SPACE, Scripted(), one_of(20))
            break
        except Killed:
            gave_up(store)
    assert set(deaths) == {"after-decide", "after-claim", "after-evaluate", "after-commit", "after-finish"}
    assert table(store) == table(expected)


@pytest.mark.long
def test_a_cell_that_cannot_be_used_is_a_failed_trial_with_its_cause(tmp_path: Path) -> None:
    def refuse(mark: str, task: str) -> None:
        if mark not in SEEDS.values() and task == "arithmetic":
            raise CellError("too deep for the compiler")

    store = searched(tmp_path, Scripted(before=refuse), SPACE, one_of(1_000), trials=8)
    failed = [row for row in trials(store) if row.outcome == "failed"]
    assert failed
    assert {row.cause for row in failed} == {"too deep for the compiler"}
    assert all(row.attempts == 0 for row in failed)


@pytest.mark.long
def test_a_defect_is_tried_again_and_then_a_failure_with_its_cause(tmp_path: Path) -> None:
    calls = Counter[str]()

    def crash(mark: str, task: str) -> None:
        calls[mark] += task == "filter"
        if task == "filter" and len(calls) - 2 == 2:
            raise ZeroDivisionError("of the second mutant")

    store = new_study(tmp_path, SPACE, 4)
    with pytest.raises(ZeroDivisionError):  # three in a row: the process may be broken, another one goes on
        work(store, SPACE, Scripted(before=crash), one_of(1_000))
    work(store, SPACE, Scripted(), one_of(1_000))
    states = [(row.outcome, row.attempts, row.cause) for row in trials(store)]
    failed = [state for state in states if state[0] == "failed"]
    assert failed == [("failed", 3, "the worker crashed 3 times: ZeroDivisionError: of the second mutant")]
    assert len(states) == 4


def test_on_an_accelerator_the_first_defect_ends_the_process(tmp_path: Path) -> None:
    calls: list[str] = []

    def crash(mark: str, task: str) -> None:
        calls.append(task)
        raise RuntimeError("device-side assert")

    store = new_study(tmp_path, SPACE, 4)
    heart = heartbeat.Heart(store, heartbeat.myself("worker"), 9)
    with pytest.raises(RuntimeError, match="device-side assert"):
        worker.work(store, SPACE, Scripted(before=crash), one_of(9), heart, crashes_allowed=1)
    assert calls == ["arithmetic"]
    assert rows(store)[0].attempts == 1
    assert (rows(store)[0].outcome, rows(store)[0].owner) == ("", "")


class Failing(Scripted):
    """Where another laboratory diverges, this one runs out of memory."""

    def evaluate(self, cell: Cell, task: str, settings: Sequence[str], seed: int, say: Say) -> list[Outcome]:
        return [
            replace(outcome, status="failed", cause="out of memory") if outcome.accuracy is None else outcome
            for outcome in super().evaluate(cell, task, settings, seed, say)
        ]


def without_a_task(mark: str, task: str, setting: int) -> float | None:
    """Mutants have no accuracy on any task."""
    return 0.5 if mark in SEEDS.values() else 1.0 if task == "filter" else None


def test_failures_in_a_row_end_the_search_with_the_first_cause(tmp_path: Path) -> None:
    store = searched(tmp_path, Failing(without_a_task), space_of(failures=4), one_of(1_000), trials=50)
    known = records.facts(store)
    assert [(row.outcome, row.task) for row in trials(store)] == [("failed", "arithmetic")] * 4
    assert known.stopped == ("4 evaluations in a row failed; the first one: failed: out of memory")
    records.extend(store, Target(50))
    assert records.facts(store).stopped == ""  # a new search may try again


@pytest.mark.long
def test_a_cell_whose_settings_all_diverge_is_filtered_there_and_is_no_failure(tmp_path: Path) -> None:
    store = searched(tmp_path, Scripted(without_a_task), space_of(failures=2), one_of(1_000), trials=9)
    assert [(row.outcome, row.task, row.cause) for row in trials(store)] == [
        ("filtered", "arithmetic", "diverged: loss non-finite in epoch 1")
    ] * 9
    assert not records.facts(store).stopped
    counts = board.status(store, SPACE).counts
    assert (counts.trials, counts.filtered, counts.failed, counts.diverged) == (9, 9, 0, 36)


def test_a_baseline_that_fails_everywhere_ends_the_search(tmp_path: Path) -> None:
    store = searched(tmp_path, Failing(lambda *_: None), space_of(failures=4), one_of(9), trials=50)
    assert "4 evaluations in a row" in records.facts(store).stopped
    assert not trials(store)
    counts = board.status(store, SPACE).counts
    assert (counts.baseline, counts.told) == (4, 0)


@pytest.mark.long
def test_a_baseline_that_diverges_everywhere_has_no_failed_piece_and_learns_no_task(tmp_path: Path) -> None:
    store = searched(tmp_path, Scripted(lambda *_: None), space_of(failures=4), one_of(9), trials=50)
    assert "learns none of the tasks" in records.facts(store).stopped
    assert not trials(store)
    assert [row.outcome for row in rows(store)] == [*["baseline"] * 6, "failed"] * 2
    counts = board.status(store, SPACE).counts
    assert (counts.pieces, counts.baseline, counts.seeds, counts.told, counts.failed) == (12, 12, 2, 2, 2)


@pytest.mark.long
def test_a_diverged_filter_run_filters_and_does_not_fail(tmp_path: Path) -> None:
    lab = Scripted(lambda mark, task, setting: None if task == "filter" else 0.5)
    store = searched(tmp_path, lab, space_of(failures=2), one_of(1_000), trials=6)
    assert {(row.outcome, row.cause) for row in trials(store)} == {
        ("filtered", "diverged: loss non-finite in epoch 1")
    }


@pytest.mark.long
def test_a_setting_that_diverges_costs_nothing_but_itself(tmp_path: Path) -> None:
    def accuracy(mark: str, task: str, setting: int) -> float | None:
        if task == "filter":
            return 1.0
        return None if mark not in SEEDS.values() and setting % 2 else 0.5

    store = searched(tmp_path, Scripted(accuracy), space_of(refine=0), one_of(1_000), trials=10)
    ranked = [row for row in table(store) if row.rank and not row.seed]
    assert ranked
    assert all(
        result.setting is not None and PLACES[result.setting] % 2 == 0
        for row in ranked
        for result in row.tasks
    )


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_is_a_status(bad: float) -> None:
    for outcome in (Outcome(KEYS[0], "done", bad, 1.0, 1, 8, 9), Outcome(KEYS[0], "done", 0.5, bad, 1, 8, 9)):
        found = checked(outcome)
        assert (found.status, found.accuracy, found.loss) == ("diverged", None, None)
        assert "not finite" in found.cause
    assert checked(Outcome(KEYS[0], "diverged", bad, bad, 1, 8, 9)).accuracy is None


@pytest.mark.long
def test_a_childs_settings_come_from_its_parent_the_seeds_and_chance(tmp_path: Path) -> None:
    def accuracy(mark: str, task: str, setting: int) -> float | None:
        return 1.0 if task == "filter" else 0.5 + (0.1 if setting in (3, 5) else 0.0)

    lab = Scripted(accuracy)
    space = space_of(refine=0, best=2, settings=6)
    searched(tmp_path, lab, space, one_of(1_000), trials=10)
    marks = dict.fromkeys(mark for mark, task, _ in lab.runs if task == "filter")
    for mark in marks:  # a third, two of six, come from the two best settings of the seeds
        for task in ("arithmetic", "xml"):
            assert {3, 5} <= {s for m, t, s in lab.runs if (m, t) == (mark, task)}


def test_other_data_than_the_studys_is_refused(tmp_path: Path) -> None:
    store = new_study(tmp_path, SPACE)
    lab = Scripted(data=DIGESTS | {"xml": "c" * 64})
    with pytest.raises(RunError, match=r"data of xml .* differs from the data of the study 's'"):
        work(store, SPACE, lab, one_of(3))


def test_an_error_for_people_ends_the_worker(tmp_path: Path) -> None:
    def gone(mark: str, task: str) -> None:
        raise DataError("the file is gone")

    with pytest.raises(DataError, match="gone"):
        searched(tmp_path, Scripted(before=gone), SPACE, one_of(3))


@pytest.mark.long
def test_the_list_is_what_parents_come_from(tmp_path: Path) -> None:
    seen: set[str] = set()

    def propose(cell: Cell, rng: np.random.Generator) -> tuple[Cell, Sequence[Any]]:
        seen.add(fingerprint(cell))
        return one_of(1_000)(cell, rng)

    store = searched(tmp_path, Scripted(), space_of(list=1, refine=0), propose, trials=20)
    best = [row.fingerprint for row in table(store) if row.rank]
    assert SEEDS["gru"] in seen
    assert SEEDS["lstm"] not in seen  # second after the baseline, so never on a list of one
    assert len(best) >= 2


@pytest.mark.long
def test_lineage_is_recorded(tmp_path: Path) -> None:
    store = searched(tmp_path, Scripted(), space_of(refine=0), one_of(1_000), trials=6)
    mutants = [cell for cell in cellrecords.recorded_cells(store) if not cell.seed]
    assert [cell.name for cell in mutants] == [f"m{n}" for n in range(2, 8)]
    assert all(cell.text.startswith(f"cell {cell.name}(x; h)") for cell in mutants)
    assert {cell.parent for cell in mutants} <= {row.fingerprint for row in table(store)}
    assert all(json.loads(cell.edits)[0]["to"] >= 0 for cell in mutants)


class Slow(Scripted):
    """Comes to a second epoch on some stages only when their time is up."""

    def evaluate(self, cell: Cell, task: str, settings: Sequence[str], seed: int, say: Say) -> list[Outcome]:
        if task == "xml" and fingerprint(cell) not in SEEDS.values():
            time.sleep(0.25)
            say("epoch 2")
        return super().evaluate(cell, task, settings, seed, say)


LIMITED = replace(SPACE, budget=replace(SPACE.budget, stage_hours=0.2 / 3600))


@pytest.mark.long
def test_a_stage_that_takes_too_long_has_failed_and_the_worker_goes_on(tmp_path: Path) -> None:
    lab = Slow(lambda mark, task, setting: 1.0 if task == "filter" else 0.5)
    store = searched(tmp_path, lab, LIMITED, one_of(1_000), trials=4)
    found = [(row.outcome, row.task, row.cause, row.attempts) for row in trials(store)]
    cause = "failed: the stage took longer than 5.55556e-05 hours (budget.stage_hours)"
    assert found == [("failed", "xml", cause, 0)] * 4  # and its arithmetic is on record
    assert {task for mark, task, _ in lab.runs if mark not in SEEDS.values()} == {"filter", "arithmetic"}
    counts = board.status(store, LIMITED).counts
    assert (counts.trials, counts.failed, counts.diverged) == (4, 4, 16)
    assert not any(row.rank for row in table(store) if not row.seed)


def test_a_stage_that_failed_is_not_run_again_after_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = Slow(lambda mark, task, setting: 1.0 if task == "filter" else 0.5)
    store = new_study(tmp_path, LIMITED, 1)

    def die(name: str) -> None:
        if name == "after-commit" and any(row.task == "xml" and row.trial >= 2 for row in stages(store)):
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(runner, "failpoint", die)
        work(store, LIMITED, lab, one_of(9))
    gave_up(store)
    runs = len(lab.runs)
    work(store, LIMITED, lab, one_of(9))
    assert len(lab.runs) == runs
    assert [(row.outcome, row.task) for row in trials(store)] == [("failed", "xml")]


def stages(store: Store) -> list[Any]:
    with transactions.reading(store.engine, store.url) as connection:
        return list(connection.execute(select(schema.stages)))


def test_a_stage_ends_in_one_way_only() -> None:
    done: list[str] = []

    def away() -> None:
        raise Unavailable("the database is away")

    with Deadline(60.0, lambda: done.append("given up"), lambda: done.append("ended"), 0.0) as one:
        one.check()
        one.enforce()
    one.enforce()  # after it has ended
    assert done == []
    with Deadline(-1.0, lambda: done.append("given up"), lambda: done.append("ended"), 0.0) as one:
        with pytest.raises(Overdue):
            one.check()
    assert done == []
    with pytest.raises(Overdue), Deadline(-1.0, away, lambda: done.append("ended"), 0.0) as one:
        with pytest.raises(Unavailable):
            one.enforce()  # it may be recorded by now: what comes out of training counts no more
    with (
        pytest.raises(Overdue),
        Deadline(-1.0, lambda: done.append("given up"), lambda: done.append("end"), 0.0) as one,
    ):
        one.enforce()
    assert done == ["given up", "end"]
