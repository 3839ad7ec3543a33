"""`cellsearch show`: which cell is meant, and what is said about it."""

from pathlib import Path

import pytest
from cli.conftest import Run
from covering import ZOO

from cellsearch.dsl import zoo
from cellsearch.dsl.drawing.wires import draw
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.text import parse, show

GRU = """\
  cell gru(x; h)              x h
  z = sigmoid[x, h]           ■─■─╮
  r = sigmoid[x, h]           ■─■─┼─╮
  rh = r * h                  │ ●─┼─●─╮
  n = tanh[x, rh]             ■─┼─┼───■─╮
  h' = z * h + (1 - z) * n      ●─●─────●─→
"""


def test_a_zoo_cell_is_drawn_and_counted(run: Run) -> None:
    done = run("show", "gru", "--input", "3", "--hidden", "5")
    assert done.code == 0 and done.err == ""
    assert GRU in done.out
    assert "update of h" in done.out and "135 in a layer with 3 inputs and 5 units" in done.out
    assert "Cho et al. (2014)" in done.out


def test_json_tells_the_same(run: Run) -> None:
    told = run("show", "peephole_lstm", "--json", "--input", "3", "--hidden", "5").json
    assert told["fingerprint"] == fingerprint(zoo.load("peephole_lstm"))
    assert parse(told["text"]) == zoo.load("peephole_lstm")
    assert told["peepholes"] == ["i.c", "f.c", "o.c_new"]
    assert {gate["role"] for gate in told["gates"]} == {"input", "forget", "output"}
    shapes = {weight["name"]: weight["shape"] for weight in told["weights"]}
    assert shapes["i.x"] == [3, 5] and shapes["i.h"] == [5, 5] and shapes["i.c"] == [5]
    assert told["parameters"] == 4 * (3 * 5 + 5 * 5 + 5) + 3 * 5


@pytest.mark.parametrize("name", ZOO)
@pytest.mark.parametrize("columns", [1, 20, 40, 80, 200])
def test_every_zoo_cell_fits_every_width(run: Run, name: str, columns: int) -> None:
    done = run("show", name, columns=columns)
    assert done.code == 0
    if columns >= 40:
        assert max(map(len, done.out.splitlines())) <= columns


@pytest.mark.parametrize("name", ZOO)
def test_a_drawing_joins_each_equation_with_what_it_reads(name: str) -> None:
    cell = zoo.load(name)
    drawing = draw(cell)
    lines = [line for line in show(cell).splitlines() if not line.startswith("#")]
    assert [text for _, text in drawing.rows] == lines
    equations = [row for row in drawing.rows if " = " in row[1]]
    assert all(wires[-1] in "╮→" or "╮" in wires for wires, _ in equations)


def test_what_is_shown_of_states_that_are_taken_over() -> None:
    rows = draw(parse("cell t(x; h, a)\nh' = tanh[x, a]\na' = h'\n")).rows
    assert rows == (("x h a", "cell t(x; h, a)"), ("■───■─╮", "h' = tanh[x, a]"), ("      ●─→", "a' = h'"))


def test_a_file_comes_after_the_zoo_and_before_letters(run: Run, tmp_path: Path) -> None:
    (tmp_path / "af81").write_text("cell mine(x; h)\nh' = tanh[x, h]\n")
    assert run("show", "af81", "--json").json["name"] == "mine"
    (tmp_path / "gru").write_text("cell mine(x; h)\nh' = tanh[x, h]\n")
    assert run("show", "gru", "--json").json["name"] == "gru"
    assert run("show", "./gru", "--json").json["name"] == "mine"


def test_a_found_cell_is_shown_with_its_parent_and_its_edits(run: Run, study: str) -> None:
    rows = run("leaderboard", study, "--all", "--json").json["rows"]
    child = next(row for row in rows if row["parent"])
    parent = next((row["name"] for row in rows if row["fingerprint"] == child["parent"]), None)
    for word in (f"{study}:{child['name']}", child["fingerprint"]):
        shown = run("show", word, "--json").json
        assert shown["edits"]
        assert parent in (None, shown["parent"])
        told = run("show", word).out
        assert f"parent  {shown['parent']}  (" in told and f"edits   {shown['edits'][0][:40]}" in told
    seed = run("show", f"{study}:gru", "--json").json
    assert (seed["parent"], seed["edits"]) == ("", [])


