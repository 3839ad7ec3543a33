"""An observer of a search, who looks from outside as people do and remembers everything that was shown.

In: the storage URL of a search. `look` asks `cellsearch status` and `leaderboard --all`, and reads our tables and
Optuna's rows by SQL of its own. It compares them with each other and with everything seen before: what was there is
there, once, with the same value; numbers that only grow have grown. So each look after a fault is the check of N1 and
N4, and `accounts` at the end is that of N2 and N3.
"""

import gc
import io
import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select, text

from cellsearch.cli.main import main
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.text import parse
from cellsearch.study.leaderboard.events import NAME, events
from cellsearch.study.lookup import find_cell
from cellsearch.study.tables import database, records, schema, transactions
from tests.study.scripted import Scripted, one_of, searched, space_of

GROWING = (
    "told",
    "baseline",
    "trials",
    "proposals",
    "refinements",
    "undecided",
    "ranked",
    "filtered",
    "failed",
    "settings",
    "diverged",
    "equivalents",
)
STATES = {"": "RUNNING", "ranked": "COMPLETE", "filtered": "PRUNED", "failed": "FAIL"}
OPTUNA = {  # what is read of Optuna's tables, in one look
    "trials": "SELECT t.trial_id, t.number, t.state FROM trials t JOIN studies s ON s.study_id = t.study_id"
    " WHERE s.study_name = 's' ORDER BY t.number",
    "values": "SELECT trial_id, value, value_type AS kind FROM trial_values",
    "steps": "SELECT trial_id, step, intermediate_value AS value, intermediate_value_type AS kind"
    " FROM trial_intermediate_values ORDER BY step",
    "params": "SELECT trial_id, param_name, param_value FROM trial_params ORDER BY param_name",
    "attributes": "SELECT trial_id, key, value_json FROM trial_user_attributes ORDER BY key",
}


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


def rows_of(url: str, *several: Any) -> Any:
    """All rows of the study s in one of our tables, or in several, read in one look."""
    engine = database.connect(url)
    try:
        known = records.bound(engine, url)["s"]
        with transactions.reading(engine, url) as connection:
            found = [
                [dict(r) for r in connection.execute(select(t).where(column(t) == known)).mappings()]
                for t in several
            ]
    finally:
        engine.dispose()
    return found[0] if len(found) == 1 else found


def column(table: Any) -> Any:
    """The column of a table of ours that holds the study."""
    return table.c.id if table is schema.studies else table.c.study


@dataclass(frozen=True)
class Trial:
    """A trial as Optuna's tables have it, without times and ids."""

    state: str
    values: tuple[float | str | None, ...]
    steps: Mapping[int, float | str | None]  # intermediate values
    params: Mapping[str, float]
    attributes: Mapping[str, Any]


def in_optuna(url: str) -> dict[int, Trial]:
    """The trials of the study s by their number, each there once."""
    engine = database.connect(url)
    try:
        with transactions.reading(engine, url) as connection:
            rows = {name: connection.execute(text(query)).mappings().all() for name, query in OPTUNA.items()}
    finally:
        engine.dispose()
    parts: dict[str, dict[int, list[Any]]] = {name: defaultdict(list) for name in OPTUNA}
    for name, found in rows.items():
        for row in found:
            parts[name][row["trial_id"]].append(row)
    trials: dict[int, Trial] = {}
    for row in rows["trials"]:
        id, number = row["trial_id"], row["number"]
        assert number not in trials, f"trial {number} is twice in Optuna"
        attributes = {r["key"]: json.loads(r["value_json"]) for r in parts["attributes"][id]}
        if "result" in attributes:
            attributes["result"].pop("seconds", None)
        trials[number] = Trial(
            row["state"], tuple(_number(r) for r in parts["values"][id]),
            {r["step"]: _number(r) for r in parts["steps"][id]},
            {r["param_name"]: r["param_value"] for r in parts["params"][id]}, attributes,
        )  # fmt: skip
    return trials


def _number(row: Any) -> float | str | None:
    """A number as Optuna keeps it; the name of its kind where it is not finite."""
    return row["value"] if row["kind"].startswith("FINITE") else row["kind"]


