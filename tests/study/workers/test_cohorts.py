"""A worker with several trials at once: the same search across kills, and a trial that fails takes no other with it."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from optuna.trial import Trial

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.errors import CellError, DataError
from cellsearch.study.leaderboard import board
from cellsearch.study.space import Space, load_space, parse_space
from cellsearch.study.storage import endings, heartbeat, queue
from cellsearch.study.storage.create import create
from cellsearch.study.storage.driver import report
from cellsearch.study.storage.heartbeat import Heart, Worker
from cellsearch.study.system import stage_timeout
from cellsearch.study.system.failpoint import VARIABLE
from cellsearch.study.tables import records
from cellsearch.study.tables.database import Unavailable
from cellsearch.study.tables.study_facts import Identity, Target
from cellsearch.study.tables.transactions import Store
from cellsearch.study.workers import retry, worker
from cellsearch.study.workers.cohorts import rounds, sizes
from cellsearch.study.workers.cohorts.training import Trainer
from cellsearch.study.workers.evaluator import Alone, Evaluator, Place, Say, TorchEvaluator, real_propose
from cellsearch.study.workers.run import seeds_of
from cellsearch.study.workers.trial import runner
from cellsearch.study.workers.trial.walk import Claimed
from tests.study.scripted import (
    SEEDS,
    TEXT,
    Scripted,
    based,
    hashed,
    items_of,
    new_study,
    one_of,
    space_of,
    uniform,
)
from tests.study.storage.snapshots import snapshot

SPACE = space_of(settings=6, refine=0.5)
MANY = 1_000


def accuracy(mark: str, task: str, setting: int) -> float | None:
    """As scripted, but most cells pass the filter: some are ranked and refined."""
    return 0.99 if task == "filter" and uniform(mark) < 0.55 else hashed(mark, task, setting)


def once(
    store: Store,
    lab: Evaluator,
    size: int,
    name: str = "w",
    space: Space = SPACE,
    mutants: int = 12,
    **more: Any,
) -> None:
    """One worker with that many trials at once, until nothing is left."""
    heart = Heart(store, Worker(name, "worker", "elsewhere", 1, "1"), space.strategy.failures)
    worker.work(store, space, lab, one_of(mutants), heart, cohort=size, **more)


@dataclass
class InTurns(Scripted):
    """One that trains side by side, as on a GPU: a stage takes as many turns as its hash says."""

    room: float | None = None

    def place(self) -> Place:
        return Place(room=self.room, in_turns=True)

    def needed(self, cell: Cell, task: str, settings: Sequence[str]) -> float:
        return 1.0

    def training(
        self, cell: Cell, task: str, settings: Sequence[str], seed: int, say: Say, alone: Alone
    ) -> Iterator[None]:
        for _ in range(1 + int(9 * uniform("turns", fingerprint(cell), task, *settings))):
            yield
        return self.evaluate(cell, task, settings, seed, say)  # type: ignore[return-value]


def without_attempts(found: dict[str, Any]) -> dict[str, Any]:
    """A snapshot without the crashes that were counted."""
    for row in found["cellsearch_item"]:
        row.pop("attempts", None)
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[Any]]:
    """A search with four trials at once that nothing interrupts: what is recorded, and what was run."""
    store, lab = new_study(tmp_path_factory.mktemp("whole"), SPACE, 18), InTurns(accuracy)
    once(store, lab, 4)
    return without_attempts(snapshot(store)), lab.runs


@pytest.mark.long
def test_all_is_run_once_and_told_up_to_the_target(whole: tuple[dict[str, Any], list[Any]]) -> None:
    recorded, runs = whole
    assert len(set(runs)) == len(runs)
    states = Counter(trial["state"] for trial in recorded["optuna"])
    assert sum(states.values()) == 2 + 18 and set(states) == {"COMPLETE", "PRUNED"}
    kinds = Counter(row["kind"] for row in recorded["cellsearch_item"])
    assert kinds["propose"] + kinds["refine"] == 18 and kinds["refine"] > 2
    assert {row["outcome"] for row in recorded["cellsearch_item"]} == {"baseline", "ranked", "filtered"}


@pytest.mark.long
def test_one_after_the_other_or_side_by_side_is_the_same_search(
    tmp_path: Path, whole: tuple[dict[str, Any], list[Any]]
) -> None:
    """The order in which trainings end decides nothing."""
    labs = (Scripted(accuracy), InTurns(accuracy, room=2.0))
    for k, lab in enumerate(labs):
        (tmp_path / str(k)).mkdir()
        store = new_study(tmp_path / str(k), SPACE, 18)
        once(store, lab, 4)
        assert without_attempts(snapshot(store)) == whole[0]
        assert sorted(lab.runs) == sorted(whole[1])
    assert labs[0].runs != labs[1].runs


@pytest.mark.long
def test_another_size_is_another_search_and_one_is_that_without_a_cohort(
    tmp_path: Path, whole: tuple[dict[str, Any], list[Any]]
) -> None:
    found = []
    for k, size in enumerate((1, 1, 3)):
        (tmp_path / str(k)).mkdir()
        store = new_study(tmp_path / str(k), SPACE, 18)
        if k == 0:
            heart = Heart(store, Worker("w", "worker", "elsewhere", 1, "1"), 9)
            worker.work(store, SPACE, Scripted(accuracy), one_of(12), heart)
        else:
            once(store, Scripted(accuracy), size)
        found.append(without_attempts(snapshot(store)))
    assert found[0] == found[1]
    assert found[0] != found[2] != whole[0]


class Killed(BaseException):
    """As abrupt as a signal, for the code in between."""


@pytest.mark.long
@pytest.mark.parametrize("crash", ["", "signal 9"])
def test_killed_at_its_failpoints_it_is_the_search_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: tuple[dict[str, Any], list[Any]], crash: str
) -> None:
    """With a crash counted, trials train one by one after it, and all is the same."""
    reached = Counter[str]()

    def die(name: str) -> None:
        reached[name] += 1
        if reached[name] % 9 == 1:
            raise Killed

    store, deaths = new_study(tmp_path, SPACE, 18), 0
    monkeypatch.setattr(runner, "failpoint", die)
    while deaths < 60:
        try:
            once(store, InTurns(accuracy), 4, f"w{deaths}")
            break
        except Killed:
            endings.release(store, [f"w{deaths}"], "other", crash=crash, failures=9)
            deaths += 1
    assert deaths > 12
    assert set(reached) == {"after-decide", "after-claim", "after-evaluate", "after-commit", "after-finish"}
    assert without_attempts(snapshot(store)) == whole[0]


@pytest.mark.long
def test_killed_in_the_middle_of_trainings_it_is_the_search_that_was_not(
    tmp_path: Path, whole: tuple[dict[str, Any], list[Any]]
) -> None:
    """Some of a round are recorded then, and others are trained again."""
    calls, deaths = 0, 0

    def die(mark: str, task: str) -> None:
        nonlocal calls
        calls += 1
        if calls % 5 == 0:
            raise Killed

    store = new_study(tmp_path, SPACE, 18)
    while deaths < 60:
        try:
            once(store, InTurns(accuracy, before=die), 4, f"w{deaths}")
            break
        except Killed:
            endings.release(store, [f"w{deaths}"], "other", failures=9)
            deaths += 1
    assert deaths > 8
    assert without_attempts(snapshot(store)) == whole[0]


CODE = """
import sys
from cellsearch.study.tables import records
from tests.study.workers import test_cohorts as here
store = records.open_study(sys.argv[1], "s")
here.once(store, here.InTurns(here.accuracy), 4, sys.argv[2])
"""
POINTS = (
    ("after-decide", 3), ("after-claim", 3), ("after-evaluate", 2), ("after-commit", 2), ("after-finish", 1),
    ("after-commit", 5),
)  # fmt: skip


@pytest.mark.long
def test_processes_that_are_killed_one_after_the_other_at_their_failpoints(tmp_path: Path) -> None:
    """By SIGKILL; every other crash is counted, as a supervisor does."""
    undisturbed, store = based(tmp_path / "whole", SPACE, 10), based(tmp_path / "killed", SPACE, 10)
    once(undisturbed, InTurns(accuracy), 4)
    command = [sys.executable, "-c", CODE, store.url]
    for k, (point, count) in enumerate(POINTS):
        found = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), VARIABLE: f"{point}:kill:{count}"}
        killed = subprocess.run([*command, f"w{k}"], env=found, check=False)
        assert killed.returncode == -signal.SIGKILL, (point, count)
        heartbeat.leave(store, [f"w{k}"], "other", crash="signal 9" if k % 2 else "", failures=9)
    once(store, InTurns(accuracy), 4, "last")
    assert without_attempts(snapshot(store)) == without_attempts(snapshot(undisturbed))


def mutant_runs(lab: Scripted) -> list[tuple[str, str, int]]:
    return [run for run in lab.runs if run[0] not in SEEDS.values()]


def passing(mark: str, task: str, setting: int) -> float | None:
    return 0.99 if task == "filter" else 0.8


@pytest.mark.long
def test_stages_train_together_and_the_next_ones_when_all_have_ended(tmp_path: Path) -> None:
    store, lab = based(tmp_path, SPACE, 4), InTurns(passing)
    once(store, lab, 4, mutants=MANY)
    tasks = [task for _, task, _ in mutant_runs(lab)]
    assert tasks == sorted(tasks, key=["filter", "arithmetic", "xml"].index)
    assert [row.trial for row in items_of(store)] == [2, 3, 4, 5]


def test_a_cell_that_cannot_be_used_fails_alone(tmp_path: Path) -> None:
    bad: list[str] = []

    def refuse(mark: str, task: str) -> None:
        bad[:] = bad or [mark]
        if mark == bad[0]:
            raise CellError("too deep for the compiler")

    store = based(tmp_path, SPACE, 4)
    once(store, InTurns(passing, before=refuse), 4, mutants=MANY)
    found = Counter((row.outcome, row.cause) for row in items_of(store))
    assert found == {("failed", "too deep for the compiler"): 1, ("ranked", ""): 3}


def test_a_defect_of_one_is_tried_again_and_then_its_own_failure(tmp_path: Path) -> None:
    bad: list[str] = []

    def crash(mark: str, task: str) -> None:
        bad[:] = bad or [mark]
        if mark == bad[0]:
            raise ZeroDivisionError("of the first mutant")

    store = based(tmp_path, SPACE, 4)
    with pytest.raises(ZeroDivisionError):  # three in a row: another process goes on
        once(store, InTurns(passing, before=crash), 4, mutants=MANY)
    once(store, InTurns(passing), 4, "v", mutants=MANY)
    found = Counter((row.outcome, row.cause, row.attempts) for row in items_of(store))
    lost = ("failed", "the worker crashed 3 times: ZeroDivisionError: of the first mutant", 3)
    assert found == {lost: 1, ("ranked", "", 0): 3}


@pytest.mark.long
def test_on_an_accelerator_a_defect_gives_all_back_and_the_one_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After it nothing that the process runs can be trusted, and any of the cohort may be the reason: its
    trials train one by one then."""
    bad: list[str] = []
    sizes_: list[int] = []
    real = Trainer.together

    def crash(mark: str, task: str) -> None:
        bad[:] = bad or [mark]
        if mark == bad[0]:
            raise RuntimeError("device-side assert")

    def together(self: Trainer, stages: Sequence[Claimed]) -> Any:
        sizes_.append(len(stages))
        return real(self, stages)

    monkeypatch.setattr(Trainer, "together", together)
    store, deaths = based(tmp_path, SPACE, 8), 0
    while True:
        try:
            once(store, InTurns(passing, before=crash), 8, f"w{deaths}", mutants=MANY, crashes_allowed=1)
            break
        except RuntimeError:
            deaths += 1
    assert deaths == 3
    assert sizes_[0] == 8 and set(sizes_[1:-2]) == {1} and sizes_[-2:] == [7, 7]
    found = Counter((row.outcome, row.cause, row.attempts) for row in items_of(store))
    assert found.pop(("failed", "the worker crashed 3 times: RuntimeError: device-side assert", 3)) == 1
    assert found == {("ranked", "", 0): 7}


