"""The log of a search as JSON lines: complete, once, and readable wherever it was torn."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from cellsearch.study.leaderboard import board
from cellsearch.study.leaderboard.events import Journal, JournalError, events
from cellsearch.study.tables import queries, records
from cellsearch.study.tables.transactions import Store
from tests.study.scripted import Scripted, one_of, searched, space_of

SPACE = space_of()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return searched(tmp_path_factory.mktemp("study"), Scripted(), SPACE, one_of(40))


def follow(path: Path, store: Store) -> list[dict[str, object]]:
    """All events after a search has brought its log up to date."""
    Journal(path).follow(store, records.facts(store), board.top(store, SPACE, 1)[0][0])
    return list(events(path))


def ended(found: list[dict[str, object]]) -> list[tuple[object, object]]:
    """The items of a log."""
    return [(event["trial"], event["piece"]) for event in found if event["event"] == "trial"]


@pytest.mark.long
def test_every_item_stands_in_it_once_with_what_the_records_say(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "search.jsonl"
    found = [event for event in follow(path, store) if event["event"] == "trial"]
    counts = queries.counts(store)
    seeds = [(seed, piece) for seed in (0, 1) for piece in range(7)]
    proposed = [(2 + k, 0) for k in range(counts.trials)]
    assert [(event["trial"], event["piece"]) for event in found] == seeds + proposed
    assert len(seeds) == counts.baseline + counts.told
    assert sum(event["outcome"] == "ranked" for event in found) == counts.ranked + counts.told > counts.told
    (based,) = (event for event in events(path) if event["event"] == "baseline")
    assert based["units"] == records.facts(store).units
    (best,) = (event for event in events(path) if event["event"] == "best")
    assert best["fingerprint"] == board.top(store, SPACE, 1)[0][0].fingerprint
    written = path.read_bytes()
    follow(path, store)  # the next search: nothing is new
    assert path.read_bytes() == written


@pytest.mark.long
def test_a_log_torn_at_any_byte_of_its_last_line_is_gone_on_with(tmp_path: Path, store: Store) -> None:
    whole = tmp_path / "whole.jsonl"
    complete = ended(follow(whole, store))
    lines = whole.read_bytes().splitlines(keepends=True)
    last = max(k for k, line in enumerate(lines) if b'"trial": ' in line)
    before = b"".join(lines[:last])
    for kept in range(len(lines[last])):
        path = tmp_path / f"torn-{kept}.jsonl"
        path.write_bytes(before + lines[last][:kept])
        assert ended(follow(path, store)) == complete, f"torn after {kept} bytes"
        path.unlink()


def test_another_leader_is_told_once(tmp_path: Path, store: Store) -> None:
    journal, known = Journal(tmp_path / "search.jsonl"), records.facts(store)
    first = board.top(store, SPACE, 1)[0][0]
    for leader in (None, first, first, replace(first, fingerprint="other"), first):
        journal.follow(store, known, leader)
    best = [event["fingerprint"] for event in events(journal.path) if event["event"] == "best"]
    assert best == [first.fingerprint, "other", first.fingerprint]


def test_a_log_that_cannot_be_written_is_an_error_that_says_so(tmp_path: Path, store: Store) -> None:
    (tmp_path / "search.jsonl").mkdir()
    with pytest.raises(JournalError, match=r"cannot (read|write) .*search\.jsonl"):
        follow(tmp_path / "search.jsonl", store)


def test_a_full_disk_is_told_and_what_is_missing_comes_later(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "search.jsonl"
    journal = Journal(path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(JournalError, match="No space left"):
            journal.append("message", {"text": "hello"})
    journal.follow(store, records.facts(store), None)
    counts = queries.counts(store)
    assert len(ended(list(events(path)))) == counts.trials + counts.baseline + counts.told
