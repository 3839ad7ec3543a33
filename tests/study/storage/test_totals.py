"""Totals are exact, of trials, of proposals, and of both, whatever works on a search at the same time."""

import multiprocessing
import threading
from pathlib import Path
from typing import Any

import pytest

from cellsearch.study.leaderboard import board
from cellsearch.study.storage import endings, queue, trials
from cellsearch.study.storage.driver import Driver
from cellsearch.study.storage.heartbeat import Heart, Worker
from cellsearch.study.storage.queue import Idle
from cellsearch.study.storage.trials import Proposed
from cellsearch.study.tables import database, integrity, queries, records
from cellsearch.study.tables.study_facts import Target
from cellsearch.study.tables.transactions import Store
from cellsearch.study.tables.work_items import Item
from cellsearch.study.workers import worker
from tests.study.scripted import (
    SEEDS,
    Scripted,
    based,
    drivers,
    items_of,
    new_study,
    one_of,
    space_of,
    take_one,
    work,
)
from tests.study.storage.snapshots import plain

SPACE = space_of(refine=0.5)
LAB = Scripted(
    lambda mark, task, setting: 1.0 if task == "filter" else 0.5 + setting / 100
)  # most are ranked
TARGETS = [  # trials, proposals
    pytest.param(17, None, id="trials"),
    pytest.param(None, 9, id="proposals"),
    pytest.param(17, 9, id="both"),
    pytest.param(12, 40, id="trials first"),
    pytest.param(60, 7, id="proposals first"),
]


def decided(driver: Driver, item: Item, kind: str, number: int = 1) -> Item:
    """The item, about a cell of that number, or about the GRU again."""
    mark, text = f"{number:064x}", "cell m(x; h)\nh' = x\n"
    if kind == "refine":
        mark = SEEDS["gru"]
    return trials.decide(driver, item, Proposed(kind, mark, f"{number:064d}", "m", text, SEEDS["gru"]))


def exact(store: Store, count: int | None, proposals: int | None) -> None:
    """The search has ended at the first of its totals, and in Optuna there are as many trials."""
    status = board.status(store, SPACE)
    counts = status.counts
    assert status.finished
    assert (counts.running, counts.free, counts.undecided) == (0, 0, 0)
    assert counts.trials == counts.proposals + counts.refinements
    assert count is None or counts.trials <= count
    assert proposals is None or counts.proposals <= proposals
    assert counts.trials == count or counts.proposals == proposals
    there = plain(store).trials
    assert [trial.number for trial in there] == list(range(2 + counts.trials))
    assert all(trial.state.is_finished() for trial in there)
    assert integrity.damages(store) == []


@pytest.mark.long
@pytest.mark.parametrize(("count", "proposals"), TARGETS)
def test_one_worker_ends_at_the_first_total(tmp_path: Path, count: int | None, proposals: int | None) -> None:
    store = based(tmp_path, SPACE, count, proposals)
    work(store, SPACE, LAB, one_of(1_000))
    exact(store, count, proposals)


@pytest.mark.long
@pytest.mark.parametrize(("count", "proposals"), TARGETS)
def test_threads_end_at_the_first_total(tmp_path: Path, count: int | None, proposals: int | None) -> None:
    store = based(tmp_path, SPACE, count, proposals)
    barrier, wrong = threading.Barrier(4), list[BaseException]()

    def one(name: str) -> None:
        mine = Store(database.connect(store.url), store.url, store.study, store.name)
        try:
            barrier.wait(60)
            heart = Heart(mine, Worker(name, "worker", "elsewhere", 1, "1"), 9)
            worker.work(mine, SPACE, Scripted(LAB.accuracy), one_of(1_000), heart)
        except BaseException as error:
            wrong.append(error)
        finally:
            mine.engine.dispose()

    threads = [threading.Thread(target=one, args=(f"w{k}",)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not wrong
    exact(store, count, proposals)


def _process(url: str, name: str, barrier: Any) -> None:
    store = records.open_study(url, "s")
    barrier.wait(60)
    heart = Heart(store, Worker(name, "worker", "elsewhere", 1, "1"), 9)
    worker.work(store, SPACE, Scripted(LAB.accuracy), one_of(1_000), heart)


@pytest.mark.long
def test_processes_end_at_both_totals(tmp_path: Path) -> None:
    store = new_study(tmp_path, SPACE, 20, proposals=11)
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(3)
    processes = [
        context.Process(target=_process, args=(store.url, f"w{k}", barrier), daemon=True) for k in range(3)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    exact(store, 20, 11)


def test_a_trial_that_is_not_decided_counts_as_a_proposal_until_it_is(tmp_path: Path) -> None:
    store = based(tmp_path, SPACE, None, 2)
    of = drivers(store)
    first, second = take_one(of("a")), take_one(of("b"))
    assert queue.take(of("c")) is Idle.WAIT  # either may turn out to be a refinement
    assert queue.waiting(store, "c")
    decided(of("a"), first, "propose")
    assert queue.take(of("c")) is Idle.WAIT
    decided(of("b"), second, "refine")
    assert not queue.waiting(store, "c")
    third = take_one(of("c"))
    assert third.trial == 4
    assert queue.take(of("d")) is Idle.WAIT
    decided(of("c"), third, "propose", 2)
    assert queue.take(of("d")) is Idle.DONE
    assert not queue.waiting(store, "d")


def test_a_trial_that_failed_undecided_gives_its_place_to_another_proposal(tmp_path: Path) -> None:
    store = based(tmp_path, SPACE, None, 1)
    of = drivers(store)
    item = take_one(of("a"))
    assert queue.take(of("b")) is Idle.WAIT
    endings.finish(of("a"), item, "failed", trial=of("a").trial(item.trial_id), cause="no mutant", failures=9)
    assert queries.counts(store).undecided == 1
    decided(of("b"), take_one(of("b")), "propose")
    assert queue.take(of("c")) is Idle.DONE
    assert [(row.trial, row.kind, row.outcome) for row in items_of(store)] == [
        (2, "", "failed"),
        (3, "propose", ""),
    ]


def test_where_trials_alone_count_no_worker_waits_for_a_decision(tmp_path: Path) -> None:
    store = based(tmp_path, SPACE, 1)
    of = drivers(store)
    take_one(of("a"))
    assert queue.take(of("b")) is Idle.DONE


def test_several_trials_at_once_stop_at_the_total(tmp_path: Path) -> None:
    store = based(tmp_path, SPACE, 10, 3)
    of = drivers(store)
    taken = queue.take(of("a"), 8)
    assert isinstance(taken, list) and len(taken) == 3
    assert queue.take(of("b"), 8) is Idle.WAIT
    for k, item in enumerate(taken):
        decided(of("a"), item, "refine" if k else "propose", k)
    more = queue.take(of("b"), 8)
    assert isinstance(more, list) and [item.trial for item in more] == [5, 6]


@pytest.mark.long
def test_a_target_that_is_raised_is_met_again_and_a_lower_one_ends_nothing(tmp_path: Path) -> None:
    store = based(tmp_path, SPACE, 4)
    work(store, SPACE, LAB, one_of(1_000))
    records.extend(store, Target(2))
    work(store, SPACE, LAB, one_of(1_000))
    assert queries.counts(store).trials == 4
    records.extend(store, Target(9, 100))
    work(store, SPACE, LAB, one_of(1_000))
    exact(store, 9, 100)
