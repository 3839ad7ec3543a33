"""What is trained while the database is away: kept, found again by the next worker, and only where it fits."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cellsearch.errors import RunError
from cellsearch.study.leaderboard import board
from cellsearch.study.storage import heartbeat, trials
from cellsearch.study.storage.heartbeat import Heart
from cellsearch.study.tables import outbox, records
from cellsearch.study.tables.database import Unavailable
from cellsearch.study.tables.outbox import Outbox
from cellsearch.study.tables.transactions import Store
from cellsearch.study.tables.work_items import Item
from cellsearch.study.workers import worker
from cellsearch.study.workers.trial import recording
from cellsearch.train.outcome import Outcome
from tests.study.scripted import KEYS, Scripted, new_study, one_of, searched, space_of

SPACE = space_of()
ITEM = Item(14, 0, 15, "propose", "a" * 64, "b" * 64, "")
SETTINGS = (KEYS[3], KEYS[1])
OUTCOMES = (
    Outcome(KEYS[3], "done", 0.1 + 0.2, 1e-300, 3, 8, 100),
    Outcome(KEYS[1], "diverged", None, None, 1, 8, 100, "loss not finite"),
)


class Killed(BaseException):
    """As abrupt as a signal, for the code in between."""


def work_on(store: Store, lab: Scripted, folder: Path) -> None:
    heart = Heart(store, heartbeat.myself("worker"), 10)
    kept = outbox.outbox(folder, records.facts(store))
    worker.work(store, SPACE, lab, one_of(20), heart, outbox=kept)


@pytest.mark.long
def test_what_was_trained_while_the_database_was_away_is_recorded_by_the_next_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Scripted()
    expected = searched(tmp_path / "whole", whole, SPACE, one_of(20), trials=6)
    (tmp_path / "away").mkdir()
    store = new_study(tmp_path / "away", SPACE, 6)
    lab, commit, calls, deaths = Scripted(), trials.commit, 0, 0

    def away(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls % 3 == 1:
            raise Unavailable("the database is away")
        return commit(*arguments)

    def dies(call: Any, _timing: Any) -> Any:
        """The process ends while it waits for the database with a result in hand."""
        if call.__name__ == "commit":
            raise Killed
        return call()

    monkeypatch.setattr(recording, "patiently", dies)
    monkeypatch.setattr(trials, "commit", away)
    for _ in range(100):
        try:
            work_on(store, lab, tmp_path / "outbox")
            break
        except Killed:
            deaths += 1
            heartbeat.leave(store, [heartbeat.myself("worker").id], "other", failures=10)
    assert deaths > 5
    assert lab.runs == whole.runs  # nothing was trained twice
    assert board.leaderboard(store, SPACE, every=True) == board.leaderboard(expected, SPACE, every=True)
    assert not list((tmp_path / "outbox").iterdir())


def test_a_stage_comes_out_as_it_went_in(tmp_path: Path) -> None:
    kept = Outbox(tmp_path / "made", "s")
    assert kept.find(ITEM, "xml", SETTINGS) is None
    kept.keep(ITEM, "xml", OUTCOMES, 2.5)
    assert kept.find(ITEM, "xml", SETTINGS) == (OUTCOMES, 2.5)
    kept.forget(ITEM, "xml")
    assert kept.find(ITEM, "xml", SETTINGS) is None
    kept.forget(ITEM, "xml")


@pytest.mark.parametrize(
    ("study", "item", "task", "settings"),
    [
        ("other", ITEM, "xml", SETTINGS),
        ("s", replace(ITEM, trial=15), "xml", SETTINGS),
        ("s", replace(ITEM, piece=1), "xml", SETTINGS),
        ("s", replace(ITEM, fingerprint="c" * 64), "xml", SETTINGS),
        ("s", ITEM, "arithmetic", SETTINGS),
        ("s", ITEM, "xml", SETTINGS[::-1]),
    ],
)
def test_a_stage_of_something_else_is_none(
    tmp_path: Path, study: str, item: Item, task: str, settings: Sequence[str]
) -> None:
    Outbox(tmp_path, "s").keep(ITEM, "xml", OUTCOMES, 2.5)
    assert Outbox(tmp_path, study).find(item, task, settings) is None


@pytest.mark.long
def test_a_damaged_file_is_none(tmp_path: Path) -> None:
    kept = Outbox(tmp_path, "s")
    kept.keep(ITEM, "xml", OUTCOMES, 2.5)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    for end in range(len(whole)):
        file.write_bytes(whole[:end])
        assert kept.find(ITEM, "xml", SETTINGS) is None
    for at in range(0, len(whole), 7):  # another digit is another result, unless it is told by the digest
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert kept.find(ITEM, "xml", SETTINGS) in (None, (OUTCOMES, 2.5))
    file.write_bytes(b"[]")
    assert kept.find(ITEM, "xml", SETTINGS) is None


def test_an_outbox_that_cannot_be_written_is_an_error_for_people(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot make"):
        Outbox(tmp_path / "file", "s").keep(ITEM, "xml", OUTCOMES, 2.5)
