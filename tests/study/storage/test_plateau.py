"""A search with `budget.patience` ends after that many proposals in a row without a better score; the count
comes from records."""

import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import update

from cellsearch.study.leaderboard import board
from cellsearch.study.space import Space, difference, parse_space
from cellsearch.study.storage import queue
from cellsearch.study.storage.driver import Driver
from cellsearch.study.storage.heartbeat import Heart, Worker
from cellsearch.study.storage.queue import Idle
from cellsearch.study.tables import integrity, queries, records
from cellsearch.study.tables.schema import items
from cellsearch.study.tables.study_facts import Target
from cellsearch.study.tables.transactions import Store, writing
from cellsearch.study.tables.work_items import Item
from cellsearch.study.workers import worker
from cellsearch.study.workers.search_supervisor import left
from tests.study.scripted import TEXT, Scripted, based, drivers, items_of, new_study, one_of, take_one, work

pytestmark = pytest.mark.long

PROPOSE = one_of(1_000)
MOST = 120
PLAIN = parse_space(TEXT)


def space_with(patience: int) -> Space:
    return parse_space(TEXT, overrides=[f"budget.patience={patience}"])


def ends_after(store: Store, patience: int) -> int:
    """The rule, read off all trials of a search that did not stop: how many of them one with `patience` makes."""
    best = max(item.score for item in items_of(store, "seed"))
    since = 0
    for done, item in enumerate(items_of(store), 1):
        if item.outcome == "ranked" and item.score > best:
            best, since = item.score, 0
        elif item.kind == "propose":
            since += 1
        if since >= patience:
            return done
    return MOST


