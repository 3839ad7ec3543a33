"""The output layer: from the layers' outputs to logits, loss and hits, and back. In C if there is a compiler,
else in torch or Triton, a block of members at a time."""

import torch
from torch import Tensor

from cellsearch.compiler.engines.native.output import output as native_output
from cellsearch.compiler.engines.triton.output import softmax as triton_softmax
from cellsearch.compiler.run.layer import IN_C, IN_TRITON, choose_engine
from cellsearch.compiler.run.order import Together, some
from cellsearch.train.windows import Score, Window

#: Logits per block: a block stays in a core's cache. Blocks on a GPU are as large as allowed: each costs a
#: round of calls.
LOGITS_BLOCK, LOGITS_BLOCK_GPU = 1 << 18, 1 << 24


def output_layer(
    vocabulary: int,
    at: int,  # offset of the matrix [H, V] in a row; the bias [V] follows it
    rows: Tensor,  # [K, P]
    flat: Tensor,  # [K, T*B, H]
    window: Window,
    gradient: Tensor | None,  # [K, P]
    d_flat: Tensor | None,  # [K, T*B, H]
    batch: int,
    engine: str,
    order: Together | None = None,
) -> Score:
    """Scores the outputs of the layers; with `gradient` also writes the gradients of the summed loss divided
    by `batch`: its part of the row, and that of the outputs."""
    members, positions = rows.shape[0], window.targets.shape[0]
    order = order or Together(members)
    if choose_engine(engine, rows) in IN_C and window.scored is None:
        loss, right = native_output(
            rows, flat, window.positions, window.targets, vocabulary, at, batch, gradient, d_flat, order
        )
        return Score(loss, right, positions)
    loss = torch.zeros(members, dtype=rows.dtype, device=rows.device)
    right = torch.zeros(members, dtype=torch.int64, device=rows.device)
    numbers = LOGITS_BLOCK if rows.device.type == "cpu" else LOGITS_BLOCK_GPU
    size = max(1, numbers // max(1, positions * vocabulary))
    space = rows.new_empty(min(size, members), positions, vocabulary)  # logits, block after block

    def compute(which: slice) -> None:
        first, end, _ = which.indices(members)
        for k in range(first, end, size):
            block = slice(k, min(k + size, end))
            d_part = None if gradient is None else gradient[block]
            d_seen = None if d_flat is None else some(d_flat, block)
            loss[block], right[block] = _some(
                vocabulary, at, rows[block], flat[block], window, space, d_part, d_seen, batch, engine
            )

    order.work(compute)
    return Score(loss, right, positions)


def _some(
    vocabulary: int,
    at: int,
    rows: Tensor,
    flat: Tensor,
    window: Window,
    space: Tensor,
    gradient: Tensor | None,
    d_flat: Tensor | None,
    batch: int,
    engine: str,
) -> tuple[Tensor, Tensor]:
    """Loss and hits [k] of a block of members. (Large temporaries are freed before the next block.)"""
    hidden = flat.shape[-1]
    end = at + hidden * vocabulary
    matrix = rows[:, at:end].unflatten(1, (hidden, vocabulary))
    seen = flat if window.positions is None else flat[:, window.positions]
    logits = space[: len(rows)]  # [k, n, V]
    torch.baddbmm(rows[:, None, end:], seen, matrix, out=logits)
    back = gradient is not None
    if choose_engine(engine, rows) in IN_TRITON:
        losses, hits = triton_softmax(logits, window.targets, window.scored, batch, back)
    else:
        losses, hits = softmax(logits, window, batch, back)
    loss, right = losses.sum(1), hits.sum(1)
    if gradient is None or d_flat is None:
        return loss, right
    d_logits = logits
    torch.bmm(
        seen.transpose(1, 2),
        d_logits,
        out=gradient[:, at:end].unflatten(1, (hidden, vocabulary)),
    )
    torch.sum(d_logits, 1, out=gradient[:, end:])
    if window.positions is None:
        torch.bmm(d_logits, matrix.transpose(1, 2), out=d_flat)
    else:
        d_flat.index_copy_(1, window.positions, torch.bmm(d_logits, matrix.transpose(1, 2)))
    return loss, right


def softmax(logits: Tensor, window: Window, batch: int, back: bool) -> tuple[Tensor, Tensor]:
    """Losses and hits, each [k, n]; overwrites `logits`, with `back` by the gradient."""
    target = window.targets.expand(logits.shape[0], -1)[..., None]
    top = logits.max(-1)
    hits = top.indices == target[..., 0]
    chosen = logits.gather(-1, target)[..., 0]
    logits.sub_(top.values[..., None]).exp_()
    total = logits.sum(-1)
    losses = total.log() + top.values - chosen
    if back:
        logits.div_(total[..., None])
        logits.scatter_add_(-1, target, torch.full_like(chosen, -1)[..., None]).div_(batch)
    if window.scored is None:
        return losses, hits
    if back:
        logits.masked_fill_(~window.scored[:, None], 0)
    return losses.where(window.scored, 0), hits & window.scored
