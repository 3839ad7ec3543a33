"""Completion at the Tab key, as bash, zsh and fish ask for it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli.conftest import Run

from cellsearch.cli import completion
from cellsearch.cli.table import verbs
from cellsearch.dsl import zoo
from cellsearch.tasks import TASKS


def candidates(line: str, folder: Path) -> list[str]:
    """The candidates at the end of `line`, from a process that is started as a shell starts it."""
    answer = folder / "answer"
    environment = os.environ | {
        "_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_SUPPRESS_SPACE": "1", "_ARGCOMPLETE_SHELL": "bash",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer), "COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_TYPE": "9",
    }  # fmt: skip
    code = "import sys; sys.argv[0] = 'cellsearch'; from cellsearch.cli.main import main; main()"
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=folder, check=True, timeout=60)
    return answer.read_text().split("\n") if answer.exists() and answer.read_text() else []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "results" / "mine").mkdir(parents=True)
    (tmp_path / "results" / "mine" / "study.db").touch()
    return tmp_path


def test_verbs_and_options(folder: Path) -> None:
    assert set(candidates("cellsearch ", folder)) >= {verb.name for verb in verbs()}
    assert candidates("cellsearch leaderb", folder) == ["leaderboard"]
    assert "--without" in candidates("cellsearch show --w", folder)


@pytest.mark.long
def test_names(folder: Path) -> None:
    assert set(candidates("cellsearch show mut", folder)) == {"mut1", "mut2", "mut3"}
    assert set(candidates("cellsearch show ", folder)) >= {*zoo.names()}
    assert candidates("cellsearch search mi", folder) == ["mine"]
    assert "mine" in candidates("cellsearch status ", folder)
    assert set(candidates("cellsearch tasks ", folder)) >= set(TASKS)
    assert "csv" in candidates("cellsearch cells --format ", folder)
    assert "mine" not in candidates("cellsearch search --name ", folder)


def test_every_argument_with_candidates_gives_some() -> None:
    for names in completion.COMPLETERS.values():
        assert all(isinstance(word, str) for word in names())


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_the_script_of_each_shell(run: Run, shell: str) -> None:
    done = run("completion", shell)
    assert done.code == 0 and "cellsearch" in done.out and "_ARGCOMPLETE" in done.out


def test_a_shell_that_is_not_known(run: Run) -> None:
    done = run("completion", "bsh")
    assert done.code == 2 and "did you mean 'bash'?" in done.err
