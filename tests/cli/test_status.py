"""`cellsearch status` and `cellsearch leaderboard`: what a search has found, read from its records."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from cli.conftest import Run

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.text import parse
from cellsearch.report.formatting import plural
from cellsearch.study.leaderboard import diagnostics
from cellsearch.study.mutation.sizes import MEASURES
from cellsearch.study.storage import heartbeat, queue
from cellsearch.study.storage.driver import open_driver
from cellsearch.study.storage.heartbeat import Worker
from cellsearch.study.tables.queries import Counts
from cellsearch.study.workers.evaluator import Say
from cellsearch.train.outcome import Outcome
from tests.study.scripted import SEEDS, Scripted, new_study, one_of, searched, space_of, uniform

ROW = {
    "rank", "name", "fingerprint", "score", "tasks", "parameters", "settings", "status", "parent", "trial", "text",
    "equivalents", "seed", "parent_name", "edits", "changes", "repeated", "tie", "above_chance", "verdict",
}  # fmt: skip


def test_the_leaderboard_is_ranked_and_has_the_seeds(run: Run, study: str) -> None:
    told = run("leaderboard", study, "--json").json
    rows = told["rows"]
    assert all(set(row) == ROW for row in rows)
    assert {"lstm", "gru"} <= {row["name"] for row in rows if row["seed"]}
    ranked = [row for row in rows if row["rank"] is not None]
    assert [row["rank"] for row in ranked] == list(range(1, len(ranked) + 1))
    assert [row["score"] for row in ranked] == sorted((row["score"] for row in ranked), reverse=True)
    for row in ranked:
        assert row["score"] == pytest.approx(min(task["ratio"] for task in row["tasks"]))
        assert [task["task"] for task in row["tasks"]] == ["arithmetic", "xml"]
        assert parse(row["text"]).name
    assert told["counts"]["trials"] == told["target"]["trials"] == 20
    assert set(told["units"]) == {"arithmetic", "xml"}


def test_the_table_says_what_json_says(run: Run, study: str) -> None:
    rows = run("leaderboard", study, "--json").json["rows"]
    done = run("leaderboard", study, columns=140)
    lines = done.out.splitlines()
    assert (
        lines[0].split()[:3] == ["#", "cell", "score"]
        and "arithmetic" in lines[0]
        and "equations" in lines[0]
    )
    for line, row in zip(lines[1:], rows, strict=False):
        assert line.split()[:3] == [str(row["rank"]), row["name"], f"{row['score']:.3f}"]
        assert f"{row['tasks'][0]['ratio']:.3f}  {100 * row['tasks'][0]['accuracy']:.1f}%" in line
    assert f"cellsearch export {study}:1 --to torch,latex" in lines[-1]
    c = run("leaderboard", study, "--json").json["counts"]
    kinds = f"{plural(c['proposals'], 'proposal')}, {plural(c['refinements'], 'refinement')}"
    assert f"20 of 20 trials ({kinds}): {c['ranked']} ranked, " in done.out
    assert "score: the smallest of a cell's ratios" in done.out


@pytest.mark.parametrize("columns", [1, 20, 40, 60, 80, 100, 140, 300])
def test_a_row_stays_a_row_at_every_width(run: Run, study: str, columns: int) -> None:
    done = run("leaderboard", study, columns=columns)
    assert done.code == 0
    table = done.out.split("\n\n")[0].splitlines()
    assert all(len(line) <= columns for line in table)
    if columns >= 40:
        assert sum(line.split()[1] == "gru" for line in table) == 1
        assert "Cho et al. (2014): z = sigmoid[x, h]" in " ".join(done.out.split())
        assert " with h' = tanh[x, h, bias=" in " ".join(done.out.split())  # where a mutant differs


def test_rows_chooses_how_many(run: Run, study: str) -> None:
    every = run("leaderboard", study, "--json", "--rows", "1e9").json["rows"]
    assert len(every) > 3
    assert {row["name"] for row in run("leaderboard", study, "--json", "--rows", "0").json["rows"]} == {
        "lstm",
        "gru",
    }
    two = run("leaderboard", study, "--json", "--rows", "2").json["rows"]
    assert [row for row in two if row["rank"] in (1, 2)] == every[:2]
    assert all(row["seed"] for row in two[2:])
    assert "more: --rows" in run("leaderboard", study, "--rows", "0").out
    for wrong in ("-1", "x", "1.5", "", "1e99", "0x10", "٣"):
        done = run("leaderboard", study, "--rows", wrong)
        assert (done.code, done.out) == (2, "") and "--rows" in done.err


def test_all_shows_what_was_filtered(run: Run, study: str) -> None:
    few = run("leaderboard", study, "--json").json["rows"]
    every = run("leaderboard", study, "--json", "--all").json["rows"]
    filtered = [row for row in every if row["status"].startswith("filtered")]
    assert filtered and len(every) > len(few)
    assert "filtered at" in run("leaderboard", study, "--all", columns=140).out


@pytest.mark.parametrize("cost", MEASURES)
def test_pareto_shows_the_front_and_the_seeds(run: Run, study: str, cost: str) -> None:
    every = run("leaderboard", study, "--json", "--rows", "1e9").json["rows"]
    told = run("leaderboard", study, "--pareto", cost, "--json").json
    assert (told["name"], told["cost"], told["width"]) == (study, cost, 100)
    rows = told["rows"]
    assert all(set(row) == {*ROW, "cost", "front"} for row in rows)
    assert all(row["cost"] == MEASURES[cost](parse(row["text"]), 100) for row in rows)
    front = [row for row in rows if row["front"]]
    costs = {row["fingerprint"]: MEASURES[cost](parse(row["text"]), 100) for row in every}
    beaten = {
        row["fingerprint"]
        for row in every
        for other in every
        if other["score"] >= row["score"] and costs[other["fingerprint"]] <= costs[row["fingerprint"]]
        if (other["score"], costs[other["fingerprint"]]) != (row["score"], costs[row["fingerprint"]])
    }
    assert [row["fingerprint"] for row in front] == [
        row["fingerprint"] for row in every if row["fingerprint"] not in beaten
    ]
    assert {row["name"] for row in rows if row["seed"]} == {"lstm", "gru"}

    done = run("leaderboard", study, "--pareto", cost, columns=140)
    table = done.out.split("\n\n")[0].splitlines()
    assert cost.replace("_", "-") in table[0].split()
    assert [line.split()[:3] for line in table[1:]] == [
        [str(row["rank"]), row["name"], f"{row['score']:.3f}"] for row in rows
    ]
    assert all(f" {row['cost']:,} " in line for row, line in zip(rows, table[1:], strict=True))
    assert ("100 units" in done.out) == (cost in ("parameters", "multiply_adds"))


def test_pareto_takes_the_cost_of_the_space(run: Run, study: str) -> None:
    assert run("leaderboard", study, "--pareto", "--json").json["cost"] == "parameters"
    assert run("leaderboard", study, "--pareto").code == 0
    assert run("leaderboard", "--pareto").code == 0  # the newest search


def test_pareto_tells_what_it_takes(run: Run, study: str) -> None:
    for word in ("matrces", study):
        done = run("leaderboard", study, "--pareto", word)
        assert (done.code, done.out) == (2, "")
        assert f"'{word}' is not a cost" in done.err
        assert "name of a search comes before --pareto" in done.err
    assert "did you mean 'matrices'?" in run("leaderboard", study, "--pareto", "matrces").err
    assert "not allowed with" in run("leaderboard", study, "--pareto", "--all").err
    known = " ".join(run("leaderboard", "--help").out.split())
    assert all(name in known for name in MEASURES)


def test_before_the_baseline_is_done_there_is_no_front(run: Run, tmp_path: Path) -> None:
    (tmp_path / "results/s").mkdir(parents=True)
    new_study(tmp_path / "results/s", space_of()).engine.dispose()
    done = run("leaderboard", "s", "--pareto")
    assert done.code == 0
    assert "the front appears when the baseline is done" in done.out
    assert "lstm" in done.out


@pytest.mark.long
def test_without_a_name_the_newest_is_shown(run: Run, tmp_path: Path) -> None:
    for age, name in enumerate(("old", "new")):
        store = searched(tmp_path / "results" / name, Scripted(), space_of(), one_of(40), trials=4 + age)
        store.engine.dispose()
    _rename(tmp_path, "old")
    _rename(tmp_path, "new")
    for file in (tmp_path / "results" / "old").iterdir():
        os.utime(file, (1, 1))
    done = run("leaderboard", "--json")
    assert done.json["name"] == "new" and "new, the newest" in done.err and "old" in done.err
    shutil.rmtree(tmp_path / "results" / "new")
    done = run("leaderboard", "--json")
    assert done.json["name"] == "old" and done.err == ""


def _rename(folder: Path, name: str) -> None:
    """Gives a scripted study, which is always called s, the name of its directory."""
    import sqlite3

    with sqlite3.connect(folder / "results" / name / "study.db") as connection:
        connection.execute("UPDATE studies SET study_name = ?", (name,))


@pytest.mark.parametrize("verb", ["status", "leaderboard"])
def test_without_a_search_it_is_told_how_to_start_one(run: Run, verb: str) -> None:
    done = run(verb)
    assert done.code == 1 and done.out == ""
    assert "there is no search in" in done.err and "cellsearch search quick" in done.err


@pytest.mark.parametrize("verb", ["status", "leaderboard"])
@pytest.mark.parametrize("name", ["nosuch", "../s", "S", "s/", "%s", "[red]", "a" * 300, "s\x00"])
def test_an_unknown_search_is_told(run: Run, study: str, verb: str, name: str) -> None:
    done = run(verb, name)
    assert done.code == 1 and done.out == ""
    assert "there is no search" in done.err and "there: s" in done.err


def test_status_tells_numbers_of_records(run: Run, study: str) -> None:
    told = run("status", study, "--json").json
    assert set(told["counts"]) == set(Counts.__dataclass_fields__)
    assert told["state"] == "finished" and told["workers"] == [] and told["stopped"] == ""
    assert told["counts"]["trials"] == 20
    done = run("status", study)
    c = told["counts"]
    assert told["target"] == {"trials": 20, "proposals": None}
    assert (c["seeds"], c["told"], c["undecided"]) == (2, 2, 0)
    assert c["proposals"] + c["refinements"] == 20 and c["proposals"] and c["refinements"]
    assert done.out.startswith(f"{study}  finished\n")
    assert done.out.splitlines()[1:5] == [
        f"baseline  2 of 2 seeds, {c['baseline']} of {c['pieces']} parts of their grids",
        f"trials    20 of 20 ({plural(c['proposals'], 'proposal')}, {plural(c['refinements'], 'refinement')})",
        f"outcomes  {c['ranked']} ranked, {c['filtered']} filtered, {c['failed']} failed",
        f"settings  {c['settings']} trained, {c['diverged']} diverged",
    ]
    shares = [
        f"{s['seed']} passes with {s['passed']} of {s['settings']} settings" for s in told["seeds_filter"]
    ]
    assert len(shares) == 2 and f"filter    {', '.join(shares)}" in done.out
    assert run("status", "--json").json["searches"] == [told]


def test_before_the_baseline_is_done_the_seeds_stand_without_scores(run: Run, tmp_path: Path) -> None:
    (tmp_path / "results" / "s").mkdir(parents=True)
    new_study(tmp_path / "results" / "s", space_of()).engine.dispose()
    assert run("status", "s", "--json").json["state"] == "not running"
    done = run("leaderboard", "s")
    assert done.code == 0 and "baseline is done: 0 of 2 seeds, 0 of 12 parts" in done.out
    assert "export" not in done.out
    assert {row["name"] for row in run("leaderboard", "s", "--json").json["rows"]} == {"lstm", "gru"}


@pytest.mark.long
def test_an_empty_leaderboard_says_where_the_cells_were_filtered(run: Run, tmp_path: Path) -> None:
    def poor(mark: str, task: str, setting: int) -> float | None:
        if mark in SEEDS.values():
            return 0.8
        return (0.99 if uniform(mark) < 0.5 else 0.93) if task == "filter" else 0.5

    searched(tmp_path / "results" / "s", Scripted(poor), space_of(), one_of(40), trials=20).engine.dispose()
    told = run("status", "s", "--json").json["filtered"]
    assert [sieve["stage"] for sieve in told] == ["filter", "arithmetic"]
    assert sum(sieve["filtered"] for sieve in told) == 20
    assert [(sieve["best"], round(sieve["wanted"], 4)) for sieve in told] == [(0.93, 0.95), (0.5, 0.72)]
    for verb in ("status", "leaderboard"):
        out = run(verb, "s").out
        assert "cells at the filter: best accuracy 0.9300, required 0.9500" in out
        assert "cells at arithmetic: best accuracy 0.5000, required 0.7200" in out


@pytest.mark.long
def test_an_empty_leaderboard_says_where_every_setting_diverged(run: Run, tmp_path: Path) -> None:
    def diverging(mark: str, task: str, setting: int) -> float | None:
        return 0.8 if mark in SEEDS.values() else (0.99 if task == "filter" else None)

    searched(
        tmp_path / "results" / "s", Scripted(diverging), space_of(), one_of(40), trials=3
    ).engine.dispose()
    assert run("status", "s", "--json").json["filtered"] == [
        {"stage": "arithmetic", "filtered": 3, "best": None, "wanted": pytest.approx(0.72)}
    ]
    for verb in ("status", "leaderboard"):
        assert "3 cells at arithmetic: every setting diverged\n" in run(verb, "s").out


@pytest.mark.long
def test_failures_of_all_cells_tell_the_last_cause(run: Run, tmp_path: Path) -> None:
    class Broken(Scripted):
        def evaluate(
            self, cell: Cell, task: str, settings: Sequence[str], seed: int, say: Say
        ) -> list[Outcome]:
            if fingerprint(cell) in SEEDS.values():
                return super().evaluate(cell, task, settings, seed, say)
            return [Outcome(key, "failed", None, None, 0, 8, 100, "out of memory") for key in settings]

    searched(tmp_path / "results" / "s", Broken(), space_of(), one_of(40), trials=3).engine.dispose()
    assert run("status", "s", "--json").json["counts"]["failed"] == 3
    assert "last failure: failed: out of memory" in run("status", "s").out


def test_a_dead_worker_and_nobody_at_work_are_told(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "results" / "s"
    folder.mkdir(parents=True)
    store = new_study(folder, space_of())
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    worker = heartbeat.identity("worker", process.pid)
    heartbeat.register(store, worker)
    queue.take(open_driver(store, worker.id))
    heartbeat.beat(store, worker, "baseline: lstm on xml")
    alive = run("status", "s").out
    assert f":{process.pid}  baseline: lstm on xml" in alive and "dead" not in alive
    process.kill()
    process.wait()
    told = run("status", "s", "--json").json
    assert (told["state"], told["abandoned"]) == ("not running", 1)
    assert told["dead"] == [
        {"name": f"{worker.host.partition('#')[0]}:{process.pid}", "doing": "baseline: lstm on xml"}
    ]
    out = " ".join(run("status", "s").out.split())
    assert f":{process.pid} has died (baseline: lstm on xml); see its log in results/s/logs" in " ".join(
        out.split()
    )
    assert "1 trial of a dead worker is not lost" in out
    assert "no worker is running; to start one on this machine: `cellsearch worker s`" in out
    assert "continue cellsearch search s " in out
    store.engine.dispose()


def test_a_thousand_workers_are_not_a_thousand_lines(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "results" / "s"
    folder.mkdir(parents=True)
    store = new_study(folder, space_of())
    for k in range(25):
        heartbeat.register(store, Worker(f"w{k}", "worker", f"host{k % 5}#1", k, "1"))
    out = run("status", "s").out
    assert "and 15 more, on 5 machines in all" in out and out.count("host") == 10
    assert len(run("status", "s", "--json").json["workers"]) == 25
    store.engine.dispose()


def test_a_full_disk_and_an_outbox_are_told(
    run: Run, study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = tmp_path / "results" / study / "outbox"
    outbox.mkdir()
    (outbox / "3-abc.json").write_text("{}")
    monkeypatch.setattr(diagnostics.shutil, "disk_usage", lambda path: SimpleNamespace(free=3_400_000))
    told = run("status", study, "--json").json
    assert told["outbox"] == 1 and told["scarce"][0]["free"] == 3_400_000
    out = run("status", study).out
    assert "1 trained stage waits in the outbox of this machine for the database" in out
    assert "3 MB left on this disk; free some space" in out


def test_a_storage_url_is_told_without_its_password(run: Run) -> None:
    done = run("leaderboard", "s", "--storage", "nosuch://user:geheim@host/db")
    assert done.code == 1 and "geheim" not in done.err + done.out
    done = run("status", "--storage", "sqlite:///nosuch/study.db", "--json")
    assert done.code == 1


@pytest.mark.parametrize("words", [("status",), ("leaderboard",), ("status", "s"), ("show", "abcd")])
def test_reading_makes_no_database(run: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    done = run(*words, "--storage", "sqlite:///nosuch.db")
    assert done.code == 1 and done.out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_database_is_read_wherever_it_lies(run: Run, study: str, tmp_path: Path) -> None:
    (tmp_path / "results" / study / "study.db").rename(tmp_path / "elsewhere.db")
    shutil.rmtree(tmp_path / "results")
    url = "sqlite:///elsewhere.db"
    assert run("status", "--storage", url, "--json").json["searches"][0]["name"] == study
    told = run("leaderboard", "--storage", url, "--json")
    assert told.json["name"] == study
    assert f"export {study}:1 --to torch,latex --storage {url}" in run("leaderboard", "--storage", url).out
    assert run("show", f"{study}:1", "--storage", url).code == 0


def test_a_file_that_is_no_database_is_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "results" / "x").mkdir(parents=True)
    (tmp_path / "results" / "x" / "study.db").write_text("no database" * 100)
    done = run("status", "x")
    assert done.code == 1 and "not a database" in done.err
