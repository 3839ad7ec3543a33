"""F33, F34, F35, F37: a search is a study of Optuna. Trials are adopted, late writers are refused, and plain clients of
Optuna may write to the study and delete it.

With a PostgreSQL server in CELLSEARCH_TEST_POSTGRES those of the storage run there too.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState, create_trial
from sqlalchemy import URL, text

from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.identity.functional import functional_fingerprint
from cellsearch.dsl.text import show
from cellsearch.errors import RunError
from cellsearch.study.storage import endings, heartbeat, queue, trials
from cellsearch.study.storage.attributes import RECORD, distributions
from cellsearch.study.storage.create import create
from cellsearch.study.storage.driver import Driver, open_driver, tell
from cellsearch.study.storage.heartbeat import Heart
from cellsearch.study.storage.trials import Proposed
from cellsearch.study.tables import database, records, schema, transactions
from cellsearch.study.tables.study_facts import Identity, Target
from cellsearch.study.tables.transactions import Store, Superseded
from cellsearch.study.tables.work_items import Item
from cellsearch.study.workers import worker
from cellsearch.study.workers.run import seeds_of
from cellsearch.study.workers.trial import runner
from cellsearch.train.outcome import Outcome
from tests.faults.processes import Search, end, until
from tests.faults.witness import Witness, accounts, board, in_optuna, rows_of, state, undisturbed
from tests.postgres import new_database
from tests.study.scripted import (
    DIGESTS,
    KEYS,
    Scripted,
    new_study,
    one_of,
    searched,
    space_of,
    variant,
    work,
)

pytestmark = pytest.mark.long

SPACE = space_of()
TRIALS = 12


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A storage URL of its own."""
    if request.param == "sqlite":
        yield URL.create("sqlite", database=str(tmp_path / "study.db")).render_as_string()
        return
    with new_database() as made:
        yield made


def made(url: str, count: int = TRIALS) -> Store:
    """The study s."""
    return create(url, "s", SPACE, Identity(SPACE.text, 1, DIGESTS), "test", Target(count), seeds_of(SPACE))


@pytest.fixture
def client(url: str) -> Iterator[Callable[[], optuna.Study]]:
    """Opens the study s as a plain client does."""
    storages: list[optuna.storages.RDBStorage] = []

    def opened() -> optuna.Study:
        storages.append(optuna.storages.RDBStorage(database.driven(url).render_as_string(False)))
        return optuna.load_study(study_name="s", storage=storages[-1])

    yield opened
    for storage in storages:
        storage.remove_session()
        storage.engine.dispose()


class Died(BaseException):
    """In the place of a kill: nothing that a worker does about errors is done."""


def as_worker(store: Store, name: str, lab: Scripted) -> None:
    """A worker of another id in this process, until nothing is left."""
    heart = Heart(store, replace(heartbeat.myself("worker"), id=name), SPACE.strategy.failures)
    worker.work(store, SPACE, lab, one_of(40), heart)


# F33


@pytest.mark.parametrize("place", ["after-decide", "after-claim", "after-evaluate", "after-commit"])
@pytest.mark.parametrize("count", [1, 6])
def test_a_trial_of_a_dead_worker_goes_on_under_its_own_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, count: int
) -> None:
    """At every point of a proposal: its adopter comes to what the first worker would have come to, repeats no stage
    that is recorded, and makes no other trial for it."""
    store, reached = new_study(tmp_path, SPACE, TRIALS), 0
    whole = searched(tmp_path / "whole", Scripted(), SPACE, one_of(40), TRIALS)

    def die(name: str) -> None:
        nonlocal reached
        held = [row for row in rows_of(store.url, schema.items) if row["owner"] == "first"]
        reached += name == place and held[0]["kind"] in ("propose", "refine")
        if reached == count:
            raise Died

    first, second = Scripted(), Scripted()
    with monkeypatch.context() as patched, pytest.raises(Died):
        patched.setattr(runner, "failpoint", die)
        as_worker(store, "first", first)
    (item,) = [row for row in rows_of(store.url, schema.items) if row["owner"]]
    before = in_optuna(store.url)
    assert before[item["trial"]].state == "RUNNING" and len(before) == item["trial"] + 1
    assert heartbeat.recover(store, "second", 9) == [item["trial"]]
    as_worker(store, "second", second)
    accounts(store.url, TRIALS)
    after = {row["trial"]: row["trial_id"] for row in rows_of(store.url, schema.items)}
    assert after[item["trial"]] == item["trial_id"]
    again = set(first.runs) & set(second.runs)
    assert (len(again) in (1, 4)) if place == "after-evaluate" else not again  # trained, and not recorded
    assert state(store.url) == state(whole.url)
    store.engine.dispose()
    whole.engine.dispose()


