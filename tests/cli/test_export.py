"""`cellsearch export`: files that work without cellsearch, and what they say of where the cell comes from."""

import subprocess
import sys
from pathlib import Path

import pytest
from cli.conftest import Run

from cellsearch.dsl import zoo
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.load import load
from cellsearch.dsl.text import show
from cellsearch.exporters.formats import FORMATS, Format
from cellsearch.exporters.write import export


def test_the_verb_offers_what_there_is(run: Run) -> None:
    told = " ".join(run("export", "--help").out.split())
    for kind, form in FORMATS.items():
        assert f"{kind} ({form.about})" in told and form.suffix in told


def test_a_format_is_one_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The endings of files follow from the table, as the verb and its help do."""
    monkeypatch.setitem(FORMATS, "name", Format(".txt", "", lambda subject: subject.cell.name.encode()))
    (path,) = export(zoo.load("gru"), tmp_path / "a.txt")
    assert path.read_text() == "gru"


def test_an_onnx_model_needs_sizes(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="needs the package onnx")
    done = run("export", "gru", "--to", "onnx", "--out", str(tmp_path))
    assert done.code == 1 and "--input-size and --hidden-size" in done.err
    done = run("export", "gru", "--to", "onnx", "--hidden-size", "8", "--out", str(tmp_path))
    assert done.code == 2 and "give both" in done.err
    sizes = ("--input-size", "4", "--hidden-size", "8", "--layers", "2")
    done = run("export", "gru", "--to", "onnx", *sizes, "--out", str(tmp_path))
    assert done.code == 0 and (tmp_path / "gru.onnx").stat().st_size > 1000


def test_the_text_of_a_cell(run: Run, tmp_path: Path) -> None:
    assert run("export", "lstm", "--to", "cell,latex").out == "lstm.cell\nlstm.tex\n"
    text = (tmp_path / "lstm.cell").read_text()
    assert text == show(zoo.load("lstm")) and text.startswith("# Hochreiter & Schmidhuber (1997)")
    assert run("export", "lstm.cell", "--out", "again.cell").out == "again.cell\n"
    assert (tmp_path / "again.cell").read_text() == text


def test_a_variant_is_made_wherever_a_cell_is_taken(run: Run, tmp_path: Path) -> None:
    edits = ("--without", "o", "--couple", "f,i", "--peepholes", "i")
    shown = run("show", "lstm", *edits, "--json").json
    (file,) = run("export", "lstm", *edits, "--to", "cell", "--json").json["files"]
    assert fingerprint(load(tmp_path / file)) == shown["fingerprint"] != fingerprint(zoo.load("lstm"))
    (file,) = run("export", "lstm", *edits, "--json").json["files"]
    assert "# variant of   lstm (zoo)" in (tmp_path / file).read_text()
    for verb in ("export", "show"):
        done = run(verb, "gru", "--couple", "f")
        assert done.code == 2 and "--couple takes two gates" in done.err
    done = run("bench", "--cell", "gru", "--without", "o")
    assert done.code == 1 and "cell gru" in done.err


@pytest.mark.long
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


@pytest.mark.long
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
