"""F22: folders with names that other programs stumble over, links, and names that no system has."""

import json
import os
import shutil
from pathlib import Path

import pytest

from cellsearch.study.space import parse_space
from cellsearch.study.tables.database import url_of
from cellsearch.study.workers.evaluator import TorchEvaluator
from cellsearch.study.workers.run import Options, start
from tests.faults.processes import Search
from tests.faults.witness import accounts, board, command, undisturbed
from tests.study.scripted import DIGESTS, TEXT, Scripted, one_of, searched, space_of

pytestmark = pytest.mark.long

ODD = [
    "a b", "ünï☃😀", "100%", "%41%2F", "a;b", "new\nline", "tab\t", "it's \"quoted\"", "$(touch x)", "`x`", "-dash", "--help",
    "#hash", "a?b=c&d", "a:b@c", "back\\slash", "[red]bold", "\x1b[31m", "..x", "CON", "x" * 255, "é" * 127,
    "file:memory:", " leading and trailing ", "\u202eright to left", "~", "*",
]  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a finished search."""
    folder = tmp_path_factory.mktemp("paths")
    searched(folder, Scripted(), space_of(), one_of(40), 4).engine.dispose()
    return folder / "study.db"


@pytest.mark.parametrize("name", ODD)
def test_a_folder_may_be_called_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, study: Path, name: str
) -> None:
    here = tmp_path / name
    (here / "results" / "s").mkdir(parents=True)
    shutil.copy(study, here / "results" / "s")
    monkeypatch.chdir(here)
    (here / "mine.cell").write_text("cell mine(x; h)\nh' = tanh[x, h]\n")
    (here / "recipe.json").write_text(json.dumps({"h_new_0": {"op": "linear", "input": ["x", "h_prev_0"]}}))
    (here / "mine.yaml").write_text(TEXT)
    inside, file = here / "inner" / name, str(here / "results" / "s" / "study.db")
    for words in (
        ["leaderboard", "s", "--json"], ["status"], ["show", "s:1"], ["check", "results/s/study.db"], ["check", "mine.yaml"],
        ["check", str(here / "mine.yaml")], ["show", str(here / "mine.cell")], ["import", "recipe.json", "--to", str(inside)],
        ["import", str(here / "recipe.json")], ["export", str(here / "mine.cell"), "--to", "latex", "--out", str(inside)],
    ):  # fmt: skip
        code, out, err = command(*words)
        assert (code, err) == (0, ""), (words, err)
        assert "\x1b" not in out and "\u202e" not in out
    assert {path.name for path in inside.iterdir()} == {"recipe.cell", "mine.tex"}
    code, out, err = command("check", file)  # a URL says less than a path: SQLAlchemy takes ? for itself
    assert (code, err) == (0, "") or (code == 2 and "cannot stand in a database URL" in err)
    code, out, err = command("leaderboard", "s", "--storage", f"sqlite:///{file}", "--json")
    assert code in (0, 1) and "defect" not in err and "Traceback" not in err
    lab = TorchEvaluator(
        parse_space(TEXT.replace("name: arithmetic", "name: t, task: text, options: {path: t.txt}")),
        1,
        inside,
    )
    (inside / "t.txt").write_text("to be or not to be\n" * 500)
    assert lab.digests()["t"]
    assert not list(here.glob("x")) and not list(tmp_path.glob("x"))


def test_a_search_runs_in_the_oddest_folder(folder: Path) -> None:
    here = folder / "a b%41é;c=d&e\n'\"$(touch x)#"
    search = Search(here, {"trials": 4, "workers": 2})
    assert search.run() == (0, "")
    url = url_of(here / "s" / "study.db")
    accounts(url, 4)
    assert {row["name"] for row in board(url)["rows"]} == {
        row["name"] for row in undisturbed(folder, 4)["rows"]
    }
    assert not list(folder.rglob("x"))


def test_folders_that_are_links(folder: Path, study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "elsewhere" / "s").mkdir(parents=True)
    shutil.copy(study, folder / "elsewhere" / "s")
    (folder / "results").symlink_to(folder / "elsewhere")
    monkeypatch.chdir(folder)
    assert command("leaderboard", "s")[0] == 0
    start(space_of(), "s", lambda _: DIGESTS, Options(trials=5), None).engine.dispose()
    assert json.loads(command("status", "s", "--json")[1])["target"]["trials"] == 5
    (folder / "nowhere").symlink_to(folder / "missing")
    (folder / "round").symlink_to(folder / "round")
    for link in ("nowhere", "round"):
        code, said = Search(folder / link).run()
        assert code == 1 and said.startswith("cannot make ") and "Traceback" not in said


@pytest.mark.parametrize(
    "words",
    [
        ["show", "a\0b.cell"], ["check", "a\0b.yaml"], ["check", "a\0b.db"], ["import", "a\0b.json"],
        ["search", "a\0b.yaml"], ["search", "quick", "--name", "a\0b"], ["leaderboard", "a\0b"], ["status", "a/b"],
        ["export", "gru", "--to", "latex", "--out", "a\0b"], ["import", "recipe.json", "--to", "a\0b"],
        ["show", "x" * 300 + ".cell"], ["check", "x" * 300 + ".yaml"], ["check", "x" * 300 + ".db"],
        ["import", "x" * 300 + ".json"], ["import", "recipe.json", "--to", "x" * 300], ["search", "x" * 5000 + ".yaml"],
        ["export", "gru", "--to", "latex", "--out", "x" * 300], ["leaderboard", "--storage", f"sqlite:///{'x' * 300}.db"],
        ["leaderboard", "--storage", "sqlite:///a\0b.db"], ["search", "quick", "--name", "x" * 101],
        ["check", "."], ["check", ".db"], ["check", "fifo.db"], ["check", "loop.db"], ["check", "fifo.cell"], ["import", "fifo"],
        ["leaderboard", "--storage", "sqlite:///."], ["leaderboard", "--storage", "sqlite:///fifo.db"],
    ],
    ids=lambda words: " ".join(words)[:50].replace("\0", "0"),
)  # fmt: skip
def test_paths_that_no_system_has_and_files_that_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("fifo")
    os.mkfifo("fifo.db")
    os.mkfifo("fifo.cell")
    Path("loop.db").symlink_to("loop.db")
    Path("recipe.json").write_text(json.dumps({"h_new_0": {"op": "linear", "input": ["x", "h_prev_0"]}}))
    code, out, err = command(*words)
    assert code in (1, 2) and out == ""
    assert "defect" not in err and "Traceback" not in err and "\0" not in err, err
    assert len(err.splitlines()) >= 1 and max(map(len, err.splitlines())) < 1_000
