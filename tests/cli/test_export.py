"""`cellsearch export`: files that work without cellsearch, and what they say of where the cell comes from."""

import subprocess
import sys
from pathlib import Path

import pytest
from cli.conftest import Run

from cellsearch.cli.verbs.export import TARGETS
from cellsearch.exporters.write import FORMATS


def test_the_verb_offers_what_there_is() -> None:
    assert set(TARGETS) == set(FORMATS)


def test_the_winner_is_written_with_where_it_comes_from(run: Run, study: str, tmp_path: Path) -> None:
    row = run("leaderboard", study, "--json").json["rows"][0]
    done = run("export", f"{study}:1", "--to", "torch,latex", "--out", "winner")
    assert done.code == 0 and done.err == ""
    files = [Path(line) for line in done.out.splitlines()]
    assert [file.suffix for file in files] == [".py", ".tex"] and all(
        file.parent.name == "winner" for file in files
    )
    for file in files:
        text = (tmp_path / file).read_text()
        assert row["fingerprint"] in text and "rank 1" in text and f"{row['score']:.6g}" in text
        assert "arithmetic" in text and "learning_rate" in text


def test_the_module_runs_alone(run: Run, tmp_path: Path) -> None:
    assert run("export", "gru", "--json").json == {"cell": "gru", "origin": "zoo", "files": ["gru.py"]}
    code = "import sys, torch, gru; print('cellsearch' in sys.modules, gru.GRU(3, 4)(torch.zeros(2, 1, 3))[0].shape)"
    text = (tmp_path / "gru.py").read_text()
    name = text[text.rindex("class ") + 6 :].partition("(")[0]
    done = subprocess.run(
        [sys.executable, "-c", code.replace("gru.GRU", f"gru.{name}")],
        cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout == "False torch.Size([2, 1, 4])\n"


def test_another_name_and_a_file_of_ones_own(run: Run, tmp_path: Path) -> None:
    assert run("export", "rnn", "--out", "mine.tex").out == "mine.tex\n"
    assert run("export", "rnn", "--name", "other").out == "other.py\n"
    assert run("export", "rnn", "--name", "a b").code == 1


def test_a_file_that_is_there_is_kept_unless_forced(run: Run, tmp_path: Path) -> None:
    assert run("export", "rnn").code == 0
    assert run("export", "rnn").code == 0  # the same contents
    (tmp_path / "rnn.py").write_text("mine")
    done = run("export", "rnn")
    assert done.code == 1 and "--force" in done.err and (tmp_path / "rnn.py").read_text() == "mine"
    assert run("export", "rnn", "--force").code == 0 and (tmp_path / "rnn.py").read_text() != "mine"


@pytest.mark.parametrize(
    ("kinds", "told"), [("latx", "did you mean 'latex'?"), ("", "at least one"), (",", "at least one")]
)
def test_unknown_kinds_are_wrong_usage(run: Run, kinds: str, told: str) -> None:
    done = run("export", "gru", "--to", kinds)
    assert done.code == 2 and told in done.err and "\\n" not in done.err
