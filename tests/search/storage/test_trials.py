"""Slots: who gets which, what a retry keeps, and what happens to late results."""

import multiprocessing
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from cellsearch.search import cellrecords, queries, records, schema, slots
from cellsearch.search.schema import Store
from cellsearch.search.slots import Idle, Lost, Slot
from cellsearch.train.outcome import Outcome
from tests.search.scripted import FLOORS, SEEDS, Scripted, new_study, one_of, space_of, variant, work

SPACE = space_of()


def take(store: Store, worker: str = "me") -> Slot:
    taken = slots.take(store, worker)
    assert isinstance(taken, Slot)
    return taken


def outcomes(*settings: int) -> list[Outcome]:
    return [Outcome(setting, "done", 0.5, 1.0, 3, 8, 100) for setting in settings]


def after_baseline(folder: Path, trials: int = 3) -> Store:
    store = new_study(folder, SPACE, trials=0)
    work(store, SPACE, Scripted(), one_of(1))
    records.extend(store, trials)
    return store


def decided(store: Store, slot: Slot, number: int = 1, worker: str = "me") -> Slot:
    return slots.decide(
        store,
        worker,
        slot,
        "propose",
        f"{number:064x}",
        function=f"{number:064d}",
        name="m",
        text="cell m(x; h)\nh' = x\n",
        parent=SEEDS["gru"],
    )


def test_the_baseline_comes_first_in_pieces_and_then_waits_for_all(tmp_path: Path) -> None:
    store = new_study(tmp_path, SPACE)
    pieces = [take(store, f"w{n}") for n in range(12)]
    assert [p.number for p in pieces] == list(range(12))
    assert {(p.kind, p.task, p.fingerprint) for p in pieces} == {
        ("baseline", task, mark) for task in ("arithmetic", "xml") for mark in SEEDS.values()
    }
    assert slots.take(store, "me") is Idle.WAIT
    for n, piece in enumerate(pieces):
        settings = slots.claim(
            store, f"w{n}", piece, piece.task, lambda taken: pytest.fail("they are claimed")
        )
        slots.commit(store, f"w{n}", piece, piece.task, outcomes(*settings), 1.0)
        slots.finish(store, f"w{n}", piece, "baseline", failures=9)
    assert slots.take(store, "me") is Idle.FREEZE
    records.freeze(store, SEEDS["gru"], FLOORS, 0.02)
    assert take(store).number == 12


def test_the_target_counts_trials_and_not_the_baseline(tmp_path: Path) -> None:
    store = after_baseline(tmp_path)
    assert [take(store, f"w{n}").number for n in range(3)] == [12, 13, 14]
    assert slots.take(store, "me") is Idle.DONE
    slots.release(store, ["w0", "w1", "w2"], failures=9)
    assert [take(store, f"w{n}").number for n in range(3)] == [12, 13, 14]  # a retry is no other trial
    records.extend(store, 4)
    assert take(store).number == 15


@pytest.mark.parametrize("stopped", ["", "broken"])
def test_nobody_takes_a_slot_of_a_study_that_was_halted(tmp_path: Path, stopped: str) -> None:
    store = after_baseline(tmp_path)
    records.halt(store, stopped)
    assert slots.take(store, "me") is Idle.DONE
    records.extend(store, 3)
    assert take(store).number == 12


def test_a_retry_keeps_number_decision_claims_and_stages(tmp_path: Path) -> None:
    store = after_baseline(tmp_path)
    slot = decided(store, take(store))
    assert slots.claim(store, "me", slot, "filter", lambda taken: [5]) == (5,)
    slots.commit(store, "me", slot, "filter", outcomes(5), 2.0)
    assert slots.claim(store, "me", slot, "xml", lambda taken: [9, 2, 7]) == (9, 2, 7)
    slots.release(store, ["me"], failures=9)
    again = take(store, "you")
    assert again == slot
    assert list(slots.recorded(store, again)) == ["filter"]
    assert slots.claim(store, "you", again, "xml", lambda taken: pytest.fail("drawn before")) == (9, 2, 7)


def test_claims_of_others_are_taken(tmp_path: Path) -> None:
    store = after_baseline(tmp_path)
    first, second = take(store, "me"), take(store, "you")
    first, second = decided(store, first, 1), decided(store, second, 1, "you")  # the same cell
    seen: list[frozenset[int]] = []
    slots.claim(store, "me", first, "xml", lambda taken: [1, 2])

    def choose(taken: frozenset[int]) -> list[int]:
        seen.append(taken)
        return [3]

    slots.claim(store, "you", second, "xml", choose)
    slots.claim(store, "you", second, "arithmetic", choose)
    assert seen == [frozenset({1, 2}), frozenset()]
    assert queries.tried(store, [first.fingerprint]) == {first.fingerprint: {"xml": 3, "arithmetic": 1}}


