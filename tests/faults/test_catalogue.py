"""The table of faults in README.md: each of F1 to F38 is there, with tests that are there, or with why it does not
apply."""

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
ROW = re.compile(r"^\| (F\d+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
ROWS = ROW.findall((HERE / "README.md").read_text(encoding="utf-8"))


def functions(file: Path) -> set[str]:
    """The names of the tests in a file."""
    return {node.name for node in ast.parse(file.read_text()).body if isinstance(node, ast.FunctionDef)}


def test_every_fault_is_in_the_table_once() -> None:
    assert [row[0] for row in ROWS] == [f"F{k}" for k in range(1, 39)]


def test_every_fault_is_tested_or_does_not_apply() -> None:
    for id, _, tested in ROWS:
        named = re.findall(r"`([^`:]+)::(test_\w+)`", tested)
        assert named or re.match(r"does not apply: \w+", tested), id
        for file, name in named:
            assert name in functions(HERE / file), f"{id}: there is no {name} in {file}"


def test_every_test_of_a_fault_is_in_the_table() -> None:
    """Those of the inputs are a list of their own."""
    named = {name for _, _, tested in ROWS for _, name in re.findall(r"`([^`:]+)::(test_\w+)`", tested)}
    for file in HERE.glob("test_*.py"):
        if file.stem not in ("test_catalogue", "test_inputs"):
            missing = {name for name in functions(file) if name.startswith("test_")} - named
            assert len(missing) <= 1, f"{file.name}: {missing}"


def test_files_that_are_named_are_there() -> None:
    for name in re.findall(
        r"`((?:\.\./)?[\w/]+\.py|\.\./\w+)`", (HERE / "README.md").read_text(encoding="utf-8")
    ):
        assert (HERE / name).exists(), name