@pytest.mark.long
def test_a_process_that_is_killed_again_and_again_by_one_cell_loses_that_one(tmp_path: Path) -> None:
    """As when the system ends whoever takes most memory: nothing is caught in the process."""
    bad: list[str] = []

    def die(mark: str, task: str) -> None:
        bad[:] = bad or [mark]
        if mark == bad[0] and task == "filter":
            raise Killed

    store, deaths = based(tmp_path, SPACE, 8), 0
    while True:
        try:
            once(store, InTurns(passing, before=die), 8, f"w{deaths}", mutants=MANY)
            break
        except Killed:
            heartbeat.leave(store, [f"w{deaths}"], "other", crash="signal 9", failures=9)
            deaths += 1
    assert deaths == 3
    found = Counter((row.outcome, row.cause) for row in items_of(store))
    assert found == {("failed", "the worker crashed 3 times: signal 9"): 1, ("ranked", ""): 7}


def test_a_trial_that_went_to_another_worker_is_dropped_and_the_others_go_on(tmp_path: Path) -> None:
    store, lab = based(tmp_path, SPACE, 4), InTurns(passing)
    taken: list[int] = []

    def lose(mark: str, task: str) -> None:
        if task == "arithmetic" and not taken:
            first = min(row.trial for row in items_of(store) if row.owner == "w")
            taken.append(first)
            item = next(i for i in items_of(store) if i.trial == first)
            endings.release(store, ["w"], "other", failures=9, among=[queue.item_of(item)])

    lab.before = lose
    once(store, lab, 4, mutants=MANY)
    assert taken == [2]
    assert [(row.trial, row.outcome) for row in items_of(store)] == [(k, "ranked") for k in (2, 3, 4, 5)]
    runs = mutant_runs(lab)
    assert len(runs) > len(set(runs)) == 4 * 13  # that of the lost one was run again


