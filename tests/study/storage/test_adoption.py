"""A worker may end between any two writes: another one continues its trials, and nothing differs."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cellsearch.study.leaderboard import board
from cellsearch.study.space import Space
from cellsearch.study.storage import endings, heartbeat, trials
from cellsearch.study.storage.driver import Driver
from cellsearch.study.storage.heartbeat import Heart, Worker
from cellsearch.study.storage.rdb import CellStorage
from cellsearch.study.system.failpoint import VARIABLE
from cellsearch.study.tables import records
from cellsearch.study.tables.transactions import Store
from cellsearch.study.tables.work_items import Item
from cellsearch.study.workers import worker
from cellsearch.study.workers.trial import runner
from tests.study.dying import Killed, kept_dying
from tests.study.scripted import (
    Scripted,
    based,
    drivers,
    hashed,
    new_study,
    one_of,
    space_of,
    take_one,
    uniform,
)
from tests.study.storage.snapshots import plain, result_of, rows, snapshot

SPACE = space_of(settings=6, refine=0.5)
TRIALS = 7
MUTANTS = 12


def accuracy(mark: str, task: str, setting: int) -> float | None:
    """As scripted, but most cells pass the filter: some are ranked and refined."""
    return 0.99 if task == "filter" and uniform(mark) < 0.55 else hashed(mark, task, setting)


def once(store: Store, lab: Scripted, name: str, space: Space = SPACE) -> None:
    """One worker of this name, until nothing is left."""
    heart = Heart(store, Worker(name, "worker", "elsewhere", 1, "1"), space.strategy.failures)
    worker.work(store, space, lab, one_of(MUTANTS), heart)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[Any]]:
    """A search that nothing interrupts: what is recorded, and what was run."""
    store, lab = new_study(tmp_path_factory.mktemp("whole"), SPACE, TRIALS), Scripted(accuracy)
    once(store, lab, "one")
    return snapshot(store), lab.runs


def each_write(monkeypatch: pytest.MonkeyPatch, die: Callable[[str, str], None]) -> None:
    """Calls `die(write, when)` around each write of a worker: before it begins, when all is written and not yet
    committed (`within`), and after its commit. A write is known by its function, its item and its stage."""
    current = [""]

    def named(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(driver: Driver, *arguments: Any, **keys: Any) -> Any:
            item = arguments[0] if arguments and isinstance(arguments[0], Item) else None
            place = "" if item is None else f" {item.trial}-{item.piece}"
            stage = arguments[1] if name in ("claim", "commit") else ""
            before, current[0] = current[0], f"{name}{place} {stage}".strip()
            try:
                return function(driver, *arguments, **keys)
            finally:
                current[0] = before

        return call

    for module, name in ((trials, "decide"), (trials, "claim"), (trials, "commit"), (endings, "finish")):
        monkeypatch.setattr(module, name, named(name, getattr(module, name)))
    create, prepare = CellStorage.create_new_trial, CellStorage._get_prepared_new_trial

    def created(self: CellStorage, *arguments: Any) -> int:
        if self.sessions.joined is not None:
            return create(self, *arguments)
        die("create", "before")
        number = create(self, *arguments)
        die("create", "after")
        return number

    def prepared(self: CellStorage, *arguments: Any) -> Any:
        trial = prepare(self, *arguments)
        die("create", "within")
        return trial

    monkeypatch.setattr(CellStorage, "create_new_trial", created)
    monkeypatch.setattr(CellStorage, "_get_prepared_new_trial", prepared)
    for kind in ("apart", "writing"):
        original = getattr(Driver, kind)

        def transaction(self: Driver, original: Any = original) -> Any:
            write = current[0] or "report of a seed"
            return Around(original(self), write, die)

        monkeypatch.setattr(Driver, kind, transaction)


def dies(when: str) -> Callable[[str, str], None]:
    """At every write."""

    def die(write: str, now: str) -> None:
        if now == when:
            raise Killed

    return die


class Around:
    """A transaction, and `die` around it."""

    def __init__(self, inner: Any, write: str, die: Callable[[str, str], None]) -> None:
        self.inner, self.write, self.die = inner, write, die

    def __enter__(self) -> Any:
        self.die(self.write, "before")
        return self.inner.__enter__()

    def __exit__(self, kind: Any, value: Any, trace: Any) -> Any:
        if kind is None:
            try:
                self.die(self.write, "within")
            except Killed as killed:
                assert not self.inner.__exit__(Killed, killed, killed.__traceback__)
                raise
        found = self.inner.__exit__(kind, value, trace)
        if kind is None:
            self.die(self.write, "after")
        return found


@pytest.mark.long
@pytest.mark.parametrize("when", ["before", "within", "after"])
def test_a_worker_killed_at_each_of_its_writes_leaves_a_trial_that_another_one_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: tuple[dict[str, Any], list[Any]], when: str
) -> None:
    """Once at each write: the worker after it gets past that one."""
    killed = Counter[str]()

    def die(write: str, now: str) -> None:
        if now == when and not killed[write]:
            killed[write] += 1
            raise Killed

    store, lab = new_study(tmp_path, SPACE, TRIALS), Scripted(accuracy)
    with monkeypatch.context() as patch:
        each_write(patch, die)
        deaths = kept_dying(store, lambda name: once(store, lab, name))
    assert deaths == len(killed)
    names = {write.split()[0] for write in killed}
    assert names == {"create", "decide", "claim", "commit", "finish", "report"}
    assert sum(write.startswith("finish") for write in killed) == 2 * (2 * 2 + 1) + TRIALS
    recorded, runs = whole
    assert snapshot(store) == recorded
    if when == "after":
        assert lab.runs == runs  # nothing was run twice
    else:  # a result that was not recorded is run again, once
        assert Counter(lab.runs) == Counter([*runs, *runs])


@pytest.mark.long
def test_a_worker_killed_at_its_failpoints_leaves_a_trial_that_another_one_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: tuple[dict[str, Any], list[Any]]
) -> None:
    reached = Counter[str]()

    def die(name: str) -> None:
        reached[name] += 1
        if reached[name] % 3 != 0:  # twice, and then it gets on
            raise Killed

    store, lab = new_study(tmp_path, SPACE, TRIALS), Scripted(accuracy)
    monkeypatch.setattr(runner, "failpoint", die)
    assert kept_dying(store, lambda name: once(store, lab, name)) > 50
    assert set(reached) == {"after-decide", "after-claim", "after-evaluate", "after-commit", "after-finish"}
    assert snapshot(store) == whole[0]
    assert set(lab.runs) == set(whole[1])


def test_a_trial_is_adopted_after_one_that_was_taken_later_and_before_a_new_one(tmp_path: Path) -> None:
    store = based(tmp_path, SPACE, 5)
    of = drivers(store)
    items = {name: take_one(of(name)) for name in ("a", "b", "c")}
    endings.release(store, ["b", "c"], "other", failures=9)
    assert take_one(of("a")) == items["a"]  # its own open item first
    assert take_one(of("d")) == items["b"]  # then the first without an owner
    assert take_one(of("e")) == items["c"]
    assert take_one(of("f")).trial == 5  # then a new one


def test_a_success_ends_a_series_of_failures_in_the_transaction_that_records_it(tmp_path: Path) -> None:
    store = based(tmp_path, SPACE, 9)
    driver = drivers(store)("me")

    def finish(outcome: str, item: Item) -> None:
        score = 1.0 if outcome == "ranked" else None
        trial = driver.trial(item.trial_id)
        endings.finish(driver, item, outcome, trial=trial, cause=outcome, score=score, failures=9)

    finish("failed", take_one(driver))
    finish("failed", take_one(driver))
    item = take_one(driver)
    assert rows(store)["cellsearch_study"][0]["streak"] == 2
    with pytest.MonkeyPatch.context() as patch:
        each_write(patch, dies("within"))
        with pytest.raises(Killed):
            finish("ranked", item)
    assert rows(store)["cellsearch_study"][0]["streak"] == 2
    with pytest.MonkeyPatch.context() as patch:
        each_write(patch, dies("after"))
        with pytest.raises(Killed):
            finish("ranked", item)
    assert rows(store)["cellsearch_study"][0]["streak"] == 0


CODE = """
import sys
from pathlib import Path
from cellsearch.study.tables import records
from tests.study.storage import test_adoption as here
store = records.open_study(sys.argv[1], "s")
here.once(store, here.Scripted(here.accuracy), sys.argv[2])
"""


@pytest.mark.long
@pytest.mark.parametrize(
    "point", ["after-decide", "after-claim", "after-evaluate", "after-commit", "after-finish"]
)
def test_a_process_that_is_killed_is_followed_by_another_one(
    tmp_path: Path, whole: tuple[dict[str, Any], list[Any]], point: str
) -> None:
    store = new_study(tmp_path, SPACE, TRIALS)
    count = 3 if point == "after-decide" else 12
    command = [sys.executable, "-c", CODE, store.url]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), VARIABLE: f"{point}:kill:{count}"}
    killed = subprocess.run([*command, "a"], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    endings.release(store, ["a"], "other", failures=9)
    subprocess.run([*command, "b"], env=environment | {VARIABLE: ""}, check=True)
    assert snapshot(store) == whole[0]


def test_a_trial_of_which_a_third_worker_crashes_has_failed_in_both(tmp_path: Path) -> None:
    store = based(tmp_path, SPACE, 2)

    def crash(mark: str, task: str) -> None:
        raise Killed

    for name in ("a", "b", "c"):
        with pytest.raises(Killed):
            once(store, Scripted(accuracy, before=crash), name)
        assert [trial.state.name for trial in plain(store).trials[2:]] == ["RUNNING"]
        heartbeat.leave(store, [name], "other", crash="signal 9", failures=9)
    (failed,) = plain(store).trials[2:]
    assert failed.state.name == "FAIL"
    assert result_of(failed)["cause"] == "the worker crashed 3 times: signal 9"
    once(store, Scripted(accuracy), "d")
    counts = board.status(store, SPACE).counts
    assert (counts.trials, counts.failed) == (2, 1)
    assert [trial.state.name for trial in plain(store).trials[2:]].count("FAIL") == 1
    assert not records.facts(store).stopped


def test_what_is_compared_is_text_and_numbers(whole: tuple[dict[str, Any], list[Any]]) -> None:
    recorded, runs = whole
    assert {len(recorded["cellsearch_item"]), len(recorded["optuna"])} == {10 + TRIALS, 2 + TRIALS}
    assert len(set(runs)) == len(runs) > 100
    outcomes = {row["outcome"] for row in recorded["cellsearch_item"]}
    assert outcomes == {"baseline", "ranked", "filtered"}
    kinds = {row["kind"] for row in recorded["cellsearch_item"]}
    assert kinds == {"baseline", "seed", "propose", "refine"}
    assert json.loads(recorded["cellsearch_study"][0]["baseline"])
