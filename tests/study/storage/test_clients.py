"""Plain clients of Optuna beside a search: whatever they do to its study, our records stay the truth."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import Trial, TrialState
from sqlalchemy import func, select

from cellsearch.errors import RunError
from cellsearch.study.leaderboard import board
from cellsearch.study.storage import endings, queue
from cellsearch.study.storage.create import create
from cellsearch.study.tables import database, integrity, queries, records, schema, transactions
from cellsearch.study.tables.study_facts import Identity, Target
from cellsearch.study.tables.transactions import Store
from cellsearch.study.workers.run import seeds_of
from tests.study.scripted import (
    DIGESTS,
    SEEDS,
    Scripted,
    based,
    drivers,
    items_of,
    new_study,
    one_of,
    searched,
    space_of,
    take_one,
    work,
)
from tests.study.storage.snapshots import plain, rows, snapshot

SPACE = space_of()
TRIALS = 5
VICTIM = 3  # the trial that a client meddles with
Meddle = Callable[[optuna.Study, int], object]
LAB = Scripted(lambda mark, task, setting: 1.0 if task == "filter" else 0.8 + setting / 1_000)


def again(store: Store, trials_: int = 4) -> Store:
    """A new study where `store` was, of the same name."""
    identity = Identity(SPACE.text, 2, DIGESTS)
    return create(store.url, store.name, SPACE, identity, "test", Target(trials_), seeds_of(SPACE))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Our tables after the search that no client meddles with."""
    store = based(tmp_path_factory.mktemp("undisturbed"), SPACE, TRIALS)
    work(store, SPACE, Scripted(LAB.accuracy), one_of(1_000))
    return rows(store)


def report(step: int, value: float) -> Meddle:
    return lambda study, number: Trial(study, study.trials[number]._trial_id).report(value, step)


@pytest.mark.long
@pytest.mark.parametrize(
    ("meddle", "state", "said"),
    [
        (
            lambda study, number: study.tell(number, 0.5),
            TrialState.COMPLETE,
            "its score is .*, and 0.5 in Optuna",
        ),
        (
            lambda study, number: study.tell(number, 99.0),
            TrialState.COMPLETE,
            "its score is .*, and 99.0 in Optuna",
        ),
        (
            lambda study, number: study.tell(number, state=TrialState.FAIL),
            TrialState.FAIL,
            "it is ranked, and FAIL in Optuna",
        ),
        (
            lambda study, number: study.tell(number, state=TrialState.PRUNED),
            TrialState.PRUNED,
            "it is ranked, and PRUNED in Optuna",
        ),
        (report(9, 0.3), TrialState.COMPLETE, "step 9 is 0.3 in Optuna"),
        (report(0, 0.3), TrialState.COMPLETE, "step 0 is 0.3 in Optuna"),  # over ours, that was there before
        (report(2, 0.3), TrialState.COMPLETE, ""),  # ours, that comes later, takes its place
    ],
    ids=["tells", "tells the best", "fails", "prunes", "reports a step", "reports before", "reports ahead"],
)
def test_a_client_that_writes_to_a_running_trial(
    tmp_path: Path, undisturbed: dict[str, Any], meddle: Meddle, state: TrialState, said: str
) -> None:
    store = based(tmp_path, SPACE, TRIALS)
    done: list[str] = []

    def interfere(mark: str, task: str) -> None:
        study = plain(store)
        if study.trials[-1].number == VICTIM and task == "arithmetic":
            meddle(study, VICTIM)
            done.append(task)

    work(store, SPACE, Scripted(LAB.accuracy, before=interfere), one_of(1_000))
    assert done == ["arithmetic"]
    assert rows(store) == undisturbed  # the search went on to its end, and what it recorded is the same
    assert board.status(store, SPACE).finished
    there = plain(store).trials
    assert there[VICTIM].state == state
    assert [trial.state for trial in there if trial.number != VICTIM] == [TrialState.COMPLETE] * (TRIALS + 1)
    found = integrity.damages(store)
    assert len(found) == bool(said)
    if said:
        assert re.search(f"^trial {VICTIM}: {said}", found[0]), found


@pytest.mark.long
def test_a_client_that_ends_a_seed_does_not_end_the_search(tmp_path: Path) -> None:
    store = new_study(tmp_path, SPACE, 2)
    plain(store).tell(1, state=TrialState.FAIL)
    work(store, SPACE, LAB, one_of(1_000))
    assert board.status(store, SPACE).finished
    assert [row.name for row in board.leaderboard(store, SPACE) if row.seed and row.score == 1.0] == [
        "lstm",
        "gru",
    ]
    assert integrity.damages(store) == ["trial 1: it is ranked, and FAIL in Optuna"]


@pytest.mark.long
def test_a_trial_that_a_client_adds_or_enqueues_is_none_of_the_search(tmp_path: Path) -> None:
    store = based(tmp_path, SPACE, TRIALS)
    study = plain(store)
    study.enqueue_trial({"x": 1.0})
    study.add_trial(optuna.trial.create_trial(value=99.0))
    study.ask()  # takes the one that waits
    study.enqueue_trial({"x": 2.0})
    work(store, SPACE, LAB, one_of(1_000))
    assert queries.counts(store).trials == TRIALS
    assert [row.trial for row in items_of(store)] == list(range(5, 5 + TRIALS))
    assert plain(store).trials[4].state == TrialState.WAITING
    assert 99.0 not in [row.score for row in board.leaderboard(store, SPACE)]
    assert integrity.damages(store) == []


