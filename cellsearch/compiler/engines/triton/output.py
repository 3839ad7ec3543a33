"""Softmax, loss and its gradient in one pass over the logits; torch takes a dozen."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from cellsearch.compiler.engines.triton import toolchain
from cellsearch.compiler.engines.triton.writer import PARTS

#: Numbers in a tile; a row of logits is never split.
TILE = 1024

_TEXT = (
    PARTS
    + """
@part
def smaller(a, b):
    return tl.where(a < b, a, b)

@kernel(["N", "n", "batch"])
def softmax(a, a0, a1, a2, a3, N, n, V, batch, R: tl.constexpr, W: tl.constexpr, MASKED: tl.constexpr,
            BACK: tl.constexpr):
    r = tl.program_id(0) * R + tl.arange(0, R)[:, None]
    v = tl.arange(0, W)[None, :]
    here = r < N
    ok = here & (v < V)
    place = a + r.to(tl.int64) * V + v
    x = tl.load(place, mask=ok, other=float("-inf"))
    target = tl.load(a0 + r % n, mask=here, other=0)
    most = tl.reduce(x, 1, larger, keep_dims=True)
    first = tl.reduce(tl.where(ok & (x == most), v, W), 1, smaller, keep_dims=True)
    e = tl.where(ok, tl.exp(x - most), 0.0)
    total = tl.reduce(e, 1, plus, keep_dims=True)
    chosen = tl.reduce(tl.where(v == target, x, 0.0), 1, plus, keep_dims=True)
    loss = tl.log(total) + most - chosen
    hit = tl.where(first == target, 1, 0)
    if MASKED:
        counts = tl.load(a1 + r % n, mask=here, other=0) != 0
        loss = tl.where(counts, loss, 0.0)
        hit = tl.where(counts, hit, 0)
    tl.store(a2 + r, loss, mask=here)
    tl.store(a3 + r, hit, mask=here)
    if BACK:
        d = (e / total - tl.where(v == target, 1.0, 0.0)) / batch
        if MASKED:
            d = tl.where(counts, d, 0.0)
        tl.store(place, d, mask=ok)
"""
)


#: The kernels, interpreted or not. No cache may drop them: Triton unloads a kernel that nothing
#: references, and recorded steps call it by its address.
_made: dict[bool, Mapping[str, Any]] = {}


def kernel(interpreted: bool) -> Any:
    """The kernel, to be called as `kernel(...)[grid](...)`."""
    if interpreted not in _made:
        _made[interpreted] = toolchain.functions(_TEXT, interpreted)
    return _made[interpreted]["softmax"]


def tile(vocabulary: int) -> tuple[int, int, dict[str, Any]]:
    """The rows and columns of a program's tile, and its compile options."""
    width = 1 << (vocabulary - 1).bit_length()
    options = {"num_warps": min(16, max(4, width // 512)), "enable_fp_fusion": True}
    return max(1, TILE // width), width, options


def softmax(
    logits: Tensor,  # [k, n, V]; with `back` the gradient of the loss, divided by `batch`, is written here
    targets: Tensor,  # [n]
    scored: Tensor | None,  # [n], bool; None: all of them
    batch: int,
    back: bool,
) -> tuple[Tensor, Tensor]:
    """Losses in nats and 0/1 for correct guesses, each [k, n]; among equal logits the first is the guess."""
    members, positions, vocabulary = logits.shape
    losses = logits.new_empty(members, positions)
    hits = torch.empty(members, positions, dtype=torch.int32, device=logits.device)
    interpreted = logits.device.type == "cpu"
    height, width, options = tile(vocabulary)
    rows = members * positions
    if not rows:
        return losses, hits
    with toolchain.on(logits.device):
        kernel(interpreted)[(-(-rows // height),)](
            logits, targets, targets if scored is None else scored, losses, hits,
            rows, positions, vocabulary, batch,
            R=height, W=width, MASKED=scored is not None, BACK=back, **({} if interpreted else options),
        )  # fmt: skip
    return losses, hits