def test_an_error_for_people_ends_the_worker_and_gives_all_back(tmp_path: Path) -> None:
    def gone(mark: str, task: str) -> None:
        raise DataError("the file is gone")

    store = based(tmp_path, SPACE, 4)
    with pytest.raises(DataError, match="gone"):
        once(store, InTurns(passing, before=gone), 4, mutants=MANY)
    assert {(row.owner, row.attempts) for row in items_of(store)} == {("w", 0)}


def test_a_database_that_was_away_between_two_stages_costs_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cohort goes on from what is recorded: at the end of a round."""
    monkeypatch.setattr(retry.time, "sleep", lambda seconds: None)
    store, lab, times = based(tmp_path, SPACE, 4), InTurns(passing), Counter[str]()
    real = rounds._step

    def step(walk: Any, found: Any = None) -> Any:
        times["steps"] += 1
        if times["steps"] in (10, 17):
            raise Unavailable("the database does not answer")
        return real(walk, found)

    monkeypatch.setattr(rounds, "_step", step)
    once(store, lab, 4, mutants=MANY)
    assert [row.outcome for row in items_of(store)] == ["ranked"] * 4
    assert len(mutant_runs(lab)) - len(set(mutant_runs(lab))) <= 6


class Slow(InTurns):
    """One cell takes its time in every turn."""

    slow = ""

    def training(
        self, cell: Cell, task: str, settings: Sequence[str], seed: int, say: Say, alone: Alone
    ) -> Iterator[None]:
        self.slow = self.slow or fingerprint(cell)
        for _ in range(20):
            if fingerprint(cell) == self.slow:
                time.sleep(0.03)
            yield
        return self.evaluate(cell, task, settings, seed, say)  # type: ignore[return-value]


LIMITED = replace(SPACE, budget=replace(SPACE.budget, stage_hours=0.25 / 3600))


def test_a_stage_that_takes_too_long_has_failed_and_the_others_have_their_own_time(tmp_path: Path) -> None:
    store = based(tmp_path, SPACE, 4)
    once(store, Slow(passing), 4, space=LIMITED, mutants=MANY)
    found = Counter((row.outcome, row.cause) for row in items_of(store))
    cause = "failed: the stage took longer than 6.94444e-05 hours (budget.stage_hours)"
    assert found == {("failed", cause): 1, ("ranked", ""): 3}


def test_in_a_turn_that_does_not_end_its_stage_alone_is_given_up(tmp_path: Path) -> None:
    """What the heart does from its thread is done here from the turn that hangs."""
    store, ended = based(tmp_path, SPACE, 4), list[int]()
    heart = Heart(store, Worker("w", "worker", "h", 1, "1"), 9, end=lambda: ended.append(1))

    class Hanging(InTurns):
        hangs = ""

        def training(self, cell: Cell, task: str, *rest: Any) -> Iterator[None]:
            self.hangs = self.hangs or fingerprint(cell)
            yield
            if fingerprint(cell) == self.hangs and not ended:
                assert heart.deadline is not None
                heart.deadline._until = stage_timeout.time.monotonic() - 1e6
                heart.deadline.enforce()
            return (yield from super().training(cell, task, *rest))

    worker.work(store, SPACE, Hanging(passing), one_of(MANY), heart, cohort=4)
    assert ended == [1]
    found = Counter((row.outcome, row.task) for row in items_of(store))
    assert found == {("failed", "filter"): 1, ("ranked", ""): 3}


class Allocating(InTurns):
    """Trains on a device of `capacity` bytes, of which a cell takes as many as its hash says, in two turns."""

    capacity, taken, most, guilty = 1_000, 0, 0, ""

    def amount(self, mark: str) -> int:
        return self.capacity + 100 if mark == self.guilty else 30 + int(60 * uniform("bytes", mark))

    def training(
        self, cell: Cell, task: str, settings: Sequence[str], seed: int, say: Say, alone: Alone
    ) -> Iterator[None]:
        mark = fingerprint(cell)
        if task == "filter" and not self.guilty and mark not in SEEDS.values():
            self.guilty = mark
        held, amount = 0, self.amount(mark)
        try:
            for part in (amount // 3, amount - amount // 3):
                if self.taken + part > self.capacity:
                    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
                self.taken, held = self.taken + part, held + part
                self.most = max(self.most, self.taken)
                yield
            return (yield from super().training(cell, task, settings, seed, say, alone))
        finally:
            self.taken -= held


@pytest.mark.long
@pytest.mark.parametrize("room", [None, 20.0], ids=["unpredicted", "predicted too low"])
def test_of_sixty_four_cells_the_one_that_is_too_large_fails_and_no_other(
    tmp_path: Path, room: float | None
) -> None:
    store, lab = based(tmp_path, SPACE, 64), Allocating(lambda *_: 0.5, room=room)
    once(store, lab, 64, mutants=100_000)
    found = Counter((row.outcome, row.task, row.cause, row.attempts) for row in items_of(store))
    cause = "failed: out of memory, alone on the device: CUDA out of memory. Tried to allocate 2.00 GiB"
    assert found.pop(("failed", "filter", cause, 0)) == 1
    assert found == {("filtered", "filter", "", 0): 63}
    assert next(row.fingerprint for row in items_of(store) if row.outcome == "failed") == lab.guilty
    assert lab.taken == 0 and lab.most > 900
    assert len(mutant_runs(lab)) == len(set(mutant_runs(lab)))
    assert not records.facts(store).stopped


def test_what_a_cohort_reports_is_what_the_pruner_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two trials of one cell: each reports the best of both, whichever ended first, and reports it once."""
    store, calls = based(tmp_path, SPACE, 2), Counter[tuple[int, int]]()

    def counted(trial: Trial, step: int, value: float) -> None:
        calls[trial.number, step] += 1
        report(trial, step, value)

    def better(mark: str, task: str, setting: int) -> float:
        return 0.99 if task == "filter" else 0.75 + setting / 1_000

    monkeypatch.setattr(runner, "report", counted)
    once(store, InTurns(better), 2, mutants=1)
    proposals = [t for t in snapshot(store)["optuna"] if t["number"] >= 2]
    reports = [t["reports"] for t in proposals]
    assert len(reports) == 2 and reports[0] == reports[1] and len(reports[0]) >= 2
    assert calls == Counter({(t["number"], step): 1 for t in proposals for step in t["reports"]})


