"""What the tests of exports share: the engine without a C compiler, and modules from texts."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from torch import nn

from cellsearch.compiler.engines.native import toolchain
from cellsearch.dsl.graph import Cell
from cellsearch.exporters.torch.check import load_module
from cellsearch.exporters.torch.source import torch_source

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(autouse=True)
def no_c_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engines agree by other tests; hundreds of cells in C would take minutes."""
    monkeypatch.setattr(toolchain, "compiler", lambda: None)


@pytest.fixture
def made() -> Callable[[Cell], type[nn.Module]]:
    """The exported class of a cell."""
    return lambda cell: load_module(cell, torch_source(cell))


@pytest.fixture
def golden(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Compares a text with a file under golden/; with CELLSEARCH_UPDATE_GOLDEN=1 it writes the file instead."""
    monkeypatch.setattr("cellsearch.exporters.header.version", lambda: "1.2.3")

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if os.environ.get("CELLSEARCH_UPDATE_GOLDEN"):
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8"), f"{name}: look at the difference; then update"

    return compare