def test_a_setting_cannot_be_claimed_twice_whoever_draws_it(tmp_path: Path) -> None:
    store = after_baseline(tmp_path)
    first, second = decided(store, take(store)), decided(store, take(store, "you"), worker="you")
    slots.claim(store, "me", first, "xml", lambda taken: [1])
    with pytest.raises(Exception, match="UNIQUE"):
        slots.claim(store, "you", second, "xml", lambda taken: [1])


def test_who_lost_a_slot_records_nothing(tmp_path: Path) -> None:
    store = after_baseline(tmp_path)
    slot = decided(store, take(store))
    slots.claim(store, "me", slot, "filter", lambda taken: [5])
    slots.release(store, ["me"], failures=9)
    for late in (
        lambda: slots.commit(store, "me", slot, "filter", outcomes(5), 1.0),
        lambda: slots.finish(store, "me", slot, "ranked", failures=9),
        lambda: slots.claim(store, "me", slot, "xml", lambda taken: [1]),
        lambda: decided(store, slot),
    ):
        with pytest.raises(Lost):
            late()
    again = take(store, "you")
    slots.commit(store, "you", again, "filter", outcomes(5), 1.0)
    with pytest.raises(Lost):
        slots.commit(store, "me", slot, "filter", outcomes(5), 1.0)
    assert len(slots.recorded(store, again)) == 1


def test_a_commit_whose_answer_was_lost_may_be_given_again(tmp_path: Path) -> None:
    store = after_baseline(tmp_path)
    slot = decided(store, take(store))
    for _ in range(2):
        slots.commit(store, "me", slot, "filter", outcomes(5), 2.0)
    with schema.reading(store.engine, store.url) as connection:
        row = connection.execute(select(schema.slots).where(schema.slots.c.number == slot.number)).one()
    assert row.seconds == 2.0


def test_a_worker_whose_answers_were_lost_is_told_the_same_again(tmp_path: Path) -> None:
    store = after_baseline(tmp_path)
    slot = take(store)
    assert take(store) == slot
    first = decided(store, slot, 1)
    assert decided(store, slot, 2) == first  # what was settled stays, whatever was drawn since
    assert take(store) == first
    assert [cell.name for cell in cellrecords.recorded_cells(store)] == ["lstm", "gru", "m"]


def test_only_crashes_count_as_attempts(tmp_path: Path) -> None:
    store = after_baseline(tmp_path, 1)
    for _ in range(20):
        slot = take(store)
        assert slots.release(store, ["me"], failures=9) == [slot.number]
    for _ in range(slots.RETRIES):
        take(store)
        slots.release(store, ["me"], crash="signal 11", failures=9)
    assert queries.counts(store).failed == 0
    take(store)
    slots.release(store, ["me"], crash="signal 11", failures=9)
    assert queries.counts(store).failed == 1
    assert slots.take(store, "me") is Idle.DONE


def test_a_success_ends_a_streak_of_failures(tmp_path: Path) -> None:
    store = after_baseline(tmp_path, 9)
    for outcome in ("failed", "failed", "ranked", "failed", "failed"):
        slots.finish(store, "me", take(store), outcome, cause=f"cause {outcome}", failures=3)
    assert not records.facts(store).stopped
    slots.finish(store, "me", take(store), "failed", cause="another", failures=3)
    assert records.facts(store).stopped.endswith("the first of them: cause failed")


def test_a_stage_knows_its_best_setting(tmp_path: Path) -> None:
    mixed = [
        Outcome(4, "done", 0.7, 1.0, 3, 8, 104),
        Outcome(2, "diverged", None, None, 1, 8, 102, "loss"),
        Outcome(9, "done", 0.8, 0.9, 3, 9, 109),
        Outcome(6, "done", 0.8, 0.95, 3, 9, 106),
    ]
    stage = slots.summary(1, "x", "xml", mixed)
    assert (stage.settings, stage.trained, stage.accuracy, stage.setting, stage.parameters) == (
        4,
        3,
        0.8,
        6,
        106,
    )
    nothing = slots.summary(1, "x", "xml", [mixed[1]])
    assert (nothing.settings, nothing.trained, nothing.accuracy, nothing.setting) == (1, 0, None, None)


def test_no_number_that_is_not_finite_is_stored(tmp_path: Path) -> None:
    store = after_baseline(tmp_path)
    slot = decided(store, take(store))
    with pytest.raises(ValueError, match="not JSON compliant"):
        slots.commit(store, "me", slot, "xml", [Outcome(0, "done", float("nan"), 1.0, 1, 8, 9)], 1.0)


def _together(url: str, barrier: Any, answers: Any, worker: str) -> None:
    store = records.open_study(url, "s")
    barrier.wait(20)
    lab = Scripted()
    from cellsearch.search import liveness
    from cellsearch.search.worker import work as work_on

    heart = liveness.Heart(store, liveness.myself("worker"), 99)
    work_on(store, SPACE, lab, one_of(15), heart)
    answers.put(lab.runs)


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