@pytest.mark.long
def test_a_target_of_proposals_is_met_exactly(tmp_path: Path) -> None:
    store = based(tmp_path, SPACE, None, proposals=11)
    once(store, InTurns(accuracy), 4, mutants=MANY)
    counts = board.status(store, SPACE).counts
    assert counts.proposals == 11 and counts.refinements > 0 and counts.free == counts.running == 0


@pytest.mark.long
def test_two_workers_with_cohorts_share_a_search(tmp_path: Path) -> None:
    """Each has four; one is gone in the middle, and the other adopts all of its trials."""
    store = based(tmp_path, SPACE, 13)

    def die(mark: str, task: str) -> None:
        if task == "xml":
            raise Killed

    with pytest.raises(Killed):
        once(store, InTurns(passing, before=die), 4, "a", mutants=MANY)
    held = [row.trial for row in items_of(store) if row.owner == "a"]
    assert len(held) == 4
    heartbeat.leave(store, ["a"], "other", crash="signal 9", failures=9)
    once(store, InTurns(passing), 4, "b", mutants=MANY)
    assert [(row.trial, row.outcome) for row in items_of(store)] == [(k, "ranked") for k in range(2, 15)]


def test_the_size_is_fixed_by_the_space_or_predicted_on_a_gpu_and_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_study(tmp_path, SPACE)
    fixed = parse_space(TEXT, overrides=["budget.cohort=7"])
    assert sizes.chosen(store, SPACE, "cpu", None, {}) == 1
    assert records.cohorts(store) == []
    asked: list[float | None] = []

    def predicted(space: Space, room: float | None, vocabularies: Any) -> int:
        asked.append(room)
        return 48

    monkeypatch.setattr(sizes, "predicted", predicted)
    assert sizes.chosen(store, SPACE, "cuda:0", 1e9, {}) == 48
    assert sizes.chosen(store, SPACE, "cuda:1", 1e3, {}) == 48  # recorded: not predicted again
    assert asked == [1e9]
    assert sizes.chosen(store, fixed, "cuda:0", 1e9, {}) == 7
    assert sizes.chosen(store, fixed, "cpu", None, {}) == 7
    assert sizes.chosen(store, SPACE, "cpu", None, {}) == 1
    assert records.cohorts(store) == [48, 7]


