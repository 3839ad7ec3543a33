"""`import cellsearch as cs`: the public names, in whatever order the subpackages were imported."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from search.scripted import Scripted, one_of, searched, space_of

import cellsearch as cs

ROOT = Path(__file__).parents[1]


def test_there_are_at_most_fifteen_names_and_all_are_there() -> None:
    assert len(cs.__all__) <= 15
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


@pytest.mark.parametrize(
    "first",
    [
        "",
        "import cellsearch.search.board",
        "import cellsearch.search",
        "from cellsearch.search import space",
        "cs.search",
    ],
)
def test_search_is_a_function_and_a_package(first: str) -> None:
    code = f"""
import cellsearch as cs
{first}
assert callable(cs.search) and callable(cs.leaderboard)
try:
    cs.search("nosuch")
except cs.CellsearchError as error:
    assert "nosuch" in str(error)
else:
    raise AssertionError
import cellsearch.search.space as space
assert space.names() and cs.search.space is space
from cellsearch import search
assert search is cs.search
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_signature_of_a_called_package_is_that_of_its_function() -> None:
    from cellsearch.search.api import search

    assert inspect.signature(cs.search) == inspect.signature(search)


def test_the_leaderboard_comes_as_rows(tmp_path: Path) -> None:
    searched(tmp_path / "s", Scripted(), space_of(), one_of(40)).engine.dispose()
    rows = cs.leaderboard("s", results=tmp_path)
    assert rows == cs.leaderboard(results=tmp_path)
    assert {row.name for row in rows if row.seed} == {"lstm", "gru"}
    assert len(cs.leaderboard("s", results=tmp_path, every=True)) > len(rows)
    with pytest.raises(cs.CellsearchError, match="there is no search 't'"):
        cs.leaderboard("t", results=tmp_path)


@pytest.mark.parametrize("name", sorted(set(cs.__all__) - {"__version__"}))
def test_each_name_works_first_in_a_fresh_process(name: str) -> None:
    code = f"import cellsearch as cs; assert cs.{name} is not None"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
