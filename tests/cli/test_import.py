"""`cellsearch import`: cells of other programs on stdout and in files."""

import json
from pathlib import Path

import pytest
from cli.conftest import Run

from cellsearch.dsl import zoo
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.load import load
from cellsearch.dsl.text import parse

XH = ["x", "h_prev_0"]
RNN = {"a": {"op": "linear", "input": XH}, "h_new_0": {"op": "activation_tanh", "input": ["a"]}}
OTHER = {"h_new_0": {"op": "linear", "input": XH}}
GENOTYPES = "BEST = Genotype(recurrent=[('tanh', 0)], concat=[1])\nbest = Genotype([('relu', 0)], [1])\n"


@pytest.fixture
def recipes(tmp_path: Path) -> str:
    (tmp_path / "recipes.json").write_text(json.dumps([RNN, OTHER]))
    return "recipes.json"


def test_cells_are_printed(run: Run, recipes: str, tmp_path: Path) -> None:
    done = run("import", recipes)
    assert (done.code, done.err) == (0, "")
    first, second = (parse(text) for text in done.out.split("\n\n"))
    assert (first.name, second.name) == ("recipes_0", "recipes_1")
    assert fingerprint(first) == fingerprint(zoo.load("rnn"))
    (tmp_path / "one.json").write_text(json.dumps(RNN))
    (tmp_path / "one.cell").write_text(run("import", "one.json").out)
    assert load(tmp_path / "one.cell").name == "one"


def test_cells_are_written(run: Run, recipes: str, tmp_path: Path) -> None:
    done = run("import", recipes, "--to", "some/cells")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == ["some/cells/recipes_0.cell", "some/cells/recipes_1.cell"]
    assert sorted(p.name for p in (tmp_path / "some/cells").iterdir()) == ["recipes_0.cell", "recipes_1.cell"]
    assert run("show", "some/cells/recipes_0.cell", "--json").json["fingerprint"] == fingerprint(
        zoo.load("rnn")
    )


def test_names_of_files_differ_where_case_is_ignored(run: Run, tmp_path: Path) -> None:
    (tmp_path / "g.py").write_text(GENOTYPES)
    assert run("import", "g.py", "--to", ".").out.splitlines() == ["best.cell", "best_2.cell"]


def test_json(run: Run, recipes: str) -> None:
    cells = run("import", recipes, "--json").json["cells"]
    assert [(cell["name"], cell["file"]) for cell in cells] == [("recipes_0", None), ("recipes_1", None)]
    assert all(fingerprint(parse(cell["text"])) == cell["fingerprint"] for cell in cells)
    cells = run("import", recipes, "--json", "--to", "here").json["cells"]
    assert [cell["file"] for cell in cells] == ["here/recipes_0.cell", "here/recipes_1.cell"]
    assert all(parse(cell["text"]) == load(cell["file"]) for cell in cells)


def test_files_that_are_there_are_kept_unless_forced(run: Run, recipes: str, tmp_path: Path) -> None:
    assert run("import", recipes, "--to", "here").code == 0
    assert run("import", recipes, "--to", "here").code == 0  # the same contents
    first, second = tmp_path / "here/recipes_0.cell", tmp_path / "here/recipes_1.cell"
    first.unlink()
    second.write_text("mine")
    done = run("import", recipes, "--to", "here")
    assert (
        (done.code, done.out) == (1, "")
        and "here/recipes_1.cell already exists" in done.err
        and "--force" in done.err
    )
    assert second.read_text() == "mine" and not first.exists()  # all or none
    assert run("import", recipes, "--to", "here", "--force").code == 0
    assert load(second).name == "recipes_1" and load(first).name == "recipes_0"


def test_a_directory_that_is_none_is_told(run: Run, recipes: str) -> None:
    done = run("import", recipes, "--to", recipes)
    assert (
        (done.code, done.out) == (1, "")
        and "recipes.json is not a directory" in done.err
        and "--to" in done.err
    )


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        (
            "a.json",
            b'[\n {"h_new_0": {"op": "lineal", "input": ["x"]}}]',
            "a.json: recipe 0 → node 'h_new_0' → op: unknown op 'lineal'",
        ),
        ("a.py", b"A = Genotype([('tahn', 0)], [1])", "a.py:1:15: unknown function 'tahn'"),
        ("a.pkl", b"\x80\x04N.", "error: a.pkl is or contains a pickle"),
        ("a.cell", b"cell a(x; h)\nh' = x\n", "a.cell is already a cell"),
        ("a.txt", b"\x1b[31m", "neither a recipe nor a genotype"),
    ],
)
def test_errors_are_told(run: Run, tmp_path: Path, name: str, data: bytes, told: str) -> None:
    (tmp_path / name).write_bytes(data)
    for words in (["--to", "here"], ["--json"], []):
        done = run("import", name, *words)
        assert (done.code, done.out) == (1, "") and told in done.err and "\x1b" not in done.err
    assert not (tmp_path / "here").exists()


def test_what_is_refused_is_reported_and_the_others_are_imported(run: Run, tmp_path: Path) -> None:
    (tmp_path / "g.py").write_text(GENOTYPES + "worst = Genotype([('tahn', 0)], [1])\n")
    done = run("import", "g.py")
    assert done.code == 1 and len(done.out.split("\n\n")) == 2
    assert "g.py:3:19: unknown function 'tahn'" in done.err and "did you mean 'tanh'?" in done.err
    assert done.err.endswith("imported 2, refused 1\n")
    done = run("import", "g.py", "--to", "here", "--json")
    assert [cell["file"] for cell in done.json["cells"]] == ["here/best.cell", "here/best_2.cell"]
    (refused,) = done.json["refused"]
    assert (refused["line"], refused["column"]) == (3, 19) and "tahn" in refused["message"]


def test_nothing_imported_is_a_failure(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([{"h_new_0": {"op": "lineal", "input": XH}}] * 30))
    for words in ([], ["--json"], ["--to", "here"]):
        done = run("import", "a.json", *words)
        assert (done.code, done.out) == (1, "")
        assert done.err.count("did you mean 'linear'?") == 20
        assert done.err.endswith("imported 0, refused 30 (10 more refused)\n")
    assert not (tmp_path / "here").exists()


def test_a_log_is_read(run: Run, tmp_path: Path) -> None:
    line = "10/23 12:00:01 AM genotype = Genotype(recurrent=[('sigmoid', 0)], recurrent_concat=range(1, 2))\n"
    (tmp_path / "log").write_text(line)
    assert parse(run("import", "log").out).name == "genotype"


def test_a_file_that_is_not_there(run: Run) -> None:
    done = run("import", "nosuch.json")
    assert (done.code, done.out) == (1, "") and "there is no file 'nosuch.json'" in done.err
    assert run("import").code == 2
