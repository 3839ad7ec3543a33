"""Somebody who looks at a search from outside, as people do, and remembers everything that was shown.

In: the storage URL of a search. `look` asks `cellsearch status` and `leaderboard --all`, and the records behind
them, and compares with everything seen before: what was there is there, once, with the same value; numbers that
only grow have grown. So each look after a fault is the check of N1 and N4, and `accounts` at the end is that of
N2 and N3.
"""

import gc
import io
import json
import math
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select

from cellsearch.cli.find import find_cell
from cellsearch.cli.main import main
from cellsearch.dsl.fingerprint import fingerprint
from cellsearch.dsl.text import parse
from cellsearch.search import database, records, schema
from cellsearch.search.journal import NAME, events
from tests.search.scripted import Scripted, one_of, searched, space_of

GROWING = (
    "baseline",
    "trials",
    "proposed",
    "refined",
    "ranked",
    "filtered",
    "failed",
    "settings",
    "diverged",
    "twins",
)


def command(*words: str) -> tuple[int, str, str]:
    """A command in this process: its exit code, what it wrote to stdout, and to stderr."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(words)
    if any(word.startswith("postgresql:") for word in words):
        gc.collect()  # a process of its own would have ended, and its connections with it
    return code, out.getvalue(), err.getvalue()


def told(verb: str, url: str, *more: str) -> Any:
    """What a reading command says of the search s."""
    code, out, err = command(verb, "s", "--storage", url, "--json", *more)
    assert (code, err) == (0, ""), err
    return json.loads(out)


def board(url: str) -> Any:
    """`leaderboard --json --all` without the time that things took."""
    found = told("leaderboard", url, "--all")
    del found["counts"]["seconds"]
    return found


def there(url: str) -> bool:
    """Whether the search s is made already."""
    found = records.find(url, "s")
    if found is None:
        gc.collect()  # a server has only so many connections
        return False
    found.engine.dispose()
    return True


def rows_of(url: str, table: Any) -> list[dict[str, Any]]:
    """All rows of one of our tables, read in one look."""
    engine = database.connect(url)
    try:
        with schema.reading(engine, url) as connection:
            return [dict(row) for row in connection.execute(select(table)).mappings()]
    finally:
        engine.dispose()


@dataclass
class Witness:
    """The memory of somebody who looks at the search s of a storage URL."""

    url: str
    looks: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    best: float = -math.inf
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)  # fingerprint -> as it was shown last
    stages: dict[tuple[int, str], dict[str, Any]] = field(default_factory=dict)  # (slot, task) -> its record

    @property
    def acknowledged(self) -> int:
        """How many results were shown: settings of stages."""
        return sum(stage["settings"] for stage in self.stages.values())

    def look(self) -> bool:
        """Looks and compares; False where there is nothing to look at yet."""
        if not there(self.url):
            assert not self.looks, "the whole search is gone"
            return False
        status, table = told("status", self.url), told("leaderboard", self.url, "--all")
        self.looks += 1
        for key in GROWING:
            for shown in (status["counts"], table["counts"]):
                assert shown[key] >= self.counts.get(key, 0), (
                    f"{key} fell from {self.counts[key]} to {shown[key]}"
                )
                self.counts[key] = shown[key]
        assert table["counts"]["seconds"] >= status["counts"]["seconds"] >= 0
        self._board(table["rows"])
        self._stages()
        return True

    def _board(self, rows: list[dict[str, Any]]) -> None:
        shown = {row["fingerprint"]: row for row in rows}
        assert len(shown) == len(rows), "a cell stands twice on the leaderboard"
        for mark, before in self.rows.items():
            assert mark in shown, f"{before['name']} is gone"
            now = shown[mark]
            assert [now[key] for key in ("name", "text", "parent", "slot")] == [
                before[key] for key in ("name", "text", "parent", "slot")
            ]
            for was, task in zip(before["tasks"], now["tasks"], strict=True):
                same = was["settings"] == task["settings"]  # no setting came since: all of it is as it was
                keys = ("accuracy", "loss", "setting", "parameters", "hidden")
                assert not same or [was[key] for key in keys] == [task[key] for key in keys]
                assert task["settings"] >= was["settings"]
                assert (task["accuracy"] or -1.0) >= (was["accuracy"] or -1.0)
        self.rows = shown
        best = max((row["score"] for row in rows if row["rank"] is not None), default=-math.inf)
        assert best >= self.best, "the best score so far has fallen"
        self.best = best

    def _stages(self) -> None:
        found = {(row["slot"], row["task"]): row for row in rows_of(self.url, schema.stages)}
        for key, stage in self.stages.items():
            assert found.get(key) == stage, f"the stage {key} was shown and is another one now"
        self.stages = found


def accounts(url: str, trials: int, failed: int | None = 0) -> None:
    """Everything is done, everything claimed is recorded, nothing twice; every trial is once in Optuna; every id
    of the leaderboard finds the cell that was evaluated."""
    counts = told("status", url)["counts"]
    if failed is None:  # cells that diverge fail as they should; none has failed for a kill
        failed = counts["failed"]
        assert not any("crashed" in row["cause"] for row in rows_of(url, schema.slots))
    assert counts["baseline"] == counts["baseline_slots"] > 0
    assert (counts["trials"], counts["failed"], counts["running"], counts["free"]) == (trials, failed, 0, 0)
    slots = rows_of(url, schema.slots)
    lost = {row["number"] for row in slots if row["state"] == "failed"}  # a stage of these may have no end
    claimed = [(r["slot"], r["fingerprint"], r["task"], r["setting"]) for r in rows_of(url, schema.claims)]
    recorded = [
        (row["slot"], row["fingerprint"], row["task"], outcome["setting"])
        for row in rows_of(url, schema.stages)
        for outcome in json.loads(row["outcomes"])
    ]
    missing = Counter(claimed) - Counter(recorded)
    assert not Counter(recorded) - Counter(claimed) and {key[0] for key in missing} <= lost
    assert len({key[1:] for key in recorded}) == len(recorded) == counts["settings"]
    assert (
        Counter(row["state"] for row in slots)
        == Counter(done=counts["baseline"] + trials - failed, failed=failed) - Counter()
    )
    assert mirrored(url) == sorted(row["number"] for row in slots if row["kind"] != "baseline")
    rows = board(url)["rows"]
    assert all(fingerprint(parse(row["text"])) == row["fingerprint"] for row in rows)
    for row in rows[:5]:
        assert fingerprint(find_cell(row["fingerprint"], url).cell) == row["fingerprint"]


def check_files(url: str, mine: Path) -> None:
    """The files beside the records: ranked cells as they were evaluated, and each slot once in the log."""
    for row in board(url)["rows"]:
        if row["rank"] is not None:
            assert (mine / "cells" / f"{row['fingerprint'][:12]}.cell").read_text() == row["text"]
    logged = [event["slot"] for event in events(mine / "logs" / NAME) if event["event"] == "slot"]
    assert sorted(map(int, map(str, logged))) == sorted(row["number"] for row in rows_of(url, schema.slots))


def mirrored(url: str) -> list[int]:
    """The slots of the trials that are in Optuna, in order."""
    import optuna

    storage = optuna.storages.RDBStorage(database.driven(url).render_as_string(False))
    study = optuna.load_study(study_name="s", storage=storage)
    found = sorted(slot_of(trial) for trial in study.trials)
    storage.remove_session()
    storage.engine.dispose()
    return found


def slot_of(trial: Any) -> int:
    """The slot that a trial of Optuna is the mirror of."""
    slot = trial.params["slot"]
    assert isinstance(slot, int)
    return slot


def undisturbed(folder: Path, trials: int, mutants: int = 40) -> Any:
    """The leaderboard of a search of one worker that nobody disturbed."""
    store = searched(folder / "whole", Scripted(), space_of(), one_of(mutants), trials)
    store.engine.dispose()
    return board(store.url)
