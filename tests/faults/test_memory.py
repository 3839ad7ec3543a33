"""F20: a machine with too little memory: limits of the system, and whoever enforces them with a kill."""

from pathlib import Path

import pytest

from cellsearch.study.tables import schema
from tests.faults.processes import Search
from tests.faults.witness import Witness, accounts

pytestmark = pytest.mark.long


@pytest.mark.soak
def test_cells_that_want_more_memory_than_there_is_fail_and_the_others_do_not(folder: Path) -> None:
    """`ulimit -v`: one cell in five wants four gigabytes of three."""
    search = Search(folder, {"trials": 8, "space": {"refine": 0}, "wrong": {"memory": 4_000, "limit": 3_000}})
    witness = Witness(search.url)
    assert search.run() == (0, "")
    witness.look()
    failed = [row for row in search.rows(schema.items) if row["outcome"] == "failed"]
    assert 0 < len(failed) < 8
    assert {row["cause"] for row in failed} == {"the worker crashed 3 times: MemoryError: "}
    accounts(search.url, 8, failed=len(failed))


@pytest.mark.soak
def test_a_search_in_which_everything_fails_says_so_once(folder: Path) -> None:
    """It stops with the first cause, not with the last, and does not try for ever."""
    orders = {"trials": 100, "workers": 2, "space": {"failures": 4, "refine": 0}, "wrong": {"fail": True}}
    search = Search(folder, orders)
    code, said = search.run()
    assert code == 1 and "evaluations in a row failed; the first one: failed: out of memory" in said
    assert "Traceback" not in said and len(said.splitlines()) < 4
    outcomes = [row["outcome"] for row in search.rows(schema.items)]
    assert 4 <= outcomes.count("failed") <= 40  # those that the filter turns away end a row
