"""F13: clocks that are an hour apart, and that jump while a search runs."""

from pathlib import Path
from typing import Any

import pytest

from cellsearch.study.tables import schema
from tests.faults.processes import Process, Search, end, until
from tests.faults.shim import Shim
from tests.faults.witness import Witness, accounts, board, undisturbed

pytestmark = pytest.mark.long

HOUR = 3_600.0


def durations(search: Search) -> list[float]:
    """Everything that says how long something took."""
    found = [row["seconds"] for row in search.rows(schema.stages)]
    found += [row["seconds"] for row in search.rows(schema.items)]
    assert all(seconds >= 0 for seconds in in_optuna(search.url))
    return found + [row["seconds"] for row in search.rows(schema.studies)]


def in_optuna(url: str) -> list[float]:
    """From the start of a trial to its end, both by the clock of their moment."""
    import optuna

    storage = optuna.storages.RDBStorage(url)
    trials = optuna.load_study(study_name="s", storage=storage).trials
    storage.remove_session()
    storage.engine.dispose()
    return [trial.duration.total_seconds() for trial in trials if trial.duration is not None]


@pytest.mark.soak
def test_a_clock_that_jumps_while_a_search_runs_changes_nothing(folder: Path, shim: Shim) -> None:
    """Forward and back by an hour, as with summer time or a machine that learns what time it is."""
    search = Search(folder, {"trials": 12, "wrong": {"seconds": 0.05}}, shim.environment)
    witness = Witness(search.url)
    process = search.start()
    for wanted, ahead in ((8, HOUR), (24, -HOUR), (48, 10 * 365 * 24 * HOUR), (60, 0.0)):
        until(lambda: search.settings() >= wanted, process)  # noqa: B023
        shim.ahead(ahead)
        witness.look()
    assert end(process) == (0, "")
    accounts(search.url, 12)
    assert all(0 <= seconds < 60 for seconds in durations(search))
    assert not any(row["attempts"] for row in search.rows(schema.items))
    assert board(search.url) == undisturbed(folder, 12)


def test_workers_whose_clocks_are_two_hours_apart_share_a_search(folder: Path, shim: Shim) -> None:
    """As on two hosts: one is an hour ahead, the other an hour behind."""
    wrong: dict[str, Any] = {"seconds": 0.1, "beat": 0.1, "silent": 20}
    search = Search(folder, {"trials": 12, "wrong": wrong}, shim.environment)
    shim.ahead(HOUR)
    process = search.start()
    until(lambda: search.running() > 0, process)
    behind = shim.clock.with_name("behind")
    behind.write_text(str(-HOUR))
    guest: Process = search.join({"CELLSEARCH_TEST_CLOCK": str(behind)}, **wrong)
    assert end(process) == (0, "")
    assert end(guest) == (0, "")
    accounts(search.url, 12)
    assert not any(row["attempts"] for row in search.rows(schema.items))  # no trial was taken away
    assert all(0 <= seconds < 60 for seconds in durations(search))