def test_a_living_worker_adopts_the_trial_of_one_that_was_killed(folder: Path) -> None:
    search = Search(folder, {"trials": 8, "wrong": {"seconds": 0.3}})
    witness = Witness(search.url)
    process = search.start()
    until(lambda: search.running() > 0, process)
    mine = {w.id for w in search.workers()}
    guest = search.join(seconds=0.3)

    def of_guest() -> list[dict[str, Any]]:
        rows = search.rows(schema.items)
        return [r for r in rows if r["owner"] not in {"", *mine} and r["kind"] in ("propose", "refine")]

    until(lambda: bool(of_guest()), process)
    (item,) = of_guest()
    witness.look()
    os.killpg(guest.pid, 9)
    guest.communicate()
    assert end(process) == (0, "")
    witness.look()
    accounts(search.url, 8)
    ended = next(row for row in search.rows(schema.items) if row["trial"] == item["trial"])
    assert (ended["trial_id"], ended["outcome"] != "") == (item["trial_id"], True)


# F34


def at_work(url: str) -> tuple[Store, Driver, Item]:
    """A study after its baseline, and a worker `late` with a proposal that has claimed its filter."""
    store = made(url, 0)
    work(store, SPACE, Scripted(), one_of(40))
    records.extend(store, Target(3))
    late = open_driver(store, "late")
    taken = queue.take(late)
    assert isinstance(taken, list)
    cell = variant(7)
    mark = fingerprint(cell)
    proposed = Proposed("propose", mark, functional_fingerprint(cell), "m", show(cell), "")
    item = trials.decide(late, taken[0], proposed)
    assert trials.claim(late, item, "filter", lambda _: KEYS[:1]) == KEYS[:1]
    return store, late, item


def writes(late: Driver, item: Item) -> dict[str, Callable[[], Any]]:
    """All that a worker writes to its trial."""
    trial = late.trial(item.trial_id)
    ranges = distributions(SPACE.limits, [variant(1)])
    outcome = Outcome(KEYS[0], "done", 0.99, 0.01, 3, 8, 100)
    score = {"score": 0.99, "failures": 9}
    return {
        "stage": lambda: trials.commit(late, item, "filter", [outcome], 1.0, lambda _: trial.report(0.99, 0)),
        "claim": lambda: trials.claim(late, item, "xml", lambda _: KEYS[:4]),
        "end": lambda: endings.finish(late, item, "ranked", trial=trial, **score),  # type: ignore[arg-type]
        "failure": lambda: endings.finish(late, item, "failed", trial=trial, cause="x", failures=9),
        "report": lambda: trial.report(0.5, 1),
        "attribute": lambda: trial.set_user_attr(RECORD, {"kind": "propose"}),
        "param": lambda: trial.suggest_int("cell.nodes", 0, 48),
        "params": lambda: late.storage.set_trial_params(item.trial_id, {"cell.nodes": 3}, ranges),
        "tell": lambda: late.study.tell(trial, 0.7),
        "result": lambda: tell(trial, "ranked", 0.7, {"outcome": "ranked"}),
        "failed trial": lambda: late.study.tell(trial, state=TrialState.FAIL),
    }


def refused(late: Driver, item: Item, *ended: type[Exception]) -> None:
    """No late write enters: each is refused, or says that the trial has ended, and changes nothing."""
    before = state(late.store.url)
    for what, write in writes(late, item).items():
        try:
            write()
        except Superseded:
            continue
        except ended:
            pass
        assert ended, f"{what} of a late worker was not refused"
    assert state(late.store.url) == before


def test_what_a_superseded_worker_writes_is_refused(url: str) -> None:
    """Before another worker adopts the trial, while that is at work on it, and after it has ended."""
    store, late, item = at_work(url)
    assert endings.release(store, ["late"], "other", crash="silent", failures=9) == [item.trial]
    refused(late, item)
    other = open_driver(store, "other")
    taken = queue.take(other)
    assert isinstance(taken, list) and (taken[0].trial, taken[0].trial_id) == (item.trial, item.trial_id)
    refused(late, item)
    endings.release(store, ["other"], "other", failures=9)
    work(store, SPACE, Scripted(), one_of(40))
    refused(late, item, UpdateFinishedTrialError, ValueError)
    assert [row["outcome"] for row in rows_of(url, schema.items) if row["trial"] == item.trial] != [""]
    store.engine.dispose()


def test_a_stage_that_is_committed_again_since_the_answer_was_lost_is_reported_once(url: str) -> None:
    """By then the best of the cell may have grown by another trial: what was shown stays."""
    store, late, item = at_work(url)
    outcome, reports = Outcome(KEYS[0], "done", 0.99, 0.01, 3, 8, 100), list[float | None]()
    for _ in range(2):
        assert trials.commit(late, item, "filter", [outcome], 1.0, reports.append) == 0.99
    assert reports == [0.99]
    store.engine.dispose()


# F35


