"""Work items: which worker gets which, what an adopted trial keeps, and what happens to late results."""

import multiprocessing
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cellsearch.study.storage import endings, heartbeat, queue, trials
from cellsearch.study.storage.driver import Driver
from cellsearch.study.storage.queue import Idle
from cellsearch.study.storage.trials import Proposed
from cellsearch.study.tables import cellrecords, queries, records, work_items
from cellsearch.study.tables.study_facts import Target
from cellsearch.study.tables.transactions import Store, Superseded
from cellsearch.study.tables.work_items import Item
from cellsearch.study.workers.worker import work as work_on
from cellsearch.train.outcome import Outcome
from tests.study.scripted import (
    FLOORS,
    KEYS,
    SEEDS,
    Scripted,
    based,
    drivers,
    items_of,
    new_study,
    one_of,
    space_of,
    take_one,
    variant,
)

SPACE = space_of()


def release(store: Store, *workers: str, crash: str = "") -> list[int]:
    """By another process."""
    return endings.release(store, workers, "other", crash=crash, failures=9)


def finish(driver: Driver, item: Item, outcome: str, cause: str = "", failures: int = 9) -> None:
    """Ends an item, and tells its trial where it has one."""
    trial = None if item.kind == "baseline" else driver.trial(item.trial_id)
    score = 1.0 if outcome == "ranked" else None
    endings.finish(driver, item, outcome, trial=trial, cause=cause, score=score, failures=failures)


def outcomes(*settings: int) -> list[Outcome]:
    return [Outcome(KEYS[setting], "done", 0.5, 1.0, 3, 8, 100) for setting in settings]


def keys(*settings: int) -> list[str]:
    return [KEYS[setting] for setting in settings]


def decided(driver: Driver, item: Item, number: int = 1) -> Item:
    text = "cell m(x; h)\nh' = x\n"
    proposed = Proposed("propose", f"{number:064x}", f"{number:064d}", "m", text, SEEDS["gru"])
    return trials.decide(driver, item, proposed)


def row_of(store: Store, item: Item) -> Any:
    return next(row for row in items_of(store, item.kind, "propose") if row.trial == item.trial)


def test_the_baseline_comes_first_in_pieces_and_then_waits_for_all(tmp_path: Path) -> None:
    store = new_study(tmp_path, SPACE)
    of = drivers(store)
    pieces = [take_one(of(f"w{n}")) for n in range(12)]
    assert [(p.trial, p.piece) for p in pieces] == [(seed, k) for seed in (0, 1) for k in range(6)]
    assert [(p.kind, p.task, p.fingerprint) for p in pieces] == [
        ("baseline", task, mark) for mark in SEEDS.values() for task in ["arithmetic"] * 3 + ["xml"] * 3
    ]
    for n, piece in enumerate(pieces):
        assert queue.take(of("me")) is Idle.WAIT
        settings = trials.claim(of(f"w{n}"), piece, piece.task, lambda taken: pytest.fail("they are claimed"))
        trials.commit(
            of(f"w{n}"), piece, piece.task, [replace(outcomes(0)[0], setting=s) for s in settings], 1.0
        )
        finish(of(f"w{n}"), piece, "baseline")
    seeds = [take_one(of(f"w{n}")) for n in range(2)]
    assert [(s.trial, s.piece, s.kind, s.fingerprint) for s in seeds] == [
        (n, 6, "seed", mark) for n, mark in enumerate(SEEDS.values())
    ]
    for n, seed in enumerate(seeds):
        assert queue.take(of("me")) is Idle.WAIT
        records.freeze(store, SEEDS["gru"], FLOORS, 0.02)
        finish(of(f"w{n}"), seed, "ranked")
    assert take_one(of("me")).trial == 2


def test_the_target_counts_trials_and_not_the_baseline(tmp_path: Path) -> None:
    store = based(tmp_path, SPACE, 3)
    of = drivers(store)
    new = [decided(of(f"w{n}"), take_one(of(f"w{n}")), n) for n in range(3)]
    assert [item.trial for item in new] == [2, 3, 4]
    assert queue.take(of("me")) is Idle.DONE
    assert release(store, "w0", "w1", "w2") == [2, 3, 4]
    assert [take_one(of(f"w{n}")).trial for n in range(3)] == [2, 3, 4]  # an adopted trial is no other trial
    records.extend(store, Target(4))
    assert take_one(of("me")).trial == 5


@pytest.mark.parametrize("stopped", ["", "broken"])
def test_no_trial_of_a_study_that_was_halted_is_taken(tmp_path: Path, stopped: str) -> None:
    store = based(tmp_path, SPACE, 3)
    of = drivers(store)
    records.halt(store, stopped)
    assert queue.take(of("me")) is Idle.DONE
    records.extend(store, Target(3))
    assert take_one(of("me")).trial == 2


