"""The output layer's passes in C: bit for bit those of torch, ties and numbers that are not finite included."""

import math

import pytest
import torch

from cellsearch.compiler.native import toolchain
from cellsearch.compiler.native.output import softmax
from cellsearch.train import model
from cellsearch.train.model import Window

pytestmark = pytest.mark.skipif(toolchain.compiler() is None, reason="no C compiler here")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("vocabulary", [1, 2, 15, 16, 17, 31, 50, 130])
@pytest.mark.parametrize("back", [False, True])
def test_softmax_is_that_of_torch(vocabulary: int, dtype: torch.dtype, back: bool) -> None:
    generator = torch.Generator().manual_seed(vocabulary)
    targets = torch.randint(vocabulary, (37,), generator=generator)
    drawn = 3 * torch.randn(3, 37, vocabulary, generator=generator, dtype=dtype)
    broken = torch.rand(drawn.shape, generator=generator) < 0.05
    cases = [drawn, drawn.round(), torch.zeros_like(drawn)]  # the second has ties, the third nothing else
    cases += [drawn.masked_fill(broken, value) for value in (math.nan, math.inf, -math.inf)]
    for logits in cases:
        ours, theirs = logits.clone(), logits.clone()
        found = softmax(ours, targets, 20, back)
        exact = model._softmax(theirs, Window(targets, None, targets), 20, back)
        pairs = [*zip(found, exact, strict=True), *([(ours, theirs)] if back else [])]
        for a, b in pairs:
            assert torch.equal(a.isnan(), b.isnan())
            assert torch.equal(a.nan_to_num(7), b.nan_to_num(7))