def test_a_deleted_study_ends_the_search_with_a_word_and_a_new_one_shares_nothing_with_it(
    folder: Path,
) -> None:
    """On SQLite the new study and its trials have the ids of the deleted one."""
    search = Search(folder, {"trials": 400, "wrong": {"seconds": 0.02}})
    process = search.start()
    until(lambda: search.settings() >= 60, process)
    optuna.delete_study(study_name="s", storage=search.url)
    code, said = end(process)
    assert code == 1 and "the Optuna study 's' was deleted while it was in use" in said
    assert "Traceback" not in said and len(said.splitlines()) == 2
    assert search.run(trials=8) == (0, "")  # the same command: a new study
    accounts(search.url, 8)
    assert board(search.url) == undisturbed(folder, 8)
    engine = database.connect(search.url)
    with transactions.reading(engine, search.url) as connection:
        (ids,) = connection.execute(text("SELECT count(DISTINCT trial_id) FROM cellsearch_item")).one()
        (rows,) = connection.execute(
            text("SELECT count(*) FROM (SELECT DISTINCT study, trial FROM cellsearch_item)")
        ).one()
    assert ids < rows, "no id was used twice: this test has tested nothing"
    engine.dispose()


def test_a_study_deleted_at_any_stage_is_one_error(url: str, client: Callable[[], optuna.Study]) -> None:
    for moment in (1, 12, 13, 20, 27):  # stages: 1 to 12 are the baseline
        store = made(url)
        count = 0

        def delete(_mark: str, _task: str, moment: int = moment) -> None:
            nonlocal count
            count += 1
            if count == moment:
                study = client()
                study._storage.delete_study(study._study_id)

        with pytest.raises(RunError, match="was deleted while it was in use"):
            work(store, SPACE, Scripted(before=delete), one_of(40))
        assert "s" not in records.bound(store.engine, url)
        store.engine.dispose()
    store = made(url)
    work(store, SPACE, Scripted(), one_of(40))
    accounts(url, TRIALS)
    store.engine.dispose()


# F37


def ours(url: str) -> dict[str, Any]:
    found = state(url)
    del found["optuna"]
    return found


@pytest.mark.parametrize(
    "do",
    [
        lambda study, trial: study._storage.set_trial_user_attr(trial._trial_id, "note", "seen"),
        lambda study, trial: study._storage.set_trial_intermediate_value(trial._trial_id, 1, 7.0),
        lambda study, trial: study._storage.set_trial_intermediate_value(trial._trial_id, 99, -1.0),
        lambda study, trial: study.tell(trial.number, 5.0),
        lambda study, trial: study.tell(trial.number, state=TrialState.FAIL),
        lambda study, trial: study._storage.set_trial_user_attr(trial._trial_id, RECORD, {"kind": "seed"}),
    ],
    ids=["attribute", "step-1", "step-99", "complete", "fail", "record"],
)  # fmt: skip
def test_what_a_plain_client_writes_to_our_trials_changes_no_record(
    tmp_path: Path,
    url: str,
    client: Callable[[], optuna.Study],
    do: Callable[[optuna.Study, Any], None],
) -> None:
    """At every stage of every proposal; the records stay the truth, and no trial runs on."""
    store, study, written = made(url), client(), 0

    def interfere(_mark: str, _task: str) -> None:
        nonlocal written
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if trial.number >= len(SPACE.seeds):
                do(study, trial)
                written += 1

    work(store, SPACE, Scripted(before=interfere), one_of(40))
    assert written > TRIALS / 2
    whole = searched(tmp_path / "whole", Scripted(), SPACE, one_of(40), TRIALS)
    assert ours(url) == ours(whole.url)
    found = in_optuna(url)
    assert list(found) == list(range(2 + TRIALS))
    assert all(trial.state != "RUNNING" for trial in found.values())
    whole.engine.dispose()
    store.engine.dispose()


def test_trials_that_a_plain_client_adds_are_its_own(url: str, client: Callable[[], optuna.Study]) -> None:
    """It enqueues, asks, and adds; totals stay exact, and nothing of it becomes ours."""
    store, study, step = made(url), client(), 0

    def add(_mark: str, _task: str) -> None:
        nonlocal step
        step += 1
        if step % 7 in (0, 1):  # the client's own `ask` takes one of them
            study.enqueue_trial({"x": 1.0})
        elif step % 7 == 3:
            study.ask()
        elif step % 7 == 5:
            study.add_trial(create_trial(state=TrialState.COMPLETE, value=9.0))

    lab = Scripted(before=add)
    work(store, SPACE, lab, one_of(40))
    assert len(set(lab.runs)) == len(lab.runs)
    items = rows_of(url, schema.items)
    own = {row["trial"] for row in items}
    assert sum(row["kind"] in ("propose", "refine") for row in items) == TRIALS
    assert all(row["outcome"] for row in items)
    found = in_optuna(url)
    theirs = {number: trial for number, trial in found.items() if number not in own}
    assert {trial.state for trial in theirs.values()} == {"WAITING", "RUNNING", "COMPLETE"}
    assert not any(trial.attributes for trial in theirs.values())
    assert all(found[number].state != "RUNNING" for number in own)
    assert all(row["score"] is None or row["score"] < 9 for row in board(url)["rows"])
    store.engine.dispose()
