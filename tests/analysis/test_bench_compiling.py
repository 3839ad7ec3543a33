"""What a new cell costs before its first step; and the pages that are made from a measurement."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from cellsearch.analysis.bench.cpu import compiling
from cellsearch.compiler.engines.native import toolchain

pytestmark = pytest.mark.long

BENCH = Path(__file__).parents[2] / "results" / "bench"


@pytest.mark.skipif(toolchain.compiler() is None, reason="there is no C compiler here")
def test_a_new_cell_is_compiled_and_another_shape_is_not() -> None:
    found = compiling.measured(compiling.OURS, "lstm")
    assert (found.what, found.cell, found.H) == (compiling.OURS, "lstm", 64)
    assert found.new_cell_s > 0.05  # no compiler takes less
    assert found.other_shape_s < 0.5 * found.new_cell_s


def _page() -> ModuleType:
    spec = importlib.util.spec_from_file_location("page", BENCH / "page.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _row(what: str, ratio: float, share: float | None) -> dict[str, object]:
    sizes = {"cell": "lstm", "K": 20, "T": 35, "B": 20, "H": 64, "V": 50}
    return {
        "what": what,
        "median_s": 0.03 * ratio,
        "members_per_s": 667 / ratio,
        "ratio": ratio,
        "peak_share": share,
    } | sizes


def test_the_tables_of_a_page_come_from_the_measurement() -> None:
    rows = [
        _row("cellsearch (native)", 1.0, 0.5),
        _row("torch.nn.LSTM", 2.5, 0.25),
        _row("JAX, vmap of a scan", 4.0, None),
    ]
    page = _page()
    text = "before\n<!-- bench steps -->\nold\n<!-- /bench -->\nafter\n"
    made = page.rewritten(text, {"rows": rows})
    assert "old" not in made and made.startswith("before\n") and made.endswith("after\n")
    line = next(line for line in made.splitlines() if "`lstm`" in line)
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[:6] == ["`lstm`", "64", "50", "30.0 ms", "667", "50%"]
    assert cells[6:] == [page.NONE, "4.00", "2.50", *[page.NONE] * 5]
    assert page.rewritten(made, {"rows": rows}) == made
    with pytest.raises(KeyError):
        page.rewritten("<!-- bench speed -->\n<!-- /bench -->", {"rows": rows})


def test_every_block_of_the_pages_is_known() -> None:
    page = _page()
    text = "".join(file.read_text() for file in page.PAGES)
    for name in page.BLOCKS:
        assert f"<!-- bench {name} -->" in text
    assert text.count("<!-- bench ") == text.count("<!-- /bench -->") == len(page.BLOCKS)
