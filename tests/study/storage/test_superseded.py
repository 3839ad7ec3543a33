"""A worker that has lost its trial writes nothing more to it, neither in our tables nor in Optuna's."""

from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.distributions import IntDistribution
from optuna.trial import Trial, TrialState

from cellsearch.study.storage import endings, trials
from cellsearch.study.storage.attributes import RECORD
from cellsearch.study.storage.driver import Driver, report, tell
from cellsearch.study.storage.trials import Proposed
from cellsearch.study.tables.transactions import Store, Superseded
from cellsearch.study.tables.work_items import Item
from cellsearch.train.outcome import Outcome
from tests.study.scripted import KEYS, SEEDS, based, drivers, space_of, take_one
from tests.study.storage.snapshots import snapshot

SPACE = space_of()
PROPOSED = Proposed("propose", "c" * 64, "f" * 64, "m", "cell m(x; h)\nh' = x\n", SEEDS["gru"])
OUTCOMES = [Outcome(KEYS[5], "done", 0.5, 1.0, 3, 8, 100)]
Late = Callable[[Driver, Item, Trial], object]
LATE: dict[str, Late] = {
    "report": lambda driver, item, trial: report(trial, 1, 0.5),
    "Trial.report": lambda driver, item, trial: trial.report(0.5, 1),
    "set_user_attr": lambda driver, item, trial: trial.set_user_attr(RECORD, {}),
    "set_system_attr": lambda driver, item, trial: trial.storage.set_trial_system_attr(
        trial._trial_id, "a", 1
    ),
    "suggest_int": lambda driver, item, trial: trial.suggest_int("cell.new", 0, 9),
    "parameters": lambda driver, item, trial: driver.storage.set_trial_params(
        trial._trial_id, {"cell.new": 3}, {"cell.new": IntDistribution(0, 9)}
    ),
    "decide": lambda driver, item, trial: trials.decide(driver, item, PROPOSED),
    "claim": lambda driver, item, trial: trials.claim(driver, item, "xml", lambda taken: [KEYS[1]]),
    "commit": lambda driver, item, trial: trials.commit(driver, item, "filter", OUTCOMES, 1.0),
    "commit and report": lambda driver, item, trial: trials.commit(
        driver, item, "filter", OUTCOMES, 1.0, lambda best: report(trial, 0, 0.5)
    ),
    "finish as ranked": lambda driver, item, trial: endings.finish(
        driver, item, "ranked", trial=trial, score=1.0, failures=9
    ),
    "finish as failed": lambda driver, item, trial: endings.finish(
        driver, item, "failed", trial=trial, cause="late", failures=1
    ),
    "tell": lambda driver, item, trial: tell(trial, "ranked", 1.0, {"outcome": "ranked"}),
    "Study.tell": lambda driver, item, trial: driver.study.tell(trial, 1.0),
    "Study.tell of a failure": lambda driver, item, trial: driver.study.tell(trial, state=TrialState.FAIL),
    "state": lambda driver, item, trial: trial.storage.set_trial_state_values(
        trial._trial_id, TrialState.COMPLETE, [1.0]
    ),
}


def lost(folder: Path, state: str) -> tuple[Store, Driver, Item, Trial]:
    """A trial with a decision, a claim and a stage that `me` has lost."""
    store = based(folder, SPACE, 3)
    me, you = map(drivers(store), ("me", "you"))
    item = trials.decide(me, take_one(me), PROPOSED)
    trial = me.trial(item.trial_id)
    trials.claim(me, item, "arithmetic", lambda taken: [KEYS[5]])
    trials.commit(me, item, "arithmetic", OUTCOMES, 1.0)
    endings.release(store, ["me"], "other", failures=9)
    if state != "free":
        assert take_one(you) == item
    if state == "ended":
        endings.finish(you, item, "filtered", trial=you.trial(item.trial_id), task="arithmetic", failures=9)
    return store, me, item, trial


@pytest.mark.long
@pytest.mark.parametrize("state", ["free", "adopted"])
@pytest.mark.parametrize("late", list(LATE))
def test_a_late_write_is_refused_and_changes_nothing(tmp_path: Path, late: str, state: str) -> None:
    store, me, item, trial = lost(tmp_path, state)
    before = snapshot(store)
    with pytest.raises(Superseded, match="trial"):
        LATE[late](me, item, trial)
    assert snapshot(store) == before


@pytest.mark.long
@pytest.mark.parametrize("late", list(LATE))
def test_after_the_end_of_a_trial_nothing_changes_either(tmp_path: Path, late: str) -> None:
    store, me, item, trial = lost(tmp_path, "ended")
    before = snapshot(store)
    refused = ValueError if late.startswith("Study.tell") else Superseded  # Optuna looks at the state first
    with pytest.raises(refused):
        LATE[late](me, item, trial)
    assert snapshot(store) == before


@pytest.mark.long
@pytest.mark.parametrize("late", list(LATE))
def test_what_is_refused_is_done_for_the_owner(tmp_path: Path, late: str) -> None:
    store, _, item, _ = lost(tmp_path, "adopted")
    you = drivers(store)("you")
    before = snapshot(store)
    LATE[late](you, item, you.trial(item.trial_id))
    assert (snapshot(store) == before) == (late == "decide")  # which was decided before


def test_a_worker_that_comes_back_takes_another_trial_of_its_own(tmp_path: Path) -> None:
    _, me, item, _ = lost(tmp_path, "adopted")
    assert take_one(me).trial == item.trial + 1
