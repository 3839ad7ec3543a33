"""Every cell of the tables equals its paper's equations, and has as many parameters as they have."""

import pytest
import torch
from torch import Tensor
from zoo.plain import TOLERANCE, Now, Row, Weights, differences
from zoo.table_literature import ROWS as OTHER_ROWS
from zoo.table_lstm_variants import ROWS as LSTM_ROWS

from cellsearch.dsl import zoo
from cellsearch.dsl.weights import count

EVERY = (*LSTM_ROWS, *OTHER_ROWS)


@pytest.mark.parametrize("row", EVERY, ids=lambda row: row.cell)
def test_outputs_states_and_gradients(row: Row) -> None:
    found = differences(zoo.load(row.cell), row.step, positive=row.positive)
    assert max(found.values()) < TOLERANCE, found


@pytest.mark.parametrize("row", EVERY, ids=lambda row: row.cell)
@pytest.mark.parametrize("width, hidden", [(7, 12), (10, 9)])
def test_parameters(row: Row, width: int, hidden: int) -> None:
    assert count(zoo.load(row.cell), width, hidden) == row.size(width, hidden)
