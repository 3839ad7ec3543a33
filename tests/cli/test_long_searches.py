"""Every verb that reads a search, on 20,000 trials: seconds of this process that each may take.

The bounds are generous: a slow core takes 13 s where a fast one takes 4, and what is quadratic
in the number of trials takes minutes.
"""

import argparse
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli.conftest import Run

from cellsearch.cli.table import verbs
from cellsearch.study import studies
from cellsearch.study.tables import database, integrity
from tests.study.bulk import long_study
from tests.study.scripted import space_of

TRIALS = 20_000
MARK = f"{19_990:064x}"  # of the last ranked cell
READING: dict[str, list[tuple[tuple[str, ...], float]]] = {  # verb -> words, seconds of CPU
    "status": [(("status",), 4), (("status", "s"), 4), (("status", "s", "--json"), 4), (("status", "s", "--settings"), 10)],
    "leaderboard": [
        (("leaderboard",), 4), (("leaderboard", "s", "--rows", "1000"), 6), (("leaderboard", "s", "--all"), 24),
        (("leaderboard", "s", "--all", "--json"), 10), (("leaderboard", "s", "--json"), 4), (("leaderboard", "s", "--pareto"), 6),
        (("leaderboard", "s", "--pareto", "nodes", "--json"), 6),
    ],
    "show": [
        (("show", "s:1"), 4), (("show", "s:1000", "--json"), 4), (("show", "s:m19999"), 4), (("show", MARK), 6),
        (("show", "s:gru"), 4),
    ],
    "lineage": [(("lineage", "s:1"), 4), (("lineage", "s:1000", "--json"), 4)],
    "searches": [(("searches",), 4), (("searches", "--json"), 4)],
    "check": [(("check", "results/s/study.db"), 12), (("check", "results/s/study.db", "--json"), 12)],
    "export": [(("export", "s:1", "--to", "latex"), 8)],
}  # fmt: skip
OTHERS = (
    "search",
    "worker",
    "launch",
    "migrate",
    "dashboard",
    "rename",
    "delete",
    "archive",
    "verify",
    "train",
    "compare",
)  # they work on a search, or never end


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder above results/."""
    folder = tmp_path_factory.mktemp("long")
    (folder / "results" / "s").mkdir(parents=True)
    store = long_study(folder / "results" / "s", space_of(), TRIALS)
    database.settle(store.engine)
    yield folder


@pytest.mark.long
@pytest.mark.parametrize(
    ("words", "most"), [row for rows in READING.values() for row in rows], ids=lambda one: " ".join(one) if isinstance(one, tuple) else ""
)  # fmt: skip
def test_a_verb_that_reads(long: Path, run: Run, words: tuple[str, ...], most: float) -> None:
    os.chdir(long)
    began = time.process_time()
    done = run(*words)
    took = time.process_time() - began
    print(f"{' '.join(words)}: {took:.2f} s CPU, {len(done.out):,} characters")
    assert "defect" not in done.err and done.code == (
        words[0] == "check"
    )  # its cells are all one, so not sound
    assert done.out or words[0] == "check"
    if "--all" in words:
        assert done.out.count("m19") > 900
    assert took < most


def test_every_verb_that_reads_is_here() -> None:
    for verb in verbs():
        parser = argparse.ArgumentParser()
        verb.arguments(parser)
        if "--storage" in parser.format_help():
            assert (verb.name in READING) != (verb.name in OTHERS), f"{verb.name}: add a row to READING"


@pytest.mark.long
def test_a_whole_check_is_linear(long: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the end at the first twenty damages, which these cells bring about."""
    monkeypatch.chdir(long)
    study = studies.opened("s")
    began = time.process_time()
    found = list(integrity._damages(study.store))
    took = time.process_time() - began
    print(f"check of all: {took:.2f} s CPU")
    assert sum("its equations differ from" in line for line in found) == TRIALS
    assert took < 60
    study.store.engine.dispose()