@dataclass
class Witness:
    """The memory of an observer of the search s of a storage URL."""

    url: str
    looks: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    best: float = -math.inf
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)  # fingerprint -> as it was shown last
    stages: dict[tuple[int, int, str], dict[str, Any]] = field(
        default_factory=dict
    )  # (trial, piece, task) -> its record
    trials: dict[int, Trial] = field(default_factory=dict)  # number -> as Optuna had it last

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
        self._optuna()
        return True

    def _board(self, rows: list[dict[str, Any]]) -> None:
        shown = {row["fingerprint"]: row for row in rows}
        assert len(shown) == len(rows), "a cell stands twice on the leaderboard"
        for mark, before in self.rows.items():
            assert mark in shown, f"{before['name']} is gone"
            now = shown[mark]
            assert [now[key] for key in ("name", "text", "parent", "trial")] == [
                before[key] for key in ("name", "text", "parent", "trial")
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
        found = {(r["trial"], r["piece"], r["task"]): r for r in rows_of(self.url, schema.stages)}
        for key, stage in self.stages.items():
            assert found.get(key) == stage, f"the stage {key} was shown and is another one now"
        self.stages = found

    def _optuna(self) -> None:
        """Trials have no gap; one that has ended stays as it was; what was reported stays reported."""
        found = in_optuna(self.url)
        assert list(found) == list(range(len(found))), "a number is missing in Optuna"
        for number, before in self.trials.items():
            assert number in found, f"trial {number} is gone from Optuna"
            now = found[number]
            assert before.state == "RUNNING" or now == before, f"trial {number} had ended and is another one"
            assert before.steps.items() <= now.steps.items(), f"a report of trial {number} has changed"
            assert before.params.items() <= now.params.items()
            assert before.attributes.items() <= now.attributes.items()
        self.trials = found


def accounts(url: str, trials: int, failed: int | None = 0) -> None:
    """Everything is done, everything claimed is recorded, nothing twice; Optuna has each trial once, as it is
    recorded, and none that runs; every id of the leaderboard finds the cell that was evaluated."""
    counts = told("status", url)["counts"]
    items, stages, claims = rows_of(url, schema.items, schema.stages, schema.claims)
    if failed is None:  # cells that diverge fail as they should; none has failed for a kill
        failed = counts["failed"]
        assert not any("crashed" in row["cause"] for row in items)
    assert counts["baseline"] == counts["pieces"] > 0
    assert counts["told"] == counts["seeds"] > 0
    assert (counts["trials"], counts["failed"], counts["running"], counts["free"]) == (trials, failed, 0, 0)
    assert not any(row["owner"] for row in items)
    lost = {row["trial"] for row in items if row["outcome"] == "failed"}  # their stages may have no end
    claimed = [(r["trial"], r["piece"], r["fingerprint"], r["task"], r["setting"]) for r in claims]
    recorded = [
        (row["trial"], row["piece"], row["fingerprint"], row["task"], outcome["setting"])
        for row in stages
        for outcome in json.loads(row["outcomes"])
    ]
    missing = Counter(claimed) - Counter(recorded)
    assert not Counter(recorded) - Counter(claimed) and {key[0] for key in missing} <= lost
    assert len({key[2:] for key in recorded}) == len(recorded) == counts["settings"]
    outcomes = Counter(row["outcome"] for row in items)
    assert outcomes["failed"] == failed and outcomes["baseline"] == counts["baseline"]
    assert sum(outcomes.values()) == counts["baseline"] + counts["seeds"] + trials
    agree(url, items, stages)
    opens(url, counts["seeds"] + trials)
    rows = board(url)["rows"]
    assert all(fingerprint(parse(row["text"])) == row["fingerprint"] for row in rows)
    for row in rows[:5]:
        assert fingerprint(find_cell(row["fingerprint"], url).cell) == row["fingerprint"]


def agree(url: str, items: list[dict[str, Any]], stages: list[dict[str, Any]]) -> None:
    """Optuna's trials are those of the items: state, value, attributes, and a report for every stage."""
    store = records.open_study(url, "s")
    units, known = records.facts(store).units, in_optuna(url)
    store.engine.dispose()
    steps = steps_of(url)
    telling = {row["trial"]: row for row in items if row["kind"] != "baseline"}
    assert len(telling) == sum(row["kind"] != "baseline" for row in items), "two items tell one trial"
    assert sorted(telling) == list(known) == list(range(len(known)))
    accuracies: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in stages:
        if row["accuracy"] is not None:
            accuracies[row["fingerprint"], row["task"]].append(row["accuracy"])
    own = {(row["trial"], row["task"]): row for row in stages if telling[row["trial"]]["kind"] != "seed"}
    for number, trial in known.items():
        item = telling[number]
        assert trial.state == STATES[item["outcome"]] != "RUNNING", number
        value = item["score"] if item["outcome"] == "ranked" else None
        if item["outcome"] == "filtered":  # Optuna gives a pruned trial its last report
            value = trial.steps[max(trial.steps)]
        assert trial.values == ((value,) if isinstance(value, float) else ()), number
        assert trial.attributes["result"]["outcome"] == item["outcome"]
        if item["kind"]:
            assert trial.attributes["record"]["fingerprint"] == item["fingerprint"]
            assert trial.attributes["record"]["kind"] == item["kind"]
            assert len(trial.params) == 6
        names = [task for who, task in own if who == number]
        if item["kind"] == "seed":  # pieces of its grids, and the filter
            names = [*units, *({"filter"} & {row["task"] for row in stages if row["trial"] == number})]
        assert set(trial.steps) == {steps[task] for task in names}, number
        for task in names:
            unit = units.get(task, 1.0)
            there = {accuracy / unit for accuracy in accuracies[item["fingerprint"], task]}
            reported = trial.steps[steps[task]]
            least = max(there, default=None) if item["kind"] == "seed" else _ratio(own[number, task], unit)
            if isinstance(reported, float):  # the cell's best at that moment, which is no less than its own
                assert reported in there and (least is None or reported >= least), number
            else:
                assert reported == "NAN" and least is None, number


def steps_of(url: str) -> dict[str, int]:
    """Stage -> the step of its report, as the attributes of Optuna's study say."""
    engine = database.connect(url)
    query = "SELECT a.value_json FROM study_user_attributes a JOIN studies s ON s.study_id = a.study_id"
    with transactions.reading(engine, url) as connection:
        found = connection.execute(text(query + " WHERE s.study_name = 's' AND a.key = 'steps'")).scalar_one()
    engine.dispose()
    return {stage: int(step) for step, stage in json.loads(found).items()}


def _ratio(stage: dict[str, Any], unit: float) -> float | None:
    return None if stage["accuracy"] is None else stage["accuracy"] / unit


def opens(url: str, count: int) -> None:
    """A plain client of Optuna opens the study, with so many trials that have all ended."""
    import optuna

    storage = optuna.storages.RDBStorage(database.driven(url).render_as_string(False))
    study = optuna.load_study(study_name="s", storage=storage)
    assert len(study.trials) == count and all(trial.state.is_finished() for trial in study.trials)
    assert math.isfinite(study.best_value)
    storage.remove_session()
    storage.engine.dispose()


def check_files(url: str, mine: Path) -> None:
    """The files beside the records: ranked cells as they were evaluated, and each item once in the log."""
    for row in board(url)["rows"]:
        if row["rank"] is not None:
            assert (mine / "cells" / f"{row['fingerprint'][:12]}.cell").read_text() == row["text"]
    logged = [(e["trial"], e["piece"]) for e in events(mine / "logs" / NAME) if e["event"] == "trial"]
    assert sorted(map(str, logged)) == sorted(
        str((row["trial"], row["piece"])) for row in rows_of(url, schema.items)
    )


def state(url: str) -> dict[str, Any]:
    """All that a search has recorded, in our tables and in Optuna's, without times and ids: two searches that are
    the same have the same."""
    items, stages, claims, cells, equivalents = rows_of(
        url, schema.items, schema.stages, schema.claims, schema.cells, schema.equivalents
    )
    times = {"seconds", "trial_id", "study"}
    for row in stages:
        row["outcomes"] = json.loads(row["outcomes"])
    ours = {"items": items, "stages": stages, "claims": claims, "cells": cells, "equivalents": equivalents}
    found: dict[str, Any] = {
        name: sorted(({k: v for k, v in row.items() if k not in times} for row in rows), key=str)
        for name, rows in ours.items()
    }
    return found | {"optuna": in_optuna(url), "board": board(url)}


def undisturbed(folder: Path, trials: int, mutants: int = 40) -> Any:
    """The leaderboard of a search of one worker that nobody disturbed."""
    store = searched(folder / "whole", Scripted(), space_of(), one_of(mutants), trials)
    store.engine.dispose()
    return board(store.url)
