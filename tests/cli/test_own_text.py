"""`cellsearch search SPACE --text FILE`: what takes the place of the tasks, and what is refused before a search."""

from pathlib import Path
from typing import Any

import pytest
from cli.conftest import Run

from cellsearch.api import search as api
from cellsearch.errors import UsageError
from cellsearch.study.space import Space, load_space, names
from cellsearch.study.space.own_text import LEAST
from cellsearch.tasks import build

LINE = "GET /index.html 200 12ms\n"


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Space, str]]:
    """Space and name of the searches that would have started."""
    found: list[tuple[Space, str]] = []

    def note(space: Space, name: str, *_: Any) -> int:
        found.append((space, name))
        return 143

    monkeypatch.setattr("cellsearch.api.search.run", note)
    return found


def test_the_text_takes_the_place_of_the_tasks(run: Run, tmp_path: Path, begun: list[Any]) -> None:
    (tmp_path / "my server.log").write_text(LINE * 40_000)
    done = run("search", "quick", "--text", "my server.log", "--set", "tasks.0.options.level=word")
    assert done.code == 143
    assert "my server.log: at most 80,000 symbols to train on" in done.err
    ((space, name),) = begun
    quick = load_space("quick")
    assert (name, space.name) == ("my-server-quick", "my-server-quick")
    (stage,) = space.tasks
    assert (stage.name, stage.task, stage.grid) == ("text", "text", quick.grid)
    assert stage.options["path"] == str(tmp_path / "my server.log")
    assert (stage.options["train"], stage.options["valid"], stage.options["level"]) == (
        80_000,
        10_000,
        "word",
    )
    assert (space.filter, space.strategy, space.training) == (quick.filter, quick.strategy, quick.training)
    run("search", "quick", "--text", "my server.log", "--name", "other")
    assert begun[-1][1] == "other"


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("length", [LEAST, 30_000, 400_000])
def test_parts_are_scaled_to_the_text(tmp_path: Path, name: str, length: int) -> None:
    path = tmp_path / "a.txt"
    path.write_text((LINE * (length // len(LINE) + 1))[:length])
    (stage,) = load_space(name, own_text=str(path)).tasks
    data = build(stage.task, stage.options, batch=stage.training.batch, seed=1, data=None)
    valid, train = data.valid.scored, data.train.scored
    assert valid >= 1_950 and train >= 0.59 * min(length, 60_000)
    largest = max(int(str(task.options["train"] or 0)) for task in load_space(name).tasks)
    assert train <= largest


def test_of_a_text_that_is_none_there_is_one_message(run: Run, tmp_path: Path, begun: list[Any]) -> None:
    (tmp_path / "nul.bin").write_bytes(b"a\0" * LEAST)
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9 " * LEAST)
    (tmp_path / "short.txt").write_text("x" * (LEAST - 1))
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "new\nline.txt").write_text(LINE * 1_000)
    for file, what, remedy in (
        ("gone.txt", "there is no file gone.txt", "check the path after --text"),
        ("", "there is no file", "check the path"),
        (".", "must be a file, but is a directory", ""),
        ("nul.bin", "nul.bin is a binary file", "give --text a text in UTF-8"),
        ("latin.txt", "is not UTF-8 (byte 0xe9 at offset 3)", "iconv"),
        ("short.txt", "short.txt has 9,999 characters, too few", "give --text at least 10,000"),
        ("empty.txt", "is empty", "Give a file with text"),
        ("new\nline.txt", r"new\nline.txt: a space cannot store this file name", "rename it"),
    ):
        done = run("search", "quick", "--text", file)
        assert (done.code, done.out) == (1, "")
        assert what in done.err and remedy in done.err and len(done.err.splitlines()) <= 2
    assert begun == [] and not (tmp_path / "results").exists()


def test_the_help_shows_how(run: Run) -> None:
    told = run("search", "--help").out
    assert "cellsearch search quick --text my.log" in told
    assert "--set tasks.2.options.level=word" in told
    load_space("quick", ["tasks.2.options.level=word", "budget.trials=80"])


def test_python_takes_a_text_with_a_space_by_name() -> None:
    with pytest.raises(UsageError, match="by name or file"):
        api.search(load_space("quick"), text="a.txt")
