"""One layer in one direction for autograd: the compiled forward and backward passes, a population of one.

Inputs: the weights of a layer, sequences of rows, their initial states, and the sequences of the layer below
that the cell reads. Results: outputs, last states, and the sequences that the layer above reads.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cellsearch.compiler.run.layout import Layout, view
from cellsearch.compiler.run.stack import reads_below
from cellsearch.compiler.torch import custom_op
from cellsearch.compiler.torch.layer_function import backward_pass, forward_pass
from cellsearch.errors import CellError


@dataclass(frozen=True)
class Run:
    """The results of one layer for all rows; each state and each delayed value has B second to last."""

    outputs: Tensor  # [N, H]
    last: list[Tensor]  # in the form of `stack.first`
    new: dict[str, Tensor]  # the new values of the requested states, each [N, H]


def run(
    lay: Layout,
    text: str,  # of the cell
    weights: Sequence[Tensor],  # in the order of `lay.weights`
    rows: Tensor,  # [N, D]
    segments: Sequence[tuple[int, int]],
    first: Sequence[Tensor],
    below: Mapping[str, Tensor],  # each [N, H]
    start: Tensor,  # [B]: the number of the first step
    wanted: Sequence[str],  # states whose sequences the layer above reads
) -> Run:
    """Run a layer over sequences whose segments follow each other in `rows`, the longest sequence first."""
    cell = lay.plan.cell.cell
    read = [below[name] for name in reads_below(cell)] if below else []
    values, at, done = list(first), 0, 0
    outputs: list[Tensor] = []
    ended: list[list[Tensor]] = []
    found: list[list[Tensor]] = []
    for k, segment in enumerate(segments):
        end = at + segment[0] * segment[1]
        here = [v[at:end].unflatten(0, segment) for v in (rows, *read)]
        now = start[: segment[1]] + done
        if torch.compiler.is_compiling():
            results = custom_op.layer(text, " ".join(wanted), here[0], now, weights, values, here[1:])
        else:
            results = _Layer.apply(lay, wanted, len(values), *weights, here[0], now, *values, *here[1:])
        outputs.append(results[0].flatten(0, 1))
        found.append([v.flatten(0, 1) for v in results[1 + len(values) :]])
        last = results[1 : 1 + len(values)]
        left = segments[k + 1][1] if k + 1 < len(segments) else 0
        values = [v.narrow(-2, 0, left) for v in last]
        ended.append([v.narrow(-2, left, segment[1] - left) for v in last])
        at, done = end, done + segment[0]
    return Run(
        _join(outputs, 0),
        [_join([part[i] for part in reversed(ended)], -2) for i in range(len(first))],
        {name: _join([part[i] for part in found], 0) for i, name in enumerate(wanted)},
    )


def _join(parts: Sequence[Tensor], axis: int) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), axis)


class _Layer(torch.autograd.Function):
    """A segment, with the inputs and results of `forward_pass`."""

    @staticmethod
    def forward(ctx: Any, lay: Layout, wanted: Sequence[str], states: int, *tensors: Tensor) -> Any:
        count = len(lay.weights)
        x, below = tensors[count], tensors[count + 2 + states :]
        results, kept = forward_pass(
            lay, wanted, tensors[:count], x, tensors[count + 1], tensors[count + 2 :][:states], below
        )
        ctx.lay, ctx.wanted, ctx.below = lay, wanted, len(below)
        ctx.save_for_backward(x, *below, *kept)
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        x, *rest = ctx.saved_tensors
        count = len(ctx.lay.weights)
        need_x = ctx.needs_input_grad[3 + count]
        below, kept = rest[: ctx.below], rest[ctx.below :]
        with torch.no_grad():
            d_row, d_x, others = backward_pass(ctx.lay, ctx.wanted, x, below, kept, gradients, need_x)
        found = [*(view(ctx.lay, d_row, k)[0] for k in range(count)), d_x, None, *others]
        if torch.is_grad_enabled():  # the following results may be differentiated
            found = [None if d is None else _Last.apply(d.detach().requires_grad_()) for d in found]
        return (None, None, None, *found)


class _Last(torch.autograd.Function):
    """The identity for a gradient that cannot be differentiated: raises an error instead of acting as a
    constant."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        raise CellError(
            "the gradient of a Recurrent cannot be differentiated once more: leave create_graph=True out, or"
            " take the plain loop, cellsearch.compiler.reference"
        )
