"""`cellsearch train`: what it says, and what it refuses."""

from pathlib import Path

import pytest
from cli.conftest import Run

SPACE = """\
seeds: [gru]
baseline: gru
tasks:
  - {name: memorize, options: {symbols: 1, alphabet: 4, train: 2000, valid: 400, test: 400}}
  - {name: other, task: memorize, options: {symbols: 2, alphabet: 4, train: 2000, valid: 400, test: 400}}
training: {max_epochs: 2, batch: 10, steps: 20}
"""


@pytest.fixture
def space(tmp_path: Path) -> str:
    (tmp_path / "a.yaml").write_text(SPACE)
    return "a.yaml"


@pytest.mark.long
def test_a_zoo_cell_is_trained_and_then_there(run: Run, space: str, tmp_path: Path) -> None:
    words = ("train", "gru", "--task", "other", "--space", space, "--seeds", "2", "--hidden", "6")
    first = run(*words)
    assert first.code == 0, first.err
    assert "gru on other" in first.out and "1 layer of 6 units, 4 symbols" in first.out
    assert "written to models/gru-other-h6" in first.out and first.out.count("kept") == 1
    told = run(*words, "--json").json
    assert told["folder"] == "models/gru-other-h6" and not told["new"] and told["recorded"] is None
    assert "already exists: models/gru-other-h6" in run(*words).out
    done = run(*words, "--setting", "learning_rate=2")
    assert done.code == 1 and "holds another model" in done.err and "--force" in done.err
    (tmp_path / "boom.cell").write_text("cell boom(x; h)\nh' = exp(exp[x, h, bias=10])\n")
    done = run("train", "boom.cell", *words[2:], "--out", "models/gru-other-h6", "--force")
    assert done.code == 1 and "every seed diverged" in done.err
    assert run(*words).out.count("already exists") == 1  # what was there stays until a new one is whole


@pytest.mark.parametrize(
    "words, code, told",
    [
        (("gru",), 2, "--task is required: one of memorize, arithmetic"),
        (("gru", "--task", "xmll"), 1, "Did you mean 'xml'?"),
        (("gru", "--space", "a.yaml"), 2, "--task is required: one of memorize, other"),
        (("gru", "--space", "a.yaml", "--task", "xml"), 1, "there is no task 'xml' here"),
        (("gru", "--task", "memorize", "--setting", "rate=1"), 2, "a setting has init_scale, learning_rate"),
        (("gru", "--task", "memorize", "--set", "options.trian=5"), 1, "unknown option"),
        (("gru", "--task", "memorize", "--set", "training.batch=0"), 1, "out of range"),
        (("gruu", "--task", "memorize"), 1, "did you mean 'gru'?"),
        (("s:1", "--task", "nosuch"), 1, "there is no task 'nosuch' here"),
        (("s:1", "--task", "xml", "--space", "a.yaml"), 2, "--space is only for cells that no search found"),
        (("s:1", "--task", "xml"), 1, "the data of xml are not those of the search 's'"),
    ],
)
def test_what_cannot_be_trained_is_told(
    run: Run, study: str, space: str, words: tuple[str, ...], code: int, told: str
) -> None:
    done = run("train", *words)
    assert (done.code, done.out) == (code, ""), done.err
    assert told in done.err


def test_a_folder_of_something_else_stays(run: Run, space: str, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").write_text("x")
    done = run("train", "gru", "--task", "memorize", "--space", space, "--out", "mine")
    assert done.code == 1 and "is not a model of cellsearch" in done.err
    assert (tmp_path / "mine" / "notes").read_text() == "x"


def test_an_unknown_task_is_told_alike_everywhere(run: Run) -> None:
    listed, trained = run("tasks", "xmll"), run("train", "gru", "--task", "xmll")
    assert listed.code == trained.code == 1
    assert listed.err == trained.err != ""
