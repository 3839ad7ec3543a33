"""Blocks of a population: their sizes, and that they change no bit of what comes out."""

import pytest
import torch

from cellsearch.compiler.engines.native import toolchain
from cellsearch.dsl import zoo
from cellsearch.train import model, windows
from cellsearch.train.grouping import blocks
from cellsearch.train.model import Shape

needs_compiler = pytest.mark.skipif(toolchain.compiler() is None, reason="no C compiler here")


@pytest.mark.parametrize("members", [1, 2, 7, 20, 320])
@pytest.mark.parametrize("hidden", [16, 64, 700])
def test_sizes_are_few_even_and_within_the_bound(members: int, hidden: int) -> None:
    stack = Shape(zoo.load("lstm"), 50, 2, hidden).stack
    found, one = blocks.sizes(stack, members, 700, 4), blocks.tape(stack, 700, 4)
    assert sum(found) == members
    assert max(found) - min(found) <= 1
    assert max(found) == 1 or max(found) * one <= blocks.BLOCK
    assert len(found) == 1 or (len(found) - 1) * (blocks.BLOCK // one) < members  # not one fewer


def test_where_matrices_are_made_of_others_a_population_stays_whole() -> None:
    stack = Shape(zoo.load("low_rank_lstm"), 50, 1, 64).stack
    assert blocks.sizes(stack, 1000, 700, 4) == [1000]


def test_a_tape_is_what_the_passes_keep() -> None:
    """LSTM: four gates and tanh(c) in slots, four gradients of them, two states and the inputs."""
    lay = Shape(zoo.load("lstm"), 9, 1, 8).stack.layers[0]
    values = lay.plan.slots + len(lay.plan.affines) + 2 * 2 + 3
    assert blocks.tape(Shape(zoo.load("lstm"), 9, 1, 8).stack, 12, 4) == 4 * 12 * 8 * values
    assert values == 5 + 4 + 4 + 3


@needs_compiler
@pytest.mark.parametrize("name", ["lstm", "mut1", "peephole_lstm", "layernorm_lstm"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    ("dtype", "hidden", "vocabulary"),
    [(torch.float32, 19, 17), (torch.float32, 5, 3), (torch.float64, 16, 15)],
)
def test_blocks_change_no_bit(
    name: str, masked: bool, dtype: torch.dtype, hidden: int, vocabulary: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    members, steps, batch, real = 7, 6, 5, torch.empty(0, dtype=dtype).element_size()
    shape = Shape(zoo.load(name), vocabulary, 2, hidden)
    rows = model.first_rows(shape, [1.0] * members, range(members), dtype)
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(vocabulary, (batch, 2 * steps), generator=generator)
    targets = tokens.roll(1, 1)
    if masked:
        targets[:, ::3] = -1

    def passed() -> list[torch.Tensor]:
        states = model.first_states(shape, members, batch, rows)
        found, at = [], 0
        for window in windows.cut(tokens, targets, steps):
            gradient = torch.full_like(rows, torch.nan)
            score, states = model.run(shape, rows, window, states, at, gradient)
            looked, _ = model.run(shape, rows, window, states, at)
            at += steps
            found += [score.loss, score.right, gradient, looked.loss, looked.right]
            found += [state for layer in states for state in layer]
        return found

    together = passed()
    one = blocks.tape(shape.stack, steps * batch, real)
    for size in (1, 2, 3):
        monkeypatch.setattr(blocks, "BLOCK", size * one)
        assert max(blocks.sizes(shape.stack, members, steps * batch, real)) == min(size, 3)
        for a, b in zip(passed(), together, strict=True):
            assert torch.equal(a, b)
