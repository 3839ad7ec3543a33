"""Every cell of the tables equals its paper's equations, and has as many parameters as they have."""

import pytest
import torch
from covering import COVERING
from zoo.plain import TOLERANCE, Row, differences
from zoo.table_diagonal import ROWS as DIAGONAL_ROWS
from zoo.table_genotypes import ROWS as GENOTYPES
from zoo.table_genotypes import Row as Genotype
from zoo.table_genotypes import interpreter
from zoo.table_initialised import ROWS as INITIALISED_ROWS
from zoo.table_literature import ROWS as OTHER_ROWS
from zoo.table_lstm_variants import ROWS as LSTM_ROWS
from zoo.table_normalised import ROWS as NORMALISED_ROWS

from cellsearch.compiler.torch.recurrent import Recurrent
from cellsearch.dsl import zoo
from cellsearch.dsl.weights import count

EVERY = (*LSTM_ROWS, *OTHER_ROWS, *NORMALISED_ROWS, *INITIALISED_ROWS, *DIAGONAL_ROWS)


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, marks=[pytest.mark.long] * (row.cell not in COVERING), id=row.cell) for row in EVERY],
)
def test_outputs_states_and_gradients(row: Row) -> None:
    found = differences(zoo.load(row.cell), row.step, positive=row.positive)
    assert max(found.values()) < TOLERANCE, found


@pytest.mark.parametrize("row", EVERY, ids=lambda row: row.cell)
@pytest.mark.parametrize("width, hidden", [(7, 12), (10, 9)])
def test_parameters(row: Row, width: int, hidden: int) -> None:
    assert count(zoo.load(row.cell), width, hidden) == row.size(width, hidden)


@pytest.mark.parametrize("row", GENOTYPES, ids=lambda row: row.cell)
def test_genotypes(row: Genotype) -> None:
    found = differences(zoo.load(row.cell), interpreter(row))
    assert max(found.values()) < TOLERANCE, found


@pytest.mark.parametrize("row", GENOTYPES, ids=lambda row: row.cell)
def test_parameters_of_genotypes(row: Genotype) -> None:
    """W_0 is [D + H, 2H], every W_i [H, 2H]; there are no biases."""
    d, h = 7, 12
    assert count(zoo.load(row.cell), d, h) == (d + h) * 2 * h + len(row.recurrent) * h * 2 * h


@pytest.mark.long
def test_biases_start_where_the_papers_say() -> None:
    """Chrono: the forget gate's bias is log U[1, 100], the input gate's its negative in distribution; UR-LSTM: the
    forget gate is uniform where x and h are zero."""
    torch.manual_seed(0)
    chrono = dict(Recurrent(zoo.load("chrono_lstm"), 2, 4000).named_parameters())
    for gate, sign in (("f", 1), ("i", -1)):
        start = (sign * chrono[f"layers.0.{gate}.bias"]).detach().exp()
        assert 1 <= start.min() and start.max() <= 100
        assert abs(start.mean() - 50.5) < 2 and abs(start.std() - 99 / 12**0.5) < 1
    free = (
        dict(Recurrent(zoo.load("ur_lstm"), 2, 4000).named_parameters())["layers.0.b.bias"].detach().sigmoid()
    )
    assert 0.01 <= free.min() and free.max() <= 0.99
    assert abs(free.mean() - 0.5) < 0.02 and abs(free.std() - 0.98 / 12**0.5) < 0.01