def test_a_client_that_deletes_the_attributes_of_a_study_cannot_be_followed_by_mistake(
    tmp_path: Path,
) -> None:
    store = based(tmp_path, SPACE, TRIALS)
    plain(store).set_user_attr(schema.STUDY_KEY, "another")
    assert records.find(store.url, "s") is None
    with pytest.raises(RunError, match="no study 's'"):
        records.open_study(store.url, "s")


@pytest.mark.long
def test_a_new_study_of_the_name_of_a_deleted_one_has_nothing_of_it(tmp_path: Path) -> None:
    old = searched(tmp_path / "old", Scripted(), SPACE, one_of(20), trials=6)
    ids = [trial._trial_id for trial in plain(old).trials]
    before = board.leaderboard(old, SPACE, every=True)
    optuna.delete_study(study_name="s", storage=old.url)
    assert records.find(old.url, "s") is None
    new = again(old)
    assert (new.study, new.study == old.study) == (2, False)
    found = records.open_study(old.url, "s")
    assert found.study == new.study
    assert [trial._trial_id for trial in plain(new).trials] == ids[:2]  # SQLite gives them again
    counts = queries.counts(new)
    assert (counts.seeds, counts.told, counts.baseline, counts.trials, counts.settings) == (2, 0, 0, 0, 0)
    assert [row.score for row in board.leaderboard(new, SPACE)] == [None, None]
    lab = Scripted()
    work(found, SPACE, lab, one_of(20))
    assert queries.counts(new).trials == 4
    assert len(lab.runs) == len(set(lab.runs)) == queries.counts(new).settings
    assert integrity.damages(new) == []
    assert board.leaderboard(old, SPACE, every=True) == before  # of that the records are still there
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    other = new_study(fresh, SPACE, 4, seed=2)
    work(other, SPACE, Scripted(), one_of(20))
    assert board.leaderboard(new, SPACE, every=True) == board.leaderboard(other, SPACE, every=True)


@pytest.mark.long
@pytest.mark.parametrize("reused", [False, True], ids=["gone", "made again"])
@pytest.mark.parametrize("place", ["baseline", "filter", "xml"])
def test_a_worker_on_a_study_that_was_deleted_ends_with_one_clear_error(
    tmp_path: Path, place: str, reused: bool
) -> None:
    store = new_study(tmp_path, SPACE, 12) if place == "baseline" else based(tmp_path, SPACE, 12)
    later: list[Any] = []

    def delete(mark: str, task: str) -> None:
        if not later and (place == "baseline" or (task == place and mark not in SEEDS.values())):
            optuna.delete_study(study_name="s", storage=store.url)
            later.append(again(store) if reused else None)
            if reused:
                later.append(snapshot(later[0]))

    lab = Scripted(LAB.accuracy, before=delete)
    with pytest.raises(RunError) as error:
        work(store, SPACE, lab, one_of(1_000))
    assert "the Optuna study 's' was deleted while it was in use\n" in str(error.value)
    assert "start under another --name" in str(error.value)
    assert len(str(error.value).splitlines()) == 2
    if reused:
        assert snapshot(later[0]) == later[1]  # nothing of the old one is written to the new one
        work(later[0], SPACE, Scripted(), one_of(1_000))
        assert queries.counts(later[0]).trials == 4
        assert integrity.damages(later[0]) == []
    with pytest.raises(RunError, match="was deleted while it was in use"):
        queue.waiting(store, "late")


@pytest.mark.long
def test_a_driver_that_was_open_when_its_study_was_deleted_and_made_again_writes_nothing(
    tmp_path: Path,
) -> None:
    store = based(tmp_path, SPACE, 12)
    me = drivers(store)("me")
    item = take_one(me)
    trial = me.trial(item.trial_id)
    optuna.delete_study(study_name="s", storage=store.url)
    new = again(store)
    work(new, SPACE, Scripted(), one_of(20))
    before, old = snapshot(new), rows(store)
    for late in (
        lambda: trial.report(0.5, 1),
        lambda: trial.set_user_attr("a", 1),
        lambda: endings.finish(me, item, "failed", trial=trial, cause="x", failures=9),
        me.ask,
        lambda: queue.take(me),
    ):
        with pytest.raises(RunError, match="was deleted while it was in use"):
            late()
    assert snapshot(new) == before
    assert rows(store) == old


@pytest.mark.long
def test_trials_of_two_studies_in_one_database_are_kept_apart(tmp_path: Path) -> None:
    first, second = new_study(tmp_path, SPACE, 3), new_study(tmp_path, SPACE, 5, seed=2, name="t")
    foreign = optuna.create_study(storage=first.url, study_name="u")
    foreign.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    for store in (first, second):
        work(store, SPACE, Scripted(), one_of(20))
    assert (queries.counts(first).trials, queries.counts(second).trials) == (3, 5)
    assert [len(plain(store).trials) for store in (first, second)] == [5, 7]
    assert integrity.damages(first) == integrity.damages(second) == []
    with transactions.reading(first.engine, first.url) as connection:
        items = schema.items
        query = select(items.c.study, func.count()).group_by(items.c.study)
        assert dict(map(tuple, connection.execute(query))) == {first.study: 14 + 3, second.study: 14 + 5}
    assert database.file_of(first.url) == tmp_path / "study.db"
