"""The zoo's cells against the code of torchrecurrent, or against the paper where that code deviates from it."""

import pytest
import torch
from zoo.oracle import differences
from zoo.table_torchrecurrent import DEVIATING, ROWS, Package, Plain

from cellsearch.dsl import zoo
from cellsearch.dsl.graph import uses_raw_x
from cellsearch.dsl.weights import count

WIDTH, HIDDEN = 4, 5  # of the input, where the cell lets them differ


def compared(row: Package | Plain, seed: int) -> tuple[dict[str, float], dict[str, float]]:
    cell = zoo.load(row.cell)
    width = HIDDEN if uses_raw_x(cell) else WIDTH
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return differences(cell, row.oracle(cell, width, HIDDEN), width, HIDDEN)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.cell}-{row.against}")
def test_outputs_states_and_all_gradients_agree(row: Package | Plain, seed: int) -> None:
    found, gradients = compared(row, seed)
    assert max(found.values()) < 1e-10, found
    assert min(gradients.values()) > 1e-6, "a parameter that the comparison does not touch"


@pytest.mark.parametrize("row", DEVIATING, ids=lambda row: row.cell)
def test_what_the_files_say_to_deviate_deviates(row: Package) -> None:
    found, _ = compared(row, 1)
    assert found["outputs"] > 1e-3


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.cell}-{row.against}")
def test_parameters_are_those_of_the_equations(row: Package | Plain) -> None:
    d, h = 7, 12
    inputs, squares, vectors, scalars = row.size
    expected = inputs * d * h + squares * h * h + vectors * h + scalars
    if row.cell.endswith("antisymmetric_rnn"):
        expected += h * (h - 1) // 2
    assert count(zoo.load(row.cell), d, h) == expected


def test_all_cells_of_the_package_have_a_row() -> None:
    package = pytest.importorskip("torchrecurrent")
    theirs = {name for name in package.__all__ if name.endswith("Cell")}
    assert len(theirs) == 41
    assert {row.theirs for row in (*ROWS, *DEVIATING) if isinstance(row, Package)} == theirs
    plain = {row.cell for row in ROWS if isinstance(row, Plain)}
    checked = {row.cell for row in ROWS if isinstance(row, Package)}
    assert {row.cell for row in DEVIATING} <= plain | checked


def test_the_outer_forms_of_the_package_give_a_width_that_ours_project() -> None:
    """MUT1, MUT2 and +RNN use x itself; the package has a matrix in front of it, or asks for equal widths."""
    raw = {row.cell for row in ROWS if uses_raw_x(zoo.load(row.cell))}
    assert raw == {"mut1", "mut2", "intersection_rnn"}
