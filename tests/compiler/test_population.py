"""Members of a population are independent: alone or together, beside a NaN, and twice the same bits."""

import pytest
import torch
from torch import Tensor

from cellsearch.compiler.engines.native import toolchain
from cellsearch.dsl import zoo
from cellsearch.train import model, windows

ENGINES = [
    "eager",
    pytest.param(
        "native", marks=pytest.mark.skipif(toolchain.compiler() is None, reason="no C compiler here")
    ),
]
CELLS = ("lstm", "gru", "mut1", "depth_gated_lstm", "clockwork")


def train(
    name: str, engine: str, members: list[int], steps: int = 10, spoil: int | None = None
) -> tuple[Tensor, Tensor]:
    """Rows [K, P] and losses [K] after some steps of training over windows of 50 steps; `spoil` gets a NaN
    weight."""
    shape = model.Shape(zoo.load(name), 9, 2, 8)
    rows = model.first_rows(shape, [1.0] * len(members), members, torch.float64)
    if spoil is not None:
        rows[spoil, shape.embedding + 3] = torch.nan
    tokens = torch.randint(9, (3, 50 * steps), generator=torch.Generator().manual_seed(7))
    states = model.first_states(shape, len(members), 3, rows)
    gradient = torch.zeros_like(rows)
    loss = torch.zeros(len(members))
    for t, window in enumerate(windows.cut(tokens, tokens.roll(-1, 1), 50)):
        score, states = model.run(shape, rows, window, states, 50 * t, gradient, engine)
        loss = score.loss
        norm = torch.linalg.vector_norm(gradient, dim=1)
        rows.addcmul_(gradient, -(0.1 * (1.0 / norm).clamp(max=1.0))[:, None])
    return rows, loss


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CELLS)
def test_a_member_is_the_same_alone_and_in_a_population(name: str, engine: str) -> None:
    together, losses = train(name, engine, [1, 2, 3, 4, 5], steps=1)
    for k in range(5):
        alone, loss = train(name, engine, [k + 1], steps=1)
        scale = float(alone.abs().max())
        assert float((alone[0] - together[k]).abs().max()) < 1e-10 * scale
        assert float((loss[0] - losses[k]).abs()) < 1e-10 * float(loss[0])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CELLS)
def test_the_same_batch_twice_gives_the_same_bits(name: str, engine: str) -> None:
    first, second = train(name, engine, [1, 2, 3]), train(name, engine, [1, 2, 3])
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CELLS)
def test_a_nan_stays_in_its_member(name: str, engine: str) -> None:
    whole, _ = train(name, engine, [1, 2, 3, 4])
    spoiled, loss = train(name, engine, [1, 2, 3, 4], spoil=1)
    for k in (0, 2, 3):
        assert torch.equal(whole[k], spoiled[k])
    assert bool(loss[1].isnan())


def test_first_values_follow_from_the_members_own_seed() -> None:
    shape = model.Shape(zoo.load("gru"), 9, 2, 8)
    together = model.first_rows(shape, [1.0, 0.5, 2.0], [5, 6, 7], torch.float32)
    assert torch.equal(together[1:2], model.first_rows(shape, [0.5], [6], torch.float32))
    assert float(together[1].abs().max()) <= 0.5 / 8**0.5
