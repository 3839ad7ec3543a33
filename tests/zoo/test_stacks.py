"""Cells that look at the layer below, in stacks of two to four layers, equal their papers' equations."""

import pytest
from zoo.plain import TOLERANCE, differences
from zoo.table_lstm_variants import peephole
from zoo.table_stacks import ROWS, Row, depth_gated, depth_gated_code

from cellsearch.compiler.torch.recurrent import Recurrent
from cellsearch.dsl import zoo
from cellsearch.dsl.text import parse, show
from cellsearch.dsl.weights import count
from cellsearch.errors import CellError


@pytest.mark.parametrize("layers", [2, 3, 4])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.cell)
def test_outputs_states_and_gradients(row: Row, layers: int) -> None:
    names, steps = row.stack(layers)
    idle = (f"layers.0.{row.idle}.",) if row.idle else ()
    found = differences([zoo.load(name) for name in names], steps, idle=idle)
    assert max(found.values()) < TOLERANCE, found


def test_depth_gated_parameters() -> None:
    d, h = 7, 12
    gate, peephole = d * h + h * h + h, h
    assert count(zoo.load("depth_gated_lstm"), d, h) == 4 * gate + 3 * peephole + (d * h + h) + 2 * peephole
    # the author's code: x2i h2i c2i bi, the same for o; x2c h2c bc; x2k c2k q2k bk; stab
    author = 2 * (d * h + 2 * h * h + h) + (d * h + h * h + h) + (d * h + 3 * h) + 1
    assert count(zoo.load("depth_gated_lstm_code"), d, h) == author
    # x2k0 more at the bottom, and no c2k, which the code makes there and does not use
    assert count(zoo.load("depth_gated_lstm_bottom"), d, h) == author + d * h - h


def test_a_stack_may_mix_cells() -> None:
    """A depth-gated layer takes the cell state of whatever is below."""
    lower, upper = zoo.load("lstm"), zoo.load("depth_gated_lstm")
    assert max(differences([lower, upper], [peephole(()), depth_gated]).values()) < TOLERANCE


def test_a_stack_whose_lower_cell_lacks_the_state_is_refused() -> None:
    with pytest.raises(CellError, match=r"below\(c\).*gru.*no state c"):
        Recurrent([zoo.load("gru"), zoo.load("depth_gated_lstm")], 4, 4)


def test_without_a_layer_below_the_depth_gate_changes_nothing() -> None:
    """The single layer is the peephole LSTM, written without the gate."""
    text = show(zoo.load("depth_gated_lstm"))
    bare = "\n".join(line for line in text.split("\n") if not line.startswith("d = "))
    one = parse(bare.replace("d * below(c) + ", ""))
    found = differences(one, depth_gated, layers=1)
    assert max(found.values()) < TOLERANCE


def test_the_bottom_layer_of_the_authors_code_alone() -> None:
    found = differences(zoo.load("depth_gated_lstm_bottom"), depth_gated_code, layers=1)
    assert max(found.values()) < TOLERANCE, found
