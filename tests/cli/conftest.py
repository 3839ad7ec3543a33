"""The command line in this process, and searches without training for it to read."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cellsearch.cli.main import main
from tests.study.scripted import Scripted, one_of, searched, space_of


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ended]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in an empty directory, 100 columns wide."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: str, columns: int | None = None) -> Ended:
        if columns is not None:
            monkeypatch.setenv("COLUMNS", str(columns))
        capsys.readouterr()
        code = main(words)
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    return run


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a finished search."""
    folder = tmp_path_factory.mktemp("finished") / "s"
    searched(folder, Scripted(), space_of(), one_of(40), trials=20).engine.dispose()
    return folder


@pytest.fixture
def study(tmp_path: Path, finished: Path) -> str:
    """The name of a finished search under results/."""
    shutil.copytree(finished, tmp_path / "results" / "s")
    return "s"