@pytest.fixture(scope="module")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A search without patience."""
    store = based(tmp_path_factory.mktemp("endless"), PLAIN, MOST)
    work(store, PLAIN, Scripted(), PROPOSE)
    return store


def about(store: Store) -> list[tuple[int, str, str, float | None]]:
    return [(item.trial, item.kind, item.fingerprint, item.score) for item in items_of(store)]


def test_the_rule_has_something_to_decide(endless: Store) -> None:
    lengths = [ends_after(endless, patience) for patience in (1, 3, 8, 20, 30)]
    bests = [max(item.score for item in items_of(endless, "seed"))]
    better = []  # kinds of the trials that brought a better score
    for item in items_of(endless):
        if item.outcome == "ranked" and item.score > bests[-1]:
            bests.append(item.score)
            better.append(item.kind)
    assert {"propose", "refine"} == set(better)
    assert lengths == sorted(lengths) and len(set(lengths)) >= 4 and lengths[-2] < MOST
    counts = queries.counts(endless)
    assert ends_after(endless, counts.stale) <= MOST == ends_after(endless, counts.stale + 1)
    assert not board.status(endless, PLAIN).plateau


@pytest.mark.parametrize("patience", [1, 3, 8, 20])
def test_a_search_ends_where_the_rule_says(tmp_path: Path, endless: Store, patience: int) -> None:
    space = space_with(patience)
    store = based(tmp_path, space, MOST)
    work(store, space, Scripted(), PROPOSE)
    expected = ends_after(endless, patience)
    assert about(store) == about(endless)[:expected]
    status = board.status(store, space)
    assert status.finished and status.plateau and status.counts.stale == patience
    assert not status.stopped and not status.halted
    assert left(status.counts, records.facts(store), patience) == 0
    assert integrity.damages(store) == []

    work(store, space, Scripted(), PROPOSE)  # to start it again adds nothing
    assert len(items_of(store)) == expected
    more = space_with(patience + 5)
    records.extend(store, Target(MOST), more.text)
    work(store, more, Scripted(), PROPOSE)
    assert about(store) == about(endless)[: ends_after(endless, patience + 5)]


def test_the_count_survives_kills(tmp_path: Path, endless: Store) -> None:
    class Killed(BaseException):
        pass

    left_to_run = [3]

    def before(mark: str, task: str) -> None:
        left_to_run[0] -= 1
        if not left_to_run[0]:
            left_to_run[0] = 4
            raise Killed

    space = space_with(8)
    store = based(tmp_path, space, MOST)
    kills = 0
    while True:
        try:
            work(store, space, Scripted(before=before), PROPOSE)
            break
        except Killed:
            kills += 1
    assert kills > 3
    assert about(store) == about(endless)[: ends_after(endless, 8)]


def test_threads_end_at_it_together(tmp_path: Path) -> None:
    space, size = space_with(6), 4
    store = based(tmp_path, space, 1_000)

    def one(number: int) -> None:
        heart = Heart(store, Worker(f"w{number}", "worker", "here#1", number, "1"), 10)
        worker.work(store, space, Scripted(), PROPOSE, heart)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    status = board.status(store, space)
    assert status.finished and 6 <= status.counts.stale < 6 + size
    assert (status.counts.running, status.counts.free) == (0, 0)


@pytest.mark.long
def test_workers_do_not_overshoot(tmp_path: Path) -> None:
    """Nothing is better than the seeds: exactly as many proposals as the space says are made."""
    space, size = space_with(6), 4
    store = new_study(tmp_path, space, 1_000)

    def flat(mark: str, task: str, setting: int) -> float:
        return 1.0 if task == "filter" else 0.8

    def one(number: int) -> None:
        heart = Heart(store, Worker(f"w{number}", "worker", "here#1", number, "1"), 10)
        worker.work(store, space, Scripted(flat, before=lambda *_: time.sleep(0.01)), PROPOSE, heart)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    counts = queries.counts(store)
    assert (counts.stale, counts.proposals) == (6, 6)


def test_running_trials_count_towards_it(tmp_path: Path) -> None:
    store = based(tmp_path, space_with(3), MOST)
    of = drivers(store)
    cohort = queue.take(of("a"), 8, 3)
    assert isinstance(cohort, list) and len(cohort) == 3
    assert queue.take(of("b"), 8, 3) is Idle.WAIT and queue.waiting(store, "b", 3)
    _end(store, cohort[0].trial, "filtered", None)  # the others may still bring a better score
    assert queue.take(of("b"), 8, 3) is Idle.WAIT
    assert len(take(of("b"), 8, 5)) == 2


def take(driver: Driver, count: int, patience: int) -> list[Item]:
    found = queue.take(driver, count, patience)
    assert isinstance(found, list)
    return found


def test_a_trial_that_may_bring_a_better_score_is_waited_for(tmp_path: Path) -> None:
    store = based(tmp_path, space_with(1), MOST)
    of = drivers(store)
    first = take_one(of("a"))
    second = take_one(of("b"))
    _end(store, second.trial, "filtered", None)
    assert queue.take(of("c"), 1, 1) is Idle.WAIT and queue.waiting(store, "c", 1)
    assert take_one(of("d")).trial > second.trial  # without patience there is more to do
    _end(store, second.trial + 1, "failed", None)
    _end(store, first.trial, "filtered", None)
    assert queue.take(of("c"), 1, 1) is Idle.DONE
    assert queue.take(of("c"), 1, 3) is Idle.DONE
    assert isinstance(queue.take(of("c"), 1, 4), list)


def _end(store: Store, trial: int, outcome: str, score: float | None) -> None:
    values = {"kind": "propose", "owner": "", "outcome": outcome, "score": score}
    with writing(store) as connection:
        connection.execute(update(items).where(items.c.trial == trial).values(**values))


def test_patience_may_change_while_a_search_lives() -> None:
    assert difference(PLAIN, space_with(5)) == []
    assert parse_space(space_with(5).text).budget.patience == 5
    assert PLAIN.budget.patience is None


def test_an_equal_score_is_no_better_one(tmp_path: Path) -> None:
    def flat(mark: str, task: str, setting: int) -> float:
        return 1.0 if task == "filter" else 0.8

    space = space_with(5)
    store = new_study(tmp_path, space, MOST)
    work(store, space, Scripted(flat), PROPOSE)
    assert queries.counts(store).stale == 5 and queries.counts(store).ranked >= 5
    assert board.status(store, space).plateau
