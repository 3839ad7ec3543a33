"""`help(cs.NAME)`: every public name has a docstring of its own, with an example that runs."""

import ast
import doctest
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import cellsearch as cs
from tests.study.scripted import Scripted, new_study, one_of, space_of, work

NAMES = sorted(set(cs.__all__) - {"__version__"})
SHAPES = {"Recurrent": "[T, B, D]"}
PARSER = doctest.DocTestParser()


def examples(name: str) -> doctest.DocTest:
    """The examples in the docstring of a public name."""
    said = inspect.getdoc(getattr(cs, name)) or ""
    return PARSER.get_doctest(said, {"cs": cs}, name, f"help(cs.{name})", 0)


def quick(folder: Path) -> None:
    """The search that the example of `leaderboard` reads."""
    results = folder / "results" / "quick"
    results.mkdir(parents=True)
    space = space_of()
    store = new_study(results, space, 2, name="quick")
    work(store, space, Scripted(), one_of(40))
    store.engine.dispose()


@pytest.mark.parametrize("name", NAMES)
def test_every_name_has_a_docstring_of_its_own_with_an_example(name: str) -> None:
    thing = getattr(cs, name)
    said = inspect.getdoc(thing) or ""
    assert thing.__doc__ and len(said) > 100  # its own, not that of a base class
    assert re.match(r"[A-Z`].*[.:;,\w]$", said.partition("\n")[0])
    assert any(f"cs.{name}" in one.source for one in examples(name).examples) or name in ("Cell", "Space")
    assert SHAPES.get(name, "") in said


@pytest.mark.parametrize("name", NAMES)
def test_examples_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if name == "leaderboard":
        pytest.importorskip("pandas")
        quick(tmp_path)
    lines: list[str] = []
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(examples(name), out=lines.append)
    assert runner.failures == 0, "".join(lines)


def calls(name: str) -> Iterator[tuple[str, ast.Call]]:
    """The calls `cs.OTHER(...)` in the examples of `name`, those that take minutes and are skipped too."""
    for one in examples(name).examples:
        for node in ast.walk(ast.parse(one.source)):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("cs."):
                yield ast.unparse(node.func).removeprefix("cs."), node


@pytest.mark.parametrize("name", NAMES)
def test_examples_call_functions_with_the_arguments_that_they_have(name: str) -> None:
    for called, node in calls(name):
        function = getattr(cs, called, None)
        if inspect.isfunction(function) or inspect.isclass(function):
            inspect.signature(function).bind(*node.args, **{str(k.arg): k.value for k in node.keywords})


def test_the_calls_are_found() -> None:
    assert {called for name in NAMES for called, _ in calls(name)} >= {"search", "train", "verify", "load"}
