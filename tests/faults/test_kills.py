"""F1 and F2: workers and coordinators killed -9 at random moments lose nothing, repeat nothing, change nothing."""

from pathlib import Path

import pytest

from tests.faults.processes import Search, torment
from tests.faults.witness import Witness, accounts, board, undisturbed


def killed(folder: Path, workers: int, trials: int, kills: int, seed: int) -> Search:
    """A search that was killed so often and then went to its end."""
    search = Search(folder, {"trials": trials, "workers": workers, "wrong": {"seconds": 0.03}})
    witness = Witness(search.url)
    hit = torment(search, witness, kills, seed)
    shown = witness.acknowledged
    assert search.run(wrong={}) == (0, "")
    witness.look()
    accounts(search.url, trials)
    print(f"{kills} kills, {hit} times in the middle of a slot; {shown:,} results shown before, none lost")
    return search


def test_killed_at_random_it_is_the_search_that_was_not(folder: Path) -> None:
    search = killed(folder, 1, 40, 8, 1)
    assert board(search.url) == undisturbed(folder, 40)


def test_several_workers_killed_at_random_lose_nothing(folder: Path) -> None:
    killed(folder, 3, 40, 12, 2)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [11, 12])
def test_a_hundred_kills_of_one_worker_and_its_coordinator(folder: Path, seed: int) -> None:
    search = killed(folder, 1, 400, 100, seed)
    assert board(search.url) == undisturbed(folder, 400)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [21, 22])
def test_a_hundred_kills_of_three_workers_and_their_coordinator(folder: Path, seed: int) -> None:
    killed(folder, 3, 400, 100, seed)