def test_an_adopted_trial_keeps_number_decision_claims_and_stages(tmp_path: Path) -> None:
    store = based(tmp_path, SPACE, 3)
    me, you = map(drivers(store), ("me", "you"))
    item = decided(me, take_one(me))
    assert trials.claim(me, item, "filter", lambda taken: keys(5)) == tuple(keys(5))
    trials.commit(me, item, "filter", outcomes(5), 2.0)
    assert trials.claim(me, item, "xml", lambda taken: keys(9, 2, 7)) == tuple(keys(9, 2, 7))
    assert release(store, "me") == [item.trial]
    again = take_one(you)
    assert again == item
    assert list(work_items.recorded(store, again)) == ["filter"]
    claimed = trials.claim(you, again, "xml", lambda taken: pytest.fail("drawn before"))
    assert claimed == tuple(keys(9, 2, 7))


def test_claims_of_others_are_taken(tmp_path: Path) -> None:
    store = based(tmp_path, SPACE, 3)
    me, you = map(drivers(store), ("me", "you"))
    first, second = decided(me, take_one(me)), decided(you, take_one(you))  # the same cell
    seen: list[frozenset[str]] = []
    trials.claim(me, first, "xml", lambda taken: keys(1, 2))

    def choose(taken: frozenset[str]) -> list[str]:
        seen.append(taken)
        return keys(3)

    trials.claim(you, second, "xml", choose)
    trials.claim(you, second, "arithmetic", choose)
    assert seen == [frozenset(keys(1, 2)), frozenset()]
    assert queries.tried(store, [first.fingerprint]) == {first.fingerprint: {"xml": 3, "arithmetic": 1}}


def test_a_setting_cannot_be_claimed_twice_whichever_worker_draws_it(tmp_path: Path) -> None:
    store = based(tmp_path, SPACE, 3)
    me, you = map(drivers(store), ("me", "you"))
    first, second = decided(me, take_one(me)), decided(you, take_one(you))
    trials.claim(me, first, "xml", lambda taken: keys(1))
    with pytest.raises(Exception, match="UNIQUE"):
        trials.claim(you, second, "xml", lambda taken: keys(1))


def test_a_worker_that_lost_a_trial_records_nothing(tmp_path: Path) -> None:
    store = based(tmp_path, SPACE, 3)
    me, you = map(drivers(store), ("me", "you"))
    item = decided(me, take_one(me))
    trials.claim(me, item, "filter", lambda taken: keys(5))
    release(store, "me")
    for late in (
        lambda: trials.commit(me, item, "filter", outcomes(5), 1.0),
        lambda: finish(me, item, "ranked"),
        lambda: finish(me, item, "failed"),
        lambda: trials.claim(me, item, "xml", lambda taken: keys(1)),
        lambda: decided(me, item),
    ):
        with pytest.raises(Superseded):
            late()
    again = take_one(you)
    trials.commit(you, again, "filter", outcomes(5), 1.0)
    with pytest.raises(Superseded):
        trials.commit(me, item, "filter", outcomes(5), 1.0)
    assert len(work_items.recorded(store, again)) == 1


def test_a_commit_whose_answer_was_lost_may_be_given_again(tmp_path: Path) -> None:
    store = based(tmp_path, SPACE, 3)
    me = drivers(store)("me")
    item = decided(me, take_one(me))
    for _ in range(2):
        assert trials.commit(me, item, "filter", outcomes(5), 2.0) == 0.5
    assert row_of(store, item).seconds == 2.0


def test_a_worker_whose_answers_were_lost_gets_the_same_again(tmp_path: Path) -> None:
    store = based(tmp_path, SPACE, 3)
    me = drivers(store)("me")
    item = take_one(me)
    assert take_one(me) == item
    first = decided(me, item, 1)
    assert decided(me, item, 2) == first  # what was settled stays, whatever was drawn since
    assert take_one(me) == first
    assert [cell.name for cell in cellrecords.recorded_cells(store)] == ["lstm", "gru", "m"]


def test_several_trials_are_taken_in_one_transaction_and_no_more_than_the_target(tmp_path: Path) -> None:
    store = based(tmp_path, SPACE, 5)
    me, you = map(drivers(store), ("me", "you"))
    first = queue.take(me, 3)
    assert isinstance(first, list) and [item.trial for item in first] == [2, 3, 4]
    assert queue.take(me, 3) == first
    second = queue.take(you, 3)
    assert isinstance(second, list) and [item.trial for item in second] == [5, 6]
    assert queue.take(drivers(store)("he"), 3) is Idle.DONE


