"""F28: kills while files are written: each is the old or the new one, and nothing else has its name."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.processes import ROOT

pytestmark = pytest.mark.long

WRITE = """\
import sys; from pathlib import Path; from cellsearch.files import write_whole
target, texts = Path(sys.argv[1]), [bytes([65 + k]) * int(size) for k, size in enumerate(sys.argv[2:])]
print(flush=True)
while True:
    for text in texts: write_whole(target, text)
"""
EXPORT = """\
import sys; from cellsearch.dsl import zoo; from cellsearch.exporters.write import export
cells = [zoo.load(name) for name in ("lstm", "mut1")]
for cell in cells: export(cell, sys.argv[2], ["torch", "latex"], name="mine", overwrite=True)
print(flush=True)
while True:
    for cell in cells: export(cell, sys.argv[1], ["torch", "latex"], name="mine", overwrite=True)
"""
SIZES = (1, 70_000, 1_000_000)


def killed(code: str, words: list[str], seed: int, longest: float) -> None:
    """A process that writes again and again, killed at some moment."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"\n"
    time.sleep(random.Random(seed).uniform(0.0, longest))
    process.kill()
    process.communicate()


def writing(folder: Path, kills: int) -> None:
    target, seen = folder / "file", set()
    for seed in range(kills):
        killed(WRITE, [str(target), *map(str, SIZES)], seed, 0.02)
        if target.exists():
            data = target.read_bytes()
            assert data in [bytes([65 + k]) * size for k, size in enumerate(SIZES)]
            seen.add(len(data))
        others = [path for path in folder.iterdir() if path != target]
        assert all(path.name.startswith(".file.") and path.name.endswith(".partial") for path in others)
        assert len(others) <= seed + 1
    assert len(seen) > 1


def test_a_file_whose_writer_is_killed_is_whole(folder: Path) -> None:
    writing(folder, 15)


@pytest.mark.soak
def test_a_file_whose_writer_is_killed_two_hundred_times_is_whole(folder: Path) -> None:
    writing(folder, 200)


@pytest.mark.soak
def test_exports_that_are_killed_are_whole(folder: Path) -> None:
    allowed: dict[str, set[bytes]] = {}
    for seed in range(12):
        killed(EXPORT, [str(folder / "out"), str(folder / "whole")], seed, 1.0)
        for file in (folder / "whole").iterdir():
            allowed.setdefault(file.name, set()).add(file.read_bytes())
        for file in (folder / "out").glob("[!.]*") if (folder / "out").exists() else ():
            assert file.name in ("mine.py", "mine.tex")
            text = file.read_bytes()
            assert text in allowed[file.name] or (text.endswith(b"\n") and compiles(file))


def compiles(file: Path) -> bool:
    """Whether an export is whole, that has no other like it to compare with."""
    if file.suffix == ".py":
        compile(file.read_text(), str(file), "exec")
    return file.read_text().count("{") == file.read_text().count("}")
