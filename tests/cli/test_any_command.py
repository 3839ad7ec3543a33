"""Random command lines: each ends with 0, 1 or 2, a message where it is not 0, and within bounded time.

Verbs that train, listen or place workers are replaced: of them the words alone are read.
"""

import shlex
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cli.conftest import Run

from cellsearch.cli import table
from cellsearch.cli.arguments import parsers
from cellsearch.dsl import zoo
from cellsearch.errors import RunError
from cellsearch.study.space import source_of

SECONDS = 2.0  # of CPU time for one command
READING = (
    "status",
    "leaderboard",
    "show",
    "lineage",
    "check",
    "export",
    "import",
    "migrate",
    "cells",
    "tasks",
    "spaces",
)
SEARCHING = (
    "cellsearch.api.search.run",
    "cellsearch.cli.actions.search.dry_run",
    "cellsearch.cli.actions.search.replay",
    "cellsearch.study.workers.agent.join",
)
WORDS = [
    "gru", "lstm", "mut1", "quick", "gates", "quik", "s", "s:1", "s:99", "s:m3", "nosuch:1", "cafe", "0123456789ab",
    "my.yaml", "bad.yaml", "my.cell", "bad.cell", "gone.cell", ".", "..", "/", "/dev/null", "results", "results/s/study.db",
    "sqlite:///results/s/study.db", "sqlite:///gone.db", "postgresql://user@localhost:1/x", "mysql://x", "://",
    "xml", "text", "0", "1", "-1", "10", "1e9", "1e99", "2h", "0s", "1.5", "all", "cpu", "cuda:99", "torch,latex", "torch,",
    "i", "f,i", "none", "parameters", "nodes", "=", "a=b", "budget.trials=3", "tasks.0.options.train=10", "a.b.c=[", "",
    " ", "-", "--", "-h", "--help", "--version", "--jsn", "é", "\x1b[31mred", "\u202e", "x" * 5_000, "a\0b", "%s{}",
]  # fmt: skip
TEXTS = {
    "my.cell": "cell my(x; h)\nh' = tanh[x, h]\n",
    "bad.cell": "cell bad(x; h)\nh' = tan[x, h]\n",
    "my.yaml": "tasks: [{name: xml, options: {train: 2000, valid: 500, test: 500}}]\n",
    "bad.yaml": "tasks: [{name: xlm}]\nbudget: {trials: -1}\n",
}


def drawn(rng: np.random.Generator, options: dict[str, dict[str, bool]]) -> list[str]:
    """A verb with a few words and options; mostly as many values as they take, so that some commands run."""
    verb = str(rng.choice(sorted(options)))
    words = [verb] if rng.random() < 0.97 else []
    words += [WORDS[k] for k in rng.integers(len(WORDS), size=rng.choice([0, 1, 1, 1, 1, 2]))]
    for _ in range(int(rng.choice([0, 0, 1, 1, 2, 4]))):
        at = int(rng.integers(len(words) + 1)) if rng.random() < 0.1 else len(words)
        option = str(rng.choice(sorted(options[verb]) or ["--json"]))  # a verb may have none
        words.insert(at, option)
        if (rng.random() < 0.9) == options[verb].get(option, False):
            words.insert(at + 1, WORDS[rng.integers(len(WORDS))])
    return words


@pytest.mark.long
@pytest.mark.parametrize(
    ("commands", "seed"),
    [(200, 1), *(pytest.param(500, seed, marks=pytest.mark.soak) for seed in range(2, 6))],
)
def test_any_command_line_ends_cleanly(
    commands: int, seed: int, run: Run, study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verbs = tuple(
        verb if verb.name in (*READING, "search", "worker") else replace(verb, run=lambda args, terminal: 0)
        for verb in table.verbs()
    )
    monkeypatch.setattr(table, "verbs", lambda: verbs)

    def refuse(*_: object, **__: object) -> int:
        raise RunError("not started in this test")

    for name in SEARCHING:
        monkeypatch.setattr(name, refuse)
    monkeypatch.setattr(
        "cellsearch.cli.actions.cells._agreements",
        lambda found, terminal: (dict.fromkeys(zoo.names(), 0.0), 1.0),
    )
    for name, text in TEXTS.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "my2.yaml").write_text(source_of("quick"))
    for words in (["check", "my.cell"], ["export", "gru"], ["show", "s:1"], ["check", "my.yaml"], ["status"]):
        assert run(*words).code == 0  # what is loaded once
    _, by_name = parsers(verbs)
    options = {
        name: {o: action.nargs != 0 for action in parser._actions for o in action.option_strings}
        for name, parser in by_name.items()
    }
    for known in options.values():
        del known["--debug"], known["--help"], known["-h"]
    rng = np.random.default_rng(seed)
    codes = {0: 0, 1: 0, 2: 0}
    for _ in range(commands):
        words = drawn(rng, options)
        shown = shlex.join(words)
        begin = time.process_time()
        done = run(*words)
        assert time.process_time() - begin < SECONDS, shown
        assert done.code in codes, shown
        codes[done.code] += 1
        assert "Traceback" not in done.err and "defect" not in done.err, f"{shown}\n{done.err}"
        assert done.code == 0 or done.err.strip(), shown
        assert "\x1b" not in done.out + done.err, shown
    assert min(codes.values()) > commands / 20