def test_the_predicted_size_follows_work_and_memory() -> None:
    words = {"filter": 27, "arithmetic": 40, "xml": 60}
    small = parse_space(TEXT)
    assert sizes.predicted(small, None, words) == sizes.MOST  # tiny models: as many as there may be
    assert sizes.predicted(small, 1.0, words) == 1
    large = parse_space(TEXT.replace("parameters: [100]", "parameters: [3000000]"))
    without_filter = parse_space(
        TEXT.replace("parameters: [100]", "parameters: [3000000]")
        .replace("filter: {task: memorize, settings: 1, accuracy: 0.95}\n", "")
        .replace("settings: 4", "settings: 12")
    )
    few, one = sizes.predicted(large, None, words), sizes.predicted(without_filter, None, words)
    assert 1 <= one < few < sizes.MOST
    for room in (1e9, 1e10, 1e11):
        assert 1 <= sizes.predicted(large, room, words) <= few


def test_the_cells_of_a_cohort_are_prepared_when_they_are_decided(tmp_path: Path) -> None:
    """All of them, before the first of them trains."""
    happened: list[str] = []

    class Prepared(InTurns):
        def prepare(self, cell: Cell) -> None:
            happened.append("prepare")

        def evaluate(self, cell: Cell, task: str, settings: Sequence[str], seed: int, say: Say) -> Any:
            happened.append(task)
            return super().evaluate(cell, task, settings, seed, say)

    once(new_study(tmp_path, SPACE, 4), Prepared(accuracy), 4)
    first = happened.index("prepare")
    assert happened[first : first + 4] == ["prepare"] * 4 and happened.count("prepare") == 4


