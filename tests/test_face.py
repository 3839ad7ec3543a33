"""`import cellsearch as cs`: the public names, in whatever order the subpackages were imported."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import cellsearch as cs
from tests.study.scripted import Scripted, one_of, searched, space_of

ROOT = Path(__file__).parents[1]


def test_there_are_few_names_and_all_are_there() -> None:
    assert len(cs.__all__) <= 24
    assert all(getattr(cs, name) is not None for name in cs.__all__)
    assert dir(cs) == sorted(cs.__all__)
    with pytest.raises(AttributeError, match="nosuch"):
        _ = cs.nosuch  # type: ignore[attr-defined]


def test_a_cell_is_read_and_shown() -> None:
    cell = cs.parse("cell a(x; h)\nh' = tanh[x, h]\n")
    assert isinstance(cell, cs.Cell) and str(cell) == cs.show(cell) and cs.parse(str(cell)) == cell
    assert cs.load("gru") == cs.zoo.load("gru") and "gru" in cs.zoo.names()
    with pytest.raises(cs.CellsearchError, match="did you mean 'gru'"):
        cs.load("gruu")


def test_what_a_notebook_shows_is_short(tmp_path: Path) -> None:
    cell = cs.load("gru")
    assert repr(cell) == "<Cell gru(x; h): 5 equations>"
    assert "Cho et al." in cell._repr_html_() and "Zaremba &amp; Sutskever" in cell._repr_html_()
    assert all(len(repr(cs.load(name))) < 120 for name in cs.zoo.names())
    searched(tmp_path / "s", Scripted(), space_of(), one_of(40), trials=4).engine.dispose()
    rows = cs.leaderboard("s", results=tmp_path, every=True)
    assert rows and all(len(repr(row)) < 120 for row in rows)
    first = next(row for row in rows if row.rank == 1)
    assert repr(first) == f"<Row {first.name}: rank 1, score {first.score:.3f}>"
    result = first.tasks[0]
    assert result.values["learning_rate"] in (0.1, 0.2, 0.5) and str(result.setting) in repr(result)


def test_search_and_export_are_functions_with_their_own_help() -> None:
    for function, word in ((cs.search, "workers"), (cs.export, "directory"), (cs.leaderboard, "name")):
        assert inspect.isfunction(function)
        assert word in str(inspect.signature(function)) + str(inspect.getdoc(function))
    with pytest.raises(cs.CellsearchError, match="nosuch"):
        cs.search("nosuch")


@pytest.mark.long
def test_the_leaderboard_comes_as_rows(tmp_path: Path) -> None:
    searched(tmp_path / "s", Scripted(), space_of(), one_of(40)).engine.dispose()
    rows = cs.leaderboard("s", results=tmp_path)
    assert rows == cs.leaderboard(results=tmp_path)
    assert {row.name for row in rows if row.seed} == {"lstm", "gru"}
    assert len(cs.leaderboard("s", results=tmp_path, every=True)) > len(rows)
    with pytest.raises(cs.CellsearchError, match="there is no search 't'"):
        cs.leaderboard("t", results=tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(set(cs.__all__) - {"__version__"}))
def test_each_name_works_first_in_a_fresh_process(name: str) -> None:
    code = f"import cellsearch as cs; assert cs.{name} is not None"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