def test_only_crashes_count_as_attempts(tmp_path: Path) -> None:
    store = based(tmp_path, SPACE, 1)
    me = drivers(store)("me")
    for _ in range(20):
        item = take_one(me)
        assert release(store, "me") == [item.trial]
    assert row_of(store, item).attempts == 0
    for attempt in range(endings.RETRIES):
        take_one(me)
        release(store, "me", crash="signal 11")
        assert row_of(store, item).attempts == attempt + 1
    assert queries.counts(store).failed == 0
    take_one(me)
    release(store, "me", crash="signal 11")
    assert queries.counts(store).failed == 1
    row = row_of(store, item)
    assert (row.outcome, row.attempts, row.cause) == ("failed", 3, "the worker crashed 3 times: signal 11")
    assert queue.take(me) is Idle.DONE


def test_a_recorded_stage_ends_a_series_of_crashes(tmp_path: Path) -> None:
    store = based(tmp_path, SPACE, 1)
    me = drivers(store)("me")
    item = decided(me, take_one(me))
    for task in ("filter", "arithmetic", "xml"):
        for crashes in range(endings.RETRIES):
            assert take_one(me) == replace(item, attempts=crashes)
            release(store, "me", crash="signal 11")
        trials.commit(me, take_one(me), task, outcomes(5), 1.0)
    assert (row_of(store, item).attempts, row_of(store, item).outcome) == (0, "")


@pytest.mark.long
def test_a_success_ends_a_series_of_failures(tmp_path: Path) -> None:
    store = based(tmp_path, SPACE, 9)
    me = drivers(store)("me")
    for outcome in ("failed", "failed", "ranked", "failed", "failed"):
        finish(me, take_one(me), outcome, f"cause {outcome}", failures=3)
    assert not records.facts(store).stopped
    finish(me, take_one(me), "failed", "another", failures=3)
    assert records.facts(store).stopped.endswith("the first one: cause failed")


def test_a_stage_knows_its_best_setting() -> None:
    mixed = [
        Outcome(KEYS[4], "done", 0.7, 1.0, 3, 8, 104),
        Outcome(KEYS[2], "diverged", None, None, 1, 8, 102, "loss"),
        Outcome(KEYS[9], "done", 0.8, 0.9, 3, 9, 109),
        Outcome(KEYS[6], "done", 0.8, 0.95, 3, 9, 106),
    ]
    item = Item(2, 0, 3, "propose", "x", "y", "")
    stage = trials.summary(item, "xml", mixed)
    assert (stage.settings, stage.trained, stage.accuracy, stage.setting, stage.parameters) == (
        4,
        3,
        0.8,
        KEYS[9],  # the first of equal ones
        109,
    )
    assert (stage.trial, stage.piece, stage.task, stage.fingerprint) == (2, 0, "xml", "x")
    nothing = trials.summary(item, "xml", [mixed[1]])
    assert (nothing.settings, nothing.trained, nothing.accuracy, nothing.setting) == (1, 0, None, None)


def test_no_number_that_is_not_finite_is_stored(tmp_path: Path) -> None:
    store = based(tmp_path, SPACE, 3)
    me = drivers(store)("me")
    item = decided(me, take_one(me))
    with pytest.raises(ValueError, match="not JSON compliant"):
        trials.commit(me, item, "xml", [Outcome(KEYS[0], "done", float("nan"), 1.0, 1, 8, 9)], 1.0)


def _together(url: str, barrier: Any, answers: Any, worker: str) -> None:
    store = records.open_study(url, "s")
    barrier.wait(20)
    lab = Scripted()
    heart = heartbeat.Heart(store, heartbeat.myself("worker"), 99)
    work_on(store, SPACE, lab, one_of(15), heart)
    answers.put(lab.runs)


@pytest.mark.long
def test_processes_that_start_at_the_same_instant_run_nothing_twice(tmp_path: Path) -> None:
    store = new_study(tmp_path, SPACE, trials=30)
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(3), context.Queue()
    processes = [
        context.Process(target=_together, args=(store.url, barrier, answers, f"w{n}"), daemon=True)
        for n in range(3)
    ]
    for process in processes:
        process.start()
    runs = [answers.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(20)
        assert process.exitcode == 0
    assert all(runs)
    everything = Counter(run for part in runs for run in part)
    assert set(everything.values()) == {1}
    counts = queries.counts(store)
    assert (counts.trials, counts.failed, counts.running, counts.free) == (30, 0, 0, 0)
    assert counts.settings == len(everything)


def test_names_of_variants_do_not_matter() -> None:
    assert variant(1) != variant(2)