def test_a_found_cell_is_shown_with_its_best_settings(run: Run, study: str) -> None:
    row = run("leaderboard", study, "--json").json["rows"][0]
    for word in (f"{study}:1", row["fingerprint"][:16]):
        told = run("show", word, "--json").json
        assert (told["score"], told["results"]) == (row["score"], row["tasks"])
        out = " ".join(run("show", word).out.split())
        assert f"score {row['score']:.4f}, the smallest of the ratios" in out
        for result in row["tasks"]:
            values = " ".join(f"{name}={result['setting'][name]:g}" for name in ("learning_rate", "max_norm"))
            assert f"accuracy {result['accuracy']:.2%}, loss {result['loss']:.4f} after 3 epochs; " in out
            assert values in out
    edited = run("show", f"{study}:gru", "--without", "r", "--json").json
    assert (edited["score"], edited["results"]) == (None, [])
    assert run("show", "gru", "--json").json["results"] == []


def test_a_rank_a_name_and_letters_find_the_same_cell(run: Run, study: str) -> None:
    rows = run("leaderboard", study, "--json", "--all").json["rows"]
    first = next(row for row in rows if row["rank"] == 1)
    shown = run("show", f"{study}:1", "--json").json
    assert shown["fingerprint"] == first["fingerprint"]
    assert run("show", f"{study}:{first['name']}", "--json").json["text"] == shown["text"]
    assert run("show", first["fingerprint"][:12].upper(), "--json").json["text"] == shown["text"]


def test_an_ambiguous_beginning_lists_the_candidates(
    run: Run, study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "cellsearch.study.lookup.fingerprint", lambda cell: f"abcd{len(cell.nodes):04}" + cell.name
    )
    done = run("show", "abcd")
    assert done.code == 1
    assert "cells have a fingerprint starting with abcd; give more letters" in done.err
    assert "abcd0008rnn" in done.err or "more" in done.err


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("gruu", "did you mean 'gru'?"),
        ("nosuch.cell", "neither a cell nor a file"),
        ("dir/nosuch", "neither a cell nor a file"),
        ("s:999", "its ranks are 1 to"),
        ("s:nosuch", "has no cell nosuch"),
        ("t:1", "there is no search 't'"),
        ("ffffffffffff", "no cell has a fingerprint starting with ffffffffffff"),
        ("[red]x[bold]", "there is no cell '[red]x[bold]'"),
        ("\x1b[31mx", "\\x1b[31mx"),
    ],
)
def test_what_is_not_there_is_told(run: Run, study: str, word: str, told: str) -> None:
    done = run("show", word)
    assert done.code == 1 and done.out == ""
    assert told in done.err and "\x1b" not in done.err


@pytest.mark.long
def test_a_directory_is_no_cell(run: Run, tmp_path: Path) -> None:
    (tmp_path / "d.cell").mkdir()
    done = run("show", "d.cell")
    assert done.code == 1 and "is a directory" in done.err


def test_a_wrong_file_is_told_with_its_place(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.cell").write_text("cell a(x; h)\nh' = sigmod[x, h]\n")
    done = run("show", "a.cell")
    assert done.code == 1
    assert (
        done.err.startswith("a.cell:2:6: ") and "^^^^^^" in done.err and "did you mean 'sigmoid'?" in done.err
    )


def test_an_edited_cell(run: Run) -> None:
    told = run("show", "lstm", "--without", "i", "--json").json
    assert told["name"] == "lstm_without_i" and told["origin"] == "zoo, edited"
    assert told["text"].splitlines()[-3:] == ["o = sigmoid[x, h]", "c' = f * c + g", "h' = o * tanh(c')"]
    assert "c' = f * c + g" in run("show", "lstm", "--without", "i").out


def test_edits_one_after_another(run: Run) -> None:
    words = ("--without", "output_activation", "--couple", "f,i", "--peepholes", "all")
    told = run("show", "lstm", *words, "--json").json
    one = parse("cell a(x; h, c)\ni = sigmoid[x, h, .c]\nf = 1 - i\ng = tanh[x, h]\nc' = f * c + i * g\n"
                "o = sigmoid[x, h, .c']\nh' = o * c'")  # fmt: skip
    assert told["fingerprint"] == fingerprint(one)
    told = run("show", "peephole_lstm", "--peepholes", "i, f", "--json").json
    assert told["fingerprint"] == fingerprint(zoo.load("peephole_input_forget"))
    told = run("show", "peephole_lstm", "--peepholes", "none", "--json").json
    assert told["fingerprint"] == fingerprint(zoo.load("lstm_b"))


@pytest.mark.parametrize(
    "words, code, message",
    [
        (("gru", "--without", "f"), 1, "cell gru has no gate f; it has z (update), r (reset)"),
        (("lstm", "--couple", "f"), 2, "--couple takes two gates, as in --couple f,i; not 'f'"),
        (("lstm", "--couple", "f,i,o"), 2, "--couple takes two gates"),
        (("lstm", "--peepholes", "none"), 1, "cell lstm has no peepholes"),
    ],
)
def test_edits_that_cannot_be(run: Run, words: tuple[str, ...], code: int, message: str) -> None:
    done = run("show", *words)
    assert (done.code, done.out) == (code, "")
    assert message in done.err