SMALL = (
    *(f"tasks.{k}.options.{part}={n}" for k in range(3) for part, n in (("train", 4000), ("valid", 2000))),
    "filter.options.train=4000", "filter.options.valid=1000", "filter.accuracy=0.2", "training.max_epochs=1",
    "strategy.margin=-1", "strategy.threshold=0.5", "strategy.settings=2",
)  # fmt: skip


@pytest.mark.long
def test_real_training_is_the_same_however_it_is_shared_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other, window by window, and as many at once as are predicted to fit."""
    space, found = load_space("quick", overrides=SMALL), []
    for k, place in enumerate((Place(), Place(in_turns=True), Place(room=3e8, in_turns=True))):
        monkeypatch.setattr(TorchEvaluator, "place", lambda self, place=place: place)
        lab = TorchEvaluator(space, 5)
        (tmp_path / str(k)).mkdir()
        url = f"sqlite:///{tmp_path / str(k) / 'study.db'}"
        store = create(
            url, "s", space, Identity(space.text, 5, lab.digests()), "test", Target(8), seeds_of(space)
        )
        heart = Heart(store, Worker("w", "worker", "elsewhere", 1, "1"), 9)
        worker.work(store, space, lab, real_propose(space), heart, cohort=4)
        found.append(snapshot(store))
    assert found[0] == found[1] == found[2]
    assert Counter(row["outcome"] for row in found[0]["cellsearch_item"])["ranked"] >= 2
