"""Verification of a scripted search: what is trained, recorded, shown, and how it goes on after a kill."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cellsearch.analysis.verify import run
from cellsearch.analysis.verify.work import Place, Work, data_seed
from cellsearch.cli.main import main
from cellsearch.errors import RunError, UsageError
from cellsearch.study import studies
from cellsearch.study.leaderboard import board
from cellsearch.study.scoring.verdicts import Call
from cellsearch.study.studies import Study
from cellsearch.study.tables import repeats
from cellsearch.study.tables.repeats import Repeat, Round
from tests.analysis import pooled
from tests.study.scripted import SEEDS, Scripted, new_study, one_of, searched, space_of, uniform

PLACE = Place("", 1)
BASE = SEEDS["gru"]
Quality = Callable[[str], float]


class Trainer:
    """Trains nothing: accuracies follow from cell, task, round and a quality; remembers its works."""

    def __init__(self, quality: Quality = lambda mark: 1.0, ends: int | None = None) -> None:
        self.quality, self.ends, self.works = quality, ends, list[Work]()

    def __call__(self, place: Place, work: Work) -> Round:
        if len(self.works) == self.ends:
            raise KeyboardInterrupt
        self.works.append(work)
        found = []
        for seed in work.seeds(place.seed):
            noise = 0.02 * (uniform(seed, work.task) - 0.5)
            accuracy = 0.6 * self.quality(work.fingerprint) * (1 + noise)
            found.append(Repeat(seed, "done", accuracy, 1.0, accuracy - 0.01, 1.1, 3, 5))
        digest = f"{data_seed(place.seed, work.look):064x}"
        return Round(work.fingerprint, work.task, work.look, work.setting, digest, tuple(found), 0.1)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """A search in results/s with ranked mutants."""
    store = searched(tmp_path / "results" / "s", Scripted(), space_of(), one_of(30), trials=20)
    store.engine.dispose()
    return studies.opened("s", None, tmp_path / "results")


@pytest.mark.long
def test_the_first_cells_and_the_baseline_are_trained_at_their_best_settings(study: Study) -> None:
    train = Trainer()
    rows = run.verify_study(study, 2, 8, place=PLACE, train=train)
    cells = [row for row in board.leaderboard(study.store, study.space) if row.rank and not row.seed][:2]
    assert [row.fingerprint for row in rows] == [row.fingerprint for row in cells]
    assert all(row.verdict and row.verdict.call == Call.LEVEL and row.verdict.repeats == 8 for row in rows)
    tasks = list(study.facts.units)
    wanted = [(mark, task) for mark in (BASE, *(row.fingerprint for row in cells)) for task in tasks]
    for look in (0, 1):
        assert [(w.fingerprint, w.task) for w in train.works if w.look == look] == wanted
    best = {
        (r.fingerprint, t.task): t.setting
        for r in board.leaderboard(study.store, study.space)
        for t in r.tasks
    }
    assert all(w.setting == best[w.fingerprint, w.task] for w in train.works)
    seeds = [seed for w in train.works for seed in w.seeds(1)]
    assert len(set(seeds)) == len(seeds) == len(tasks) * (16 + 2 * 8)
    assert data_seed(1, 0) != data_seed(1, 1) != data_seed(2, 1)


@pytest.mark.long
def test_a_cell_that_is_decided_is_not_trained_further(study: Study) -> None:
    _, (good, bad, even) = run.contestants(study, 3)
    quality = {good.fingerprint: 1.2, bad.fingerprint: 0.8}
    train = Trainer(lambda mark: quality.get(mark, 1.0))
    rows = run.verify_study(study, 3, 16, place=PLACE, train=train)
    assert [row.verdict and row.verdict.call for row in rows] == [Call.ABOVE, Call.BELOW, Call.LEVEL]
    assert {w.fingerprint for w in train.works if w.look} == {BASE, even.fingerprint}
    again = Trainer()
    run.verify_study(study, 2, 128, place=PLACE, train=again)  # all of them are decided
    assert again.works == []


@pytest.mark.long
def test_after_a_kill_the_same_call_goes_on(study: Study) -> None:
    with pytest.raises(KeyboardInterrupt):
        run.verify_study(study, 2, 8, place=PLACE, train=Trainer(ends=5))
    there = repeats.recorded(study.store)
    assert len(there) == 5
    train = Trainer()
    run.verify_study(study, 2, 8, place=PLACE, train=train)
    known = {(one.fingerprint, one.task, one.look) for one in there}
    assert not known & {(w.fingerprint, w.task, w.look) for w in train.works}
    found = repeats.recorded(study.store)
    assert all(one in found for one in there) and len(found) == 5 + len(train.works) == 12
    assert all(one.repeats == Trainer()(PLACE, _work(one)).repeats for one in found)


@pytest.mark.long
def test_two_processes_record_the_same_as_one(study: Study, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    shutil.copytree(tmp_path / "results" / "s", alone / "s")
    other = studies.opened("s", None, alone)
    rows = run.verify_study(other, 2, 4, place=PLACE, train=pooled.looked_up)
    (tmp_path / "met").mkdir()
    place, told = Place("", 1, str(tmp_path / "met")), list[run.Step]()
    again = run.verify_study(study, 2, 4, place=place, workers=2, tell=told.append, train=pooled.side_by_side)
    processes = {int(file.name) for file in (tmp_path / "met").iterdir()}
    assert len(processes) == 2 and os.getpid() not in processes
    recorded = repeats.recorded(study.store)
    assert recorded == repeats.recorded(other.store) and len(recorded) == 6
    assert [row.verdict for row in again] == [row.verdict for row in rows] and rows[0].verdict
    assert [(step.look, step.done, step.of) for step in told] == [(0, n, 6) for n in range(7)]
    other.store.engine.dispose()


@pytest.mark.long
def test_a_process_that_is_killed_ends_the_call_and_the_next_one_goes_on(study: Study) -> None:
    with pytest.raises(RunError, match="a worker process was killed"):
        run.verify_study(study, 2, 4, place=PLACE, workers=2, train=pooled.killed)
    there = repeats.recorded(study.store)
    assert len(there) < 6 and all(one.task == "arithmetic" for one in there)
    run.verify_study(study, 2, 4, place=PLACE, workers=2, train=pooled.looked_up)
    found = repeats.recorded(study.store)
    assert len(found) == 6 and all(one in found for one in there)
    assert all(one.repeats == pooled.looked_up(PLACE, _work(one)).repeats for one in found)


def _work(one: Round) -> Work:
    return Work(one.fingerprint, "", one.task, one.setting, one.look, one.fingerprint == BASE)


@pytest.mark.long
def test_a_search_without_ranked_cells_or_units_is_refused(tmp_path: Path) -> None:
    results = tmp_path / "results"
    (results / "new").mkdir(parents=True)
    new_study(results / "new", space_of(), name="new").engine.dispose()
    with pytest.raises(RunError, match="baseline of 'new' is not done"):
        run.verify_study(studies.opened("new", None, results), place=PLACE, train=Trainer())
    (results / "s").mkdir()
    searched(results / "s", Scripted(), space_of(), one_of(30), trials=0).engine.dispose()
    with pytest.raises(RunError, match="no mutant is ranked"):
        run.verify_study(studies.opened("s", None, results), place=PLACE, train=Trainer())


@pytest.mark.long
def test_a_number_between_two_looks_is_refused(study: Study) -> None:
    with pytest.raises(UsageError, match="one of 4, 8, 16"):
        run.verify_study(study, 2, 10, place=PLACE, train=Trainer())


@pytest.mark.long
def test_what_is_verified_is_shown_from_then_on(
    study: Study, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    _, (first, second) = run.contestants(study, 2)
    quality = {first.fingerprint: 1.2, second.fingerprint: 0.8}
    monkeypatch.setattr(run.work, "train", Trainer(lambda mark: quality.get(mark, 1.0)))
    assert main(["verify", "s", "--rows", "2", "--workers", "1", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [row["verdict"]["call"] for row in said["rows"]] == ["above", "below"]
    assert said["planned"]["repeats"] in (4, 8, 16)
    for words, wanted in (
        (
            ["verify", "s", "--rows", "2", "--workers", "1"],
            ("above gru", "below gru", "3% better", "below: at the setting that the search found"),
        ),
        (["leaderboard", "s"], ("verified", "above 1.", "below 0.", "chance: the best of")),
        (["status", "s"], ("verified", "above 1.")),
        (["show", f"s:{first.rank}"], ("above the baseline: 1.",)),
        (["leaderboard", "s", "--format", "csv"], ("verified_low", "chance", "tie")),
        (["leaderboard", "s", "--format", "markdown"], ("verified",)),
    ):
        assert main(words) == 0
        shown = capsys.readouterr().out
        assert all(part in shown for part in wanted), (words, shown)
    assert main(["leaderboard", "s", "--json"]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert whole["chance"]["high"] > whole["chance"]["middle"] > 0
    top = next(row for row in whole["rows"] if row["fingerprint"] == first.fingerprint)
    assert top["verdict"]["call"] == "above" and top["verdict"]["low"] > 1
    assert {task["task"] for task in top["verdict"]["tasks"]} == set(study.facts.units)
