"""One layer in one direction, forward and backward, as plain tensors without the axis K, for autograd and
`torch.compile`.

Inputs: the weights of a layer in the order of their names, inputs [T, B, D], first states, the sequences of
the layer below that the cell reads. Results: outputs, last states, the sequences that the layer above reads.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from cellsearch.compiler.run import layer
from cellsearch.compiler.run.buffers import Tape
from cellsearch.compiler.run.layout import Layout, assemble
from cellsearch.compiler.run.stack import reads_below
from cellsearch.compiler.run.structures import clean


def forward_pass(
    lay: Layout,
    wanted: Sequence[str],  # states of the cell
    weights: Sequence[Tensor],
    x: Tensor,  # [T, B, D]
    start: Tensor,  # [B]
    states: Sequence[Tensor],
    below: Sequence[Tensor],  # each [T, B, H], in the order of `reads_below`; none in the lowest layer
) -> tuple[list[Tensor], list[Tensor]]:
    """The results (outputs [T, B, H], the last states, the sequences [T, B, H] of the wanted states), and the
    values that the backward pass needs besides x and below. No two of them share memory."""
    with plain(x.device):
        row = assemble(lay, dict(zip((w.name for w in lay.weights), weights, strict=True))).to(x)
        clean(lay, row)  # sets entries that must be zero, for any weights
        given = [s[None] for s in states]
        outputs, tape = layer.forward(lay, row, x[None], given, _below(lay, below), start)
        sequences = [tape.states[k][:, 1:] for k in _indices(lay, wanted)]
        results = [outputs, *layer.last_states(tape), *sequences]
        kept = [tape.row, tape.slots, *tape.states]
        kept += [tape.inputs] * bool(tape.past) + [t for t in (tape.tick,) if t is not None]
        return [alone(v[0]) for v in results], kept


def backward_pass(
    lay: Layout,
    wanted: Sequence[str],
    x: Tensor,
    below: Sequence[Tensor],
    kept: Sequence[Tensor],
    gradients: Sequence[Tensor],  # of the results
    need_x: bool,
) -> tuple[Tensor, Tensor | None, list[Tensor]]:
    """The gradients of the row of weights [1, P], of x, of the first states and of the sequences read
    below."""
    cell = lay.plan.cell
    with plain(x.device):
        row, slots, *others = kept
        states = tuple(others[: len(cell.states)])
        inputs = others[len(states)] if cell.past else x[None]
        tick = others[-1] if cell.clock else None
        tape = Tape(row, inputs, cell.past, states, slots, _below(lay, below), tick)
        d_outputs, *rest = (g[None] for g in gradients)
        count = len(rest) - len(wanted)
        above = dict(zip(_indices(lay, wanted), rest[count:], strict=True))
        d_row = torch.zeros_like(row)
        found = layer.backward(lay, row, tape, d_outputs, d_row, rest[:count], above, need_x)
        d_below = [found.below[name][0] for name in reads_below(cell.cell)] if below else []
        return d_row, None if found.x is None else found.x[0], [*(s[0] for s in found.states), *d_below]


def _indices(lay: Layout, wanted: Sequence[str]) -> list[int]:
    names = [s.name for s in lay.plan.cell.states]
    return [names.index(name) for name in wanted]


def _below(lay: Layout, below: Sequence[Tensor]) -> dict[str, Tensor]:
    names = reads_below(lay.plan.cell.cell) if below else []
    return {name: value[None] for name, value in zip(names, below, strict=True)}


def alone(value: Tensor) -> Tensor:
    """A copy: the caller may change a result, and results of an operator must not share memory."""
    return value.clone(memory_format=torch.contiguous_format)


def autocast_is_on(device: torch.device) -> bool:
    """Whether autocast is active on this kind of device."""
    return torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type)


def plain(device: torch.device) -> AbstractContextManager[Any]:
    """Disables autocast: a layer computes in the dtype of its weights."""
    return torch.autocast(device.type, enabled=False) if autocast_is_on(device) else nullcontext()
