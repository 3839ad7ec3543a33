"""Ctrl-C at any moment ends a command with 130 and a word, never with a traceback."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cellsearch.__main__ import ended_in_imports

ROOT = Path(__file__).parents[2]
IMPORTED = """
import os, signal, time
os.kill(os.getpid(), signal.SIGINT)
try:
    time.sleep(20)
except BaseException as error:  # as libraries do that make something else of it
    raise ImportError("it did not load") from error
"""


def ended(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """A command that finds the modules in `folder` first."""
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    return subprocess.run(
        [sys.executable, "-m", "cellsearch", *words], cwd=folder, env=environment, capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("rich", ["cells"]), ("torch", ["check", "gru"]), ("torch", ["bench"]), ("sqlalchemy", ["status"]),
        ("yaml", ["spaces"]), ("numpy", ["show", "lstm"]), ("rich_argparse", ["--help"]),
    ],
)  # fmt: skip
def test_an_import_that_is_interrupted_is_no_traceback(tmp_path: Path, module: str, words: list[str]) -> None:
    (tmp_path / f"{module}.py").write_text(IMPORTED)
    done = ended(tmp_path, *words)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


@pytest.mark.long
def test_a_command_that_is_interrupted_anywhere_says_one_word(tmp_path: Path) -> None:
    for delay in (0.1, 0.2, 0.3, 0.5, 0.8, 1.2):
        process = subprocess.Popen(
            [sys.executable, "-c", "print(flush=True); from cellsearch.__main__ import run; exit(run())",
             "check", "lstm"],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout is not None and process.stdout.readline() == "\n"
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert (process.returncode, said) in ((130, "interrupted\n"), (0, "")), (delay, said)


def test_elsewhere_it_is_what_it_was() -> None:
    here = signal.getsignal(signal.SIGINT)
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # processes of pytest-xdist ignore it
        unchanged_outside_imports()
    finally:
        signal.signal(signal.SIGINT, here)


def unchanged_outside_imports() -> None:
    before = signal.getsignal(signal.SIGINT)
    with ended_in_imports(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
    assert signal.getsignal(signal.SIGINT) is before
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # as nohup and job control do
        with ended_in_imports():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
