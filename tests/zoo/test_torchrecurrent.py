"""The zoo's cells against the code of torchrecurrent, or against the paper where that code deviates from it."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor
from zoo import table_deviating
from zoo.plain import TOLERANCE, differences
from zoo.table_torchrecurrent import DEVIATING, ROWS, Package

from cellsearch.compiler.torch.recurrent import Recurrent
from cellsearch.dsl import zoo
from cellsearch.dsl.graph import uses_raw_x
from cellsearch.dsl.weights import count

WIDTH, HIDDEN, STEPS, BATCH = (
    4,
    5,
    14,
    2,
)  # the width of the input is that of the state where the cell asks for it

Run = Callable[[Tensor, Sequence[Tensor]], tuple[Tensor, list[Tensor]]]


def compiled(rnn: Recurrent) -> Run:
    def run(x: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        outputs, last = rnn(x, tuple(s[None] for s in states))
        return outputs, [s[0] for s in ([last] if isinstance(last, Tensor) else last)[: len(states)]]

    return run


def compared(row: Package, seed: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Ours and theirs: outputs, last states, and the gradients of x, of the first states and of all their parameters.
    Ours of the last come from the gradients of our weights, carried back through the mapping of the weights."""
    cell = zoo.load(row.cell)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        oracle = row.oracle(HIDDEN if uses_raw_x(cell) else WIDTH, HIDDEN)
        mapped = oracle.ours()
        rnn = Recurrent(cell, HIDDEN if uses_raw_x(cell) else WIDTH, HIDDEN, dtype=torch.float64)
        rnn.load_state_dict({f"layers.0.{name}": value.detach() for name, value in mapped.items()})
        x = torch.randn(STEPS, BATCH, rnn.input_size, dtype=torch.float64)
        states = [torch.randn(BATCH, HIDDEN, dtype=torch.float64) for _ in cell.states]
        factors = [
            torch.randn(STEPS, BATCH, HIDDEN, dtype=torch.float64),
            *(torch.randn_like(s) for s in states),
        ]
    results = []
    for run in (compiled(rnn), oracle.run):
        leaves = [x.clone().requires_grad_(), *(s.clone().requires_grad_() for s in states)]
        outputs, last = run(leaves[0], leaves[1:])
        values = [outputs, *last]
        torch.autograd.backward(values, factors)
        results.append([*(v.detach() for v in values), *(leaf.grad for leaf in leaves)])
    weights = dict(rnn.named_parameters())
    back = torch.autograd.grad(
        list(mapped.values()),
        list(oracle.parameters.values()),
        [weights[f"layers.0.{name}"].grad for name in mapped],
    )
    names = [s.name for s in cell.states]
    labels = ["outputs", *names, "gradient of x", *(f"gradient of {name}" for name in names)]
    found = dict(zip(labels, zip(*results, strict=True), strict=True))
    pairs = zip(oracle.parameters.items(), back, strict=True)
    return found | {f"gradient of {name}": (ours, leaf.grad) for (name, leaf), ours in pairs}


def relative(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape
    return float((ours - theirs).abs().max()) / max(1.0, float(theirs.abs().max()))


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.cell)
def test_outputs_states_and_all_gradients_agree(row: Package, seed: int) -> None:
    for name, (ours, theirs) in compared(row, seed).items():
        assert relative(ours, theirs) < TOLERANCE, name
        assert float(theirs.abs().max()) > 1e-6, f"{name} is zero: the comparison would not see it"


@pytest.mark.parametrize("row", table_deviating.ROWS, ids=lambda row: row.cell)
def test_where_the_package_deviates_the_cell_is_that_of_the_paper(row: table_deviating.Row) -> None:
    found = differences(zoo.load(row.cell), row.step)
    assert max(found.values()) < TOLERANCE, found


@pytest.mark.parametrize("row", DEVIATING, ids=lambda row: row.cell)
def test_the_package_deviates_as_the_files_say(row: Package) -> None:
    assert relative(*compared(row, 1)["outputs"]) > 1e-3


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.cell)
def test_the_number_of_parameters_is_that_of_the_equations(row: Package) -> None:
    d, h = 7, 12
    inputs, squares, vectors, scalars = row.size
    skew = h * (h - 1) // 2 if "skew" in " ".join(row.weights.values()) else 0
    expected = inputs * d * h + squares * h * h + vectors * h + scalars + skew
    assert count(zoo.load(row.cell), d, h) == expected


@pytest.mark.parametrize("row", table_deviating.ROWS, ids=lambda row: row.cell)
def test_the_number_of_parameters_is_that_of_the_paper(row: table_deviating.Row) -> None:
    assert count(zoo.load(row.cell), 7, 12) == row.size(7, 12)


def test_all_cells_of_the_package_have_a_row() -> None:
    package = pytest.importorskip("torchrecurrent", reason="torchrecurrent is not installed")
    theirs = {name for name in package.__all__ if name.endswith("Cell")}
    assert len(theirs) == 41
    assert {row.theirs for row in (*ROWS, *DEVIATING)} == theirs
    held = {row.cell for row in (*ROWS, *table_deviating.ROWS)}
    assert {row.cell for row in DEVIATING} <= held
