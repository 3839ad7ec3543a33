"""What is trained while the database is away: kept, found again by the next worker, and only where it fits."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cellsearch.errors import RunError
from cellsearch.search import board, liveness, records, slots, spool, worker
from cellsearch.search.database import Unavailable
from cellsearch.search.liveness import Heart
from cellsearch.search.schema import Store
from cellsearch.search.slots import Slot
from cellsearch.search.spool import Spool
from cellsearch.train.outcome import Outcome
from tests.search.scripted import Scripted, new_study, one_of, searched, space_of

SPACE = space_of()
SLOT = Slot(14, "propose", "a" * 64, "b" * 64, "")
OUTCOMES = (
    Outcome(3, "done", 0.1 + 0.2, 1e-300, 3, 8, 100),
    Outcome(1, "diverged", None, None, 1, 8, 100, "loss not finite"),
)


class Killed(BaseException):
    """As abrupt as a signal, for the code in between."""


def work_on(store: Store, lab: Scripted, folder: Path) -> None:
    heart = Heart(store, liveness.myself("worker"), 10)
    kept = spool.spool(folder, records.facts(store))
    worker.work(store, SPACE, lab, one_of(20), heart, spool=kept)


def test_what_was_trained_while_the_database_was_away_is_recorded_by_the_next_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Scripted()
    expected = searched(tmp_path / "whole", whole, SPACE, one_of(20), trials=6)
    (tmp_path / "away").mkdir()
    store = new_study(tmp_path / "away", SPACE, 6)
    lab, commit, calls, deaths = Scripted(), slots.commit, 0, 0

    def away(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls % 3 == 1:
            raise Unavailable("the database is away")
        return commit(*arguments)

    def dies(call: Any) -> Any:
        """The process ends while it waits for the database with a result in hand."""
        if call.__name__ == "commit":
            raise Killed
        return call()

    monkeypatch.setattr(worker, "patiently", dies)
    monkeypatch.setattr(slots, "commit", away)
    for _ in range(100):
        try:
            work_on(store, lab, tmp_path / "spool")
            break
        except Killed:
            deaths += 1
            liveness.leave(store, [liveness.myself("worker").id], failures=10)
    assert deaths > 5
    assert lab.runs == whole.runs  # nothing was trained twice
    assert board.leaderboard(store, SPACE, every=True) == board.leaderboard(expected, SPACE, every=True)
    assert not list((tmp_path / "spool").iterdir())


def test_a_stage_comes_out_as_it_went_in(tmp_path: Path) -> None:
    kept = Spool(tmp_path / "made", "s")
    assert kept.find(SLOT, "xml", [3, 1]) is None
    kept.keep(SLOT, "xml", OUTCOMES, 2.5)
    assert kept.find(SLOT, "xml", [3, 1]) == (OUTCOMES, 2.5)
    kept.forget(SLOT, "xml")
    assert kept.find(SLOT, "xml", [3, 1]) is None
    kept.forget(SLOT, "xml")


@pytest.mark.parametrize(
    ("study", "slot", "task", "settings"),
    [
        ("other", SLOT, "xml", [3, 1]),
        ("s", replace(SLOT, number=15), "xml", [3, 1]),
        ("s", replace(SLOT, fingerprint="c" * 64), "xml", [3, 1]),
        ("s", SLOT, "arithmetic", [3, 1]),
        ("s", SLOT, "xml", [1, 3]),
    ],
)
def test_a_stage_of_something_else_is_none(
    tmp_path: Path, study: str, slot: Slot, task: str, settings: Sequence[int]
) -> None:
    Spool(tmp_path, "s").keep(SLOT, "xml", OUTCOMES, 2.5)
    assert Spool(tmp_path, study).find(slot, task, settings) is None


def test_a_damaged_file_is_none(tmp_path: Path) -> None:
    kept = Spool(tmp_path, "s")
    kept.keep(SLOT, "xml", OUTCOMES, 2.5)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    for end in range(len(whole)):
        file.write_bytes(whole[:end])
        assert kept.find(SLOT, "xml", [3, 1]) is None
    for at in range(0, len(whole), 7):  # another digit is another result, unless it is told by the digest
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert kept.find(SLOT, "xml", [3, 1]) in (None, (OUTCOMES, 2.5))
    file.write_bytes(b"[]")
    assert kept.find(SLOT, "xml", [3, 1]) is None


def test_a_spool_that_cannot_be_written_is_an_error_for_people(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot make"):
        Spool(tmp_path / "file", "s").keep(SLOT, "xml", OUTCOMES, 2.5)
