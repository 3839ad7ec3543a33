"""The catalogue claims what the tables of oracles have rows for, no more and no less."""

import ast
import importlib
import re
from pathlib import Path

import pytest
from zoo import table_elsewhere

from cellsearch.dsl import zoo
from cellsearch.dsl.zoo.catalogue import CHECKED, entries

HERE = Path(__file__).parent
TABLES = [path.stem for path in sorted(HERE.glob("table_*.py"))]


def rows() -> set[tuple[str, str]]:
    tables = [importlib.import_module(f"zoo.{name}") for name in TABLES]
    return {(row.cell, row.against) for table in tables for row in table.ROWS}


def test_each_claim_has_a_row_and_each_row_a_claim() -> None:
    assert {(name, against) for name, claims in CHECKED.items() for against in claims} == rows()
    assert set(CHECKED) == set(zoo.names()), "a cell that nothing checks"


@pytest.mark.parametrize("name", [name for name in TABLES if name != "table_elsewhere"])
def test_each_table_is_iterated_by_a_test(name: str) -> None:
    """Some test module beside the table takes its rows as parameters."""
    tests = [path.read_text(encoding="utf-8") for path in HERE.glob("test_*.py") if path != Path(__file__)]
    assert any(re.search(rf"\b{name}\b", text) and "parametrize" in text for text in tests)


@pytest.mark.parametrize("row", table_elsewhere.ROWS, ids=lambda row: row.cell)
def test_tests_elsewhere_exist_and_name_the_cell(row: table_elsewhere.Row) -> None:
    file, function = row.test.split("::")
    tree = ast.parse((HERE.parent / file).read_text(encoding="utf-8"))
    assert any(isinstance(node, ast.FunctionDef) and node.name == function for node in tree.body)
    imported = [HERE.parent / f"{node.module}.py" for node in tree.body if isinstance(node, ast.ImportFrom)]
    tables = [ast.parse(path.read_text(encoding="utf-8")) for path in imported if path.exists()]
    quoted = {n.value for part in (tree, *tables) for n in ast.walk(part) if isinstance(n, ast.Constant)}
    assert row.cell in quoted


def test_each_cell_says_who_and_when() -> None:
    for entry in entries():
        assert re.match(r"[A-Z]|(van|von|de|der) ", entry.authors), entry
        assert 1980 < entry.year < 2030, entry
