"""`cellsearch compare`: what it prints and writes, and what it refuses."""

import csv
import io
from pathlib import Path

import pytest
from cli.conftest import Run

SPACE = """\
tasks:
  - {name: memorize, options: {symbols: 1, alphabet: 4, train: 1000, valid: 200, test: 200}}
  - {name: other, task: memorize, options: {symbols: 1, alphabet: 3, train: 1000, valid: 200, test: 200}}
grid: {learning_rate: [0.2, 4.0], parameters: [400]}
training: {max_epochs: 1, batch: 10, steps: 20}
"""


def test_two_cells_on_two_tasks(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(SPACE)
    words = ("compare", "gru", "rnn", "--space", "a.yaml", "--settings", "10", "--best", "0.2")
    first = run(*words)
    assert first.code == 0, first.err
    assert "4 populations to train" in first.err and "4 of 4: rnn on other, 10 settings" in first.err
    assert first.out.count("baseline") >= 3 and "hyperparameter" in first.out
    assert "written to results/compare/memorize-other" in first.out
    folder = tmp_path / "results" / "compare" / "memorize-other"
    assert {path.name for path in folder.iterdir()} == {
        "README.md", "compare.json", "compare.svg", "compare.lock", "outcomes.jsonl",
    }  # fmt: skip
    again = run(*words)
    assert again.out == first.out and "every training is recorded" in again.err
    told = run(*words, "--json").json
    assert told["folder"] == "results/compare/memorize-other" and told["best"] == 2
    rows = list(csv.DictReader(io.StringIO(run(*words, "--format", "csv").out)))
    known = [(task["name"], row) for task in told["tasks"] for row in task["rows"]]
    assert [(row["task"], row["cell"], row["statement"]) for row in rows] == [
        (task, row["cell"], row["statement"]) for task, row in known
    ]
    assert [row["mean"] for row in rows] == [repr(row["mean"]) for _, row in known]
    assert run("searches").code == 0  # the folder is no search


@pytest.mark.parametrize(
    "words, code, told",
    [
        (("gru", "gruu", "--task", "xml"), 1, "did you mean 'gru'?"),
        (("gru", "lstm", "--task", "xlm"), 1, "Did you mean 'xml'?"),
        (("gru", "lstm"), 2, "--task is required"),
        (("gru", "--task", "xml"), 2, "at least two cells"),
        (("gru", "lstm", "--task", "xml", "--baseline", "lstn"), 2, "did you mean 'lstm'?"),
        (("gru", "lstm", "--task", "xml", "--draw", "learning_rat=1..2"), 2, "did you mean 'learning_rate'?"),
        (("gru", "lstm", "--task", "xml", "--draw", "layers"), 2, "is not a range of a hyperparameter"),
        (("gru", "lstm", "--task", "xml", "--best", "2"), 2, "not a number between 0 and 1"),
        (("gru", "lstm", "--task", "xml", "--settings", "1"), 2, "is not from 2"),
        (("gru", "lstm", "--space", "quik"), 1, "did you mean 'quick'?"),
        (("gru", "lstm", "--task", "ptb", "--data", "gone"), 1, "gone"),
    ],
)
def test_what_cannot_be_compared_is_told(run: Run, words: tuple[str, ...], code: int, told: str) -> None:
    done = run("compare", *words)
    assert (done.code, done.out) == (code, ""), done.err
    assert told in done.err
