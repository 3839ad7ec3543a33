"""A new verb is a new file in cli/verbs, and nothing else."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from cli.conftest import Run

from cellsearch.cli import verbs

ROOT = Path(__file__).parents[2]
WAVE = '''
"""`cellsearch wave`."""

from cellsearch.cli import options
from cellsearch.cli.verb import Verb


def arguments(parser):
    parser.add_argument("at", metavar="AT")
    options.json(parser)


def run(args, terminal):
    terminal.text(f"waved at {args.at}\\n")
    return 0


VERBS = (Verb("wave", "greet a cell", arguments, run, "cellsearch wave gru"),)
'''


@pytest.fixture
def wave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with the file of a new verb, added to the folder of verbs."""
    folder = tmp_path / "more"
    folder.mkdir()
    (folder / "wave.py").write_text(WAVE)
    monkeypatch.setattr(verbs, "__path__", [*verbs.__path__, str(folder)])
    monkeypatch.delitem(sys.modules, "cellsearch.cli.verbs.wave", raising=False)
    return folder


def test_a_verb_is_one_file(wave: Path, run: Run) -> None:
    """Its line in the help, its own help, its arguments, their errors, and its exit code. The test of a verb
    that reads a search is its row of READING in test_long_searches, which asks for one; README has a row for
    each verb, which test_readme asks for."""
    assert "    wave " in run("--help").out and "greet a cell" in run("--help").out
    shown = run("wave", "--help")
    assert shown.code == 0 and "AT" in shown.out and "  cellsearch wave gru" in shown.out
    assert run("wave", "gru").out == "waved at gru\n"
    assert "the following arguments are required: AT" in run("wave").err
    assert "did you mean 'wave'?" in run("wav").err
    (wave / "wave.py").unlink()
    assert "there is no verb 'wave'" in run("wave", "gru").err


def test_files_of_verbs_load_nothing_large(tmp_path: Path) -> None:
    """Every command imports all of them: they need what arguments need, and the work is imported later."""
    program = textwrap.dedent("""
        import sys
        from cellsearch.cli.table import verbs
        verbs()
        print(*sorted(sys.modules))
    """)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    loaded = done.stdout.split()
    assert "cellsearch.cli.verbs.searches.search" in loaded
    ours = {name.split(".")[1] for name in loaded if name.startswith("cellsearch.")}
    assert ours <= {"cli", "exporters", "report", "errors"}, ours
    assert not {"torch", "optuna", "numpy", "sqlalchemy", "yaml"} & set(loaded)
