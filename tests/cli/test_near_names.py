"""Words that are nearly right: the message names the one that is meant, and what to do."""

from pathlib import Path

import pytest
from cli.conftest import Run

WORDS = [
    (["check", "qick"], "neither a cell nor a space nor a file called 'qick'", "did you mean 'quick'?"),
    (["check", "grru"], "called 'grru'", "did you mean 'gru'?"),
    (["check", "own.cel"], "called 'own.cel'", "did you mean 'own.cell'?"),
    (["check", "more/own.cel"], "called 'more/own.cel'", "did you mean 'more/own.yaml'?"),
    (["check", "own.yml"], "there is no file own.yml", "did you mean 'own.yaml'?"),
    (["check", "s"], "'s' is the name of a search", "name its database: results/s/study.db"),
    (["check", "results/s"], "is the folder of a search", "name its database: results/s/study.db"),
    (["show", "own.cel"], "there is no cell 'own.cel'", "did you mean 'own.cell'?"),
    (
        ["restore", "saved.tgz"],
        "cannot read saved.tgz",
        "did you mean 'saved.tar.gz'? `cellsearch archive NAME`",
    ),
    (["import", "own.jsn"], "there is no file 'own.jsn'", "did you mean 'own.json'?"),
    (["migrate", "ss"], "there is no search 'ss' in", "did you mean 's'?"),
    (["search", "quick", "--text", "own.tx"], "there is no file own.tx", "did you mean 'own.txt'? check"),
]


@pytest.mark.parametrize(
    ("words", "told", "remedy"), WORDS, ids=lambda one: " ".join(one) if isinstance(one, list) else ""
)
def test_the_nearest_right_word_is_named(
    run: Run, study: str, words: list[str], told: str, remedy: str
) -> None:
    for name in ("own.cell", "own.yaml", "own.json", "own.txt", "saved.tar.gz", "more/own.yaml"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    done = run(*words)
    assert done.code == 1 and done.out == ""
    said = done.err.splitlines()
    assert told in said[0] and remedy in said[1], done.err


def test_nothing_is_near(run: Run) -> None:
    done = run("check", "qwertzuiop")
    assert "did you mean" not in done.err and "`cellsearch spaces` list" in done.err
