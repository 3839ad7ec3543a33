"""F1 and F2: workers and coordinators killed -9 at random moments lose nothing, repeat nothing, change nothing."""

from pathlib import Path
from typing import Any

import pytest

from cellsearch.study.space import parse_space
from cellsearch.study.storage import heartbeat
from cellsearch.study.storage.heartbeat import Heart
from cellsearch.study.tables.transactions import Store
from cellsearch.study.workers import worker
from tests.faults.killing import SLOW, Plan, kill
from tests.faults.processes import Process, Search, begun, torment
from tests.faults.witness import Witness, accounts, board, check_files, state, undisturbed
from tests.study.scripted import TEXT, Scripted, new_study, one_of, searched, space_of

pytestmark = pytest.mark.long

MUTANTS = 1_000  # so that a long search does not run out of cells


def killed(search: Search, trials: int, kills: int, seed: int) -> None:
    """A search that is killed so often and then goes to its end."""
    witness = Witness(search.url)
    hit = torment(search, witness, kills, seed)
    shown = witness.acknowledged
    assert search.run(wrong={"mutants": MUTANTS})[0] == 0
    witness.look()
    accounts(search.url, trials, failed=None)
    check_files(search.url, search.folder / "s")
    print(f"\n{kills} kills, {hit} times with a trial at work; {shown:,} results shown before, none lost")


def scripted(folder: Path, workers: int, trials: int) -> Search:
    return Search(
        folder, {"trials": trials, "workers": workers, "wrong": {"seconds": 0.03, "mutants": MUTANTS}}
    )


@pytest.mark.soak
def test_killed_at_random_it_is_the_search_that_was_not(folder: Path) -> None:
    search = scripted(folder, 1, 40)
    killed(search, 40, 8, 1)
    assert board(search.url) == undisturbed(folder, 40, MUTANTS)


def test_several_workers_killed_at_random_lose_nothing(folder: Path) -> None:
    killed(scripted(folder, 3, 30), 30, 8, 2)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(11, 16))
def test_forty_kills_of_one_worker_and_its_coordinator(folder: Path, seed: int) -> None:
    """Two hundred in all."""
    search = scripted(folder, 1, 240)
    killed(search, 240, 40, seed)
    assert board(search.url) == undisturbed(folder, 240, MUTANTS)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(21, 26))
def test_forty_kills_of_three_workers_and_their_coordinator(folder: Path, seed: int) -> None:
    """Two hundred in all."""
    killed(scripted(folder, 3, 240), 240, 40, seed)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_two_hundred_kills_of_one_worker_change_no_row(folder: Path, tmp_path: Path) -> None:
    """Work items, claims, stages, and Optuna's trials with their values, reports, params and attributes."""
    store = new_study(folder, space_of(), 600)
    store.engine.dispose()
    found = kill(Plan(store.url, workers=1, kills=200), tmp_path)
    accounts(store.url, 600, failed=None)
    whole = searched(folder / "whole", Scripted(), space_of(), one_of(MUTANTS), 600)
    whole.engine.dispose()
    assert state(store.url) == state(whole.url)
    assert found["at work"] >= 150
    print(f"\n{found}")


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_hundred_kills_of_four_workers_keep_the_totals(folder: Path, tmp_path: Path) -> None:
    store = new_study(folder, space_of(), 600)
    store.engine.dispose()
    print(f"\n{kill(Plan(store.url, workers=4, kills=100), tmp_path)}")
    accounts(store.url, 600, failed=None)


FOUR = "budget.cohort=4"  # trials of a worker at once
STAGES = 9  # at most between two kills: a round of four records as many at nearly one moment


def four_at_once(folder: Path, trials: int) -> Store:
    """A study whose workers have four trials at once, which nothing interrupts."""
    space = parse_space(TEXT, overrides=[FOUR])
    folder.mkdir()
    store = new_study(folder, space, trials)
    heart = Heart(store, heartbeat.myself("worker"), space.strategy.failures)
    worker.work(store, space, Scripted(), one_of(MUTANTS), heart, cohort=4)
    store.engine.dispose()
    return store


PLANS = pytest.mark.parametrize(
    ("trials", "plan"),
    [
        (60, {"kills": 5, **SLOW}),
        pytest.param(600, {"kills": 100}, marks=[pytest.mark.soak, pytest.mark.timeout(1800)]),
    ],
    ids=["short", "long"],
)


@PLANS
def test_kills_of_a_worker_with_four_trials_at_once_change_no_row(
    folder: Path, tmp_path: Path, trials: int, plan: dict[str, Any]
) -> None:
    store = new_study(folder, parse_space(TEXT, overrides=[FOUR]), trials)
    store.engine.dispose()
    found = kill(Plan(store.url, workers=1, stages=STAGES, **plan), tmp_path)
    accounts(store.url, trials, failed=None)
    assert state(store.url) == state(four_at_once(folder / "whole", trials).url)
    assert found["at work"] >= plan["kills"] / 2 and found["results shown"] > 0
    print(f"\n{found}")


@PLANS
def test_kills_of_three_workers_with_four_trials_each_keep_the_totals(
    folder: Path, tmp_path: Path, trials: int, plan: dict[str, Any]
) -> None:
    store = new_study(folder, parse_space(TEXT, overrides=[FOUR]), trials)
    store.engine.dispose()
    print(f"\n{kill(Plan(store.url, workers=3, seed=3, stages=STAGES, **plan), tmp_path)}")
    accounts(store.url, trials, failed=None)


def test_a_search_whose_workers_have_four_trials_each_is_killed_with_them(folder: Path) -> None:
    """The crashes are counted here: afterwards trials train one by one."""
    search = scripted(folder, 2, 24)
    search.orders["replace"] = {"trials: 12": "trials: 12, cohort: 4"}
    killed(search, 24, 5, 4)


TINY = """\
name: s
about: Trained in seconds.
seeds: [rnn, gru]
baseline: gru
strategy: {list: 5, refine: 0.3, settings: 2, threshold: 0.5, margin: 0, failures: 1000}
filter: {task: memorize, options: {symbols: 1, alphabet: 2, train: 200, valid: 100, test: 100}, accuracy: 0.1}
tasks:
  - {name: memorize, options: {symbols: 2, alphabet: 3, train: 8000, valid: 600, test: 600}}
grid: {init_scale: [1, 0.7], learning_rate: [0.5, 1], max_norm: [5, 1], layers: [1], parameters: [1500]}
training: {max_epochs: 6}
budget: {trials: 60}
"""


class Real(Search):
    """The real command, with real mutation and real training."""

    def start(self, **_: object) -> Process:
        file = self.folder.parent / "s.yaml"
        file.write_text(TINY)
        words = ["-m", "cellsearch", "search", str(file), "--workers", str(self.orders["workers"])]
        return begun([*self.python, *words], self.variables, self.folder.parent)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_real_training_that_is_killed_comes_to_the_same(folder: Path) -> None:
    whole = Real(folder / "whole" / "results", {"workers": 1})
    whole.folder.mkdir(parents=True)
    assert whole.run()[0] == 0
    for workers, kills in ((1, 12), (2, 8)):
        search = Real(folder / str(workers) / "results", {"workers": workers})
        search.folder.mkdir(parents=True)
        killed(search, 60, kills, workers)
        if workers == 1:
            assert board(search.url) == board(whole.url)
