"""Blocks of a population: their sizes, and that they change no bit of what comes out."""

import pytest
import torch

from cellsearch.compiler.native import toolchain
from cellsearch.dsl import zoo
from cellsearch.train import blocks, model
from cellsearch.train.model import Shape

needs_compiler = pytest.mark.skipif(toolchain.compiler() is None, reason="no C compiler here")


@pytest.mark.parametrize("members", [1, 2, 7, 20, 320])
@pytest.mark.parametrize("hidden", [16, 64, 700])
def test_sizes_are_few_even_and_within_the_bound(members: int, hidden: int) -> None:
    stack = Shape(zoo.load("lstm"), 50, 2, hidden).stack
    found, one = blocks.sizes(stack, 50, members, 700, 300, 4), blocks.tape(stack, 700, 4)
    assert sum(found) == members
    assert max(found) - min(found) <= 1
    assert max(found) == 1 or max(found) * one <= blocks.BLOCK
    assert len(found) == 1 or (len(found) - 1) * (blocks.BLOCK // one) < members  # not one fewer


@pytest.mark.parametrize(
    ("hidden", "vocabulary", "scored", "real"),
    [(15, 50, 300, 4), (64, 15, 300, 4), (64, 50, 3, 4), (64, 50, 300, 8)],
)
def test_where_the_output_layer_would_see_it_a_population_stays_whole(
    hidden: int, vocabulary: int, scored: int, real: int
) -> None:
    stack = Shape(zoo.load("lstm"), vocabulary, 1, hidden).stack
    assert blocks.sizes(stack, vocabulary, 1000, 700, scored, real) == [1000]


def test_a_tape_is_what_the_passes_keep() -> None:
    """LSTM: four gates and tanh(c) in slots, four gradients of them, two states and the inputs."""
    lay = Shape(zoo.load("lstm"), 9, 1, 8).stack.layers[0]
    values = lay.plan.slots + len(lay.plan.affines) + 2 * 2 + 3
    assert blocks.tape(Shape(zoo.load("lstm"), 9, 1, 8).stack, 12, 4) == 4 * 12 * 8 * values
    assert values == 5 + 4 + 4 + 3


@needs_compiler
@pytest.mark.parametrize("name", ["lstm", "mut1", "peephole_lstm", "layernorm_lstm", "low_rank_lstm"])
@pytest.mark.parametrize("masked", [False, True])
def test_blocks_change_no_bit(name: str, masked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    members, steps, batch = 7, 6, 5
    shape = Shape(zoo.load(name), 17, 2, 19)
    rows = model.first_rows(shape, [1.0] * members, range(members), torch.float32)
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(17, (batch, 2 * steps), generator=generator)
    targets = tokens.roll(1, 1)
    if masked:
        targets[:, ::3] = -1

    def passed() -> list[torch.Tensor]:
        states = model.first_states(shape, members, batch, rows)
        found, at = [], 0
        for window in model.windows(tokens, targets, steps):
            gradient = torch.full_like(rows, torch.nan)
            score, states = model.run(shape, rows, window, states, at, gradient)
            looked, _ = model.run(shape, rows, window, states, at)
            at += steps
            found += [score.loss, score.right, gradient, looked.loss, looked.right]
            found += [state for layer in states for state in layer]
        return found

    together = passed()
    one = blocks.tape(shape.stack, steps * batch, 4)
    for size in (1, 2, 3):
        monkeypatch.setattr(blocks, "BLOCK", size * one)
        assert max(blocks.sizes(shape.stack, 17, members, steps * batch, 9, 4)) == min(size, 3)
        for a, b in zip(passed(), together, strict=True):
            assert torch.equal(a, b)
