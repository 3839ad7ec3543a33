"""The output layer in C against that of torch: loss, right ones and gradients, ties and numbers that are not finite
included."""

import math

import pytest
import torch
from torch import Tensor

from cellsearch.compiler.engines.native import toolchain
from cellsearch.dsl import zoo
from cellsearch.train import windows
from cellsearch.train.model import Shape
from cellsearch.train.output import output_layer
from cellsearch.train.windows import Window

pytestmark = pytest.mark.skipif(toolchain.compiler() is None, reason="no C compiler here")

STEPS, BATCH, HIDDEN = 5, 8, 6


def layer(shape: Shape, rows: Tensor, flat: Tensor, window: Window, back: bool, engine: str) -> list[Tensor]:
    gradient = torch.zeros_like(rows) if back else None
    d_flat = torch.zeros_like(flat) if back else None
    score = output_layer(shape.vocabulary, shape.output, rows, flat, window, gradient, d_flat, BATCH, engine)
    return [t for t in (score.loss, score.right, gradient, d_flat) if t is not None]


def example(vocabulary: int, dtype: torch.dtype, some: bool) -> tuple[Shape, Tensor, Tensor, Window]:
    shape = Shape(zoo.load("rnn"), vocabulary, 1, HIDDEN)
    generator = torch.Generator().manual_seed(vocabulary)
    rows = torch.randn(3, shape.size, generator=generator, dtype=dtype)
    flat = torch.randn(3, STEPS * BATCH, HIDDEN, generator=generator, dtype=dtype)
    tokens = torch.randint(vocabulary, (BATCH, STEPS), generator=generator)
    targets = torch.randint(vocabulary, (BATCH, STEPS), generator=generator)
    if some:
        targets[:, ::2] = -1
    return shape, rows, flat, windows.cut(tokens, targets, STEPS)[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("vocabulary", [1, 2, 15, 16, 17, 31, 50, 130])
@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("some", [False, True])
def test_it_is_that_of_torch(vocabulary: int, dtype: torch.dtype, back: bool, some: bool) -> None:
    shape, rows, flat, window = example(vocabulary, dtype, some)
    ours, theirs = (layer(shape, rows, flat, window, back, engine) for engine in ("native", "eager"))
    bound = 1e-12 if dtype == torch.float64 else 40 * 16 * 2**-24  # sums of 40 positions
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert float((a - b).abs().max()) <= bound * max(1.0, float(b.abs().max()))
    assert torch.equal(ours[1], theirs[1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_of_equal_logits_the_first_is_the_guess(dtype: torch.dtype) -> None:
    shape, rows, flat, window = example(50, dtype, False)
    rows[:, shape.output :] = 0
    loss, right = layer(shape, rows, flat, window, False, "native")
    assert torch.equal(right, (window.targets == 0).sum().expand(3))
    assert torch.allclose(loss, torch.full_like(loss, STEPS * BATCH * math.log(50)))
    rows[:, -1] = rows[:, -3] = 1
    _, right = layer(shape, rows, flat, window, False, "native")
    assert torch.equal(right, (window.targets == 47).sum().expand(3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [3, -2])
def test_what_is_not_finite_stays_with_its_member(dtype: torch.dtype, value: float, place: int) -> None:
    shape, rows, flat, window = example(50, dtype, False)
    whole = layer(shape, rows, flat, window, True, "native")
    rows[1, place if place < 0 else shape.output + place] = value  # a bias, and an entry of the matrix
    for engine in ("native", "eager"):
        found = layer(shape, rows, flat, window, True, engine)
        finite = place == -2 and value == -math.inf and not bool((window.targets == 48).any())
        assert bool(found[0][1].isfinite()) == finite, engine
        if engine == "native":
            for a, b in zip(found, whole, strict=True):
                assert torch.equal(a[0], b[0])
                assert torch.equal(a[2], b[2])


def test_large_logits_do_not_overflow() -> None:
    shape, rows, flat, window = example(17, torch.float32, False)
    rows[:, shape.output :] *= 1e4
    ours, theirs = (layer(shape, rows, flat, window, True, engine) for engine in ("native", "eager"))
    for a, b in zip(ours, theirs, strict=True):
        assert bool(a.isfinite().all())
        assert torch.allclose(a.double(), b.double(), rtol=1e-4, atol=1e-2)
