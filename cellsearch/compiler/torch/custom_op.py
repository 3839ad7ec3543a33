"""A layer as an opaque operator of torch, for `torch.compile`, with known shapes and gradient.

Takes the inputs of `layer_function`; an operator takes only tensors, numbers and text, so the cell is passed
as its text. Returns one list of tensors. Without `torch.compile` the class in `autograd` does the same at
less cost.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from cellsearch.compiler.plan.schedule import plan
from cellsearch.compiler.run.layout import Layout, layout, view
from cellsearch.compiler.torch.layer_function import alone, backward_pass, forward_pass
from cellsearch.dsl.graph import RECENT
from cellsearch.dsl.text import parse
from cellsearch.errors import CellError

_ARGUMENTS = "str cell, str wanted, Tensor x, Tensor start, Tensor[] weights, Tensor[] states, Tensor[] below"
_GRADIENT = "str cell, str wanted, bool need_x, Tensor x, Tensor[] below, Tensor[] kept, Tensor[] gradients"


def refuse_onnx() -> None:
    """Raises CellError while torch.onnx records a call; one of its exporters only infers shapes."""
    if torch.onnx.is_in_onnx_export():
        raise CellError(
            "torch.onnx cannot read a compiled layer: cellsearch.export(module, 'cell.onnx') writes the model"
            " itself; for a network around it write the cell as a module that imports torch alone, with"
            " cellsearch.export(cell, 'folder', 'torch'), and load this state dict into it"
        )


#: The layouts of modules, by the arguments of a call. Data read by a recorded call of a module belong to its
#: layout, and are freed with the module.
_in_use: WeakValueDictionary[tuple[str, int, int], Layout] = WeakValueDictionary()


def shared(cell: str, lay: Layout) -> Layout:
    """The layout that modules hold for a cell's text: this one, or an equal one in use."""
    return _in_use.setdefault((cell, lay.width, lay.hidden), lay)


def _layout(cell: str, width: int, hidden: int) -> Layout:
    found = _in_use.get((cell, width, hidden))
    return _parsed(cell, width, hidden) if found is None else found


@lru_cache(maxsize=4 * RECENT)  # for calls without a module; a compiled model calls it every time
def _parsed(cell: str, width: int, hidden: int) -> Layout:
    return layout(plan(parse(cell)), width, hidden)


def _forward(
    cell: str,
    wanted: str,
    x: Tensor,
    start: Tensor,
    weights: Sequence[Tensor],
    states: Sequence[Tensor],
    below: Sequence[Tensor],
) -> list[Tensor]:
    """See `layer_function.forward_pass`: the results, then the kept values. `wanted` are names separated by
    spaces."""
    lay = _layout(cell, x.shape[-1], states[0].shape[-1])
    results, kept = forward_pass(lay, wanted.split(), weights, x, start, states, below)
    return [*results, *kept]


def _forward_shapes(
    cell: str,
    wanted: str,
    x: Tensor,
    start: Tensor,
    weights: Sequence[Tensor],
    states: Sequence[Tensor],
    below: Sequence[Tensor],
) -> list[Tensor]:
    refuse_onnx()
    steps, batch, width = x.shape
    hidden = states[0].shape[-1]
    lay = _layout(cell, width, hidden)
    lowered = lay.plan.cell
    sequence = (steps, batch, hidden)
    shapes = [sequence, *(tuple(s.shape) for s in states), *(sequence for _ in wanted.split())]
    shapes += [(1, lay.size), (1, steps, batch, lay.plan.slots * hidden)]
    shapes += [(1, steps + 1, batch, hidden)] * len(lowered.states)
    shapes += [(1, lowered.past + steps, batch, width)] * bool(lowered.past)
    shapes += [(1, *sequence)] * bool(lowered.clock)
    return [x.new_empty(shape) for shape in shapes]


def _backward(
    cell: str,
    wanted: str,
    need_x: bool,
    x: Tensor,
    below: Sequence[Tensor],
    kept: Sequence[Tensor],
    gradients: Sequence[Tensor],
) -> list[Tensor]:
    """See `layer_function.backward_pass`; the gradient of x is empty if it is not needed."""
    lay = _layout(cell, x.shape[-1], gradients[0].shape[-1])
    d_row, d_x, others = backward_pass(lay, wanted.split(), x, below, kept, gradients, need_x)
    return [d_row, x.new_empty(0) if d_x is None else alone(d_x), *(alone(d) for d in others)]


def _backward_shapes(
    cell: str,
    wanted: str,
    need_x: bool,
    x: Tensor,
    below: Sequence[Tensor],
    kept: Sequence[Tensor],
    gradients: Sequence[Tensor],
) -> list[Tensor]:
    states = gradients[1 : len(gradients) - len(wanted.split())]
    like = [kept[0], x if need_x else x.new_empty(0), *states, *below]
    return [torch.empty_like(v, memory_format=torch.contiguous_format) for v in like]


def _keep(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    ctx.cell, ctx.wanted, x, _, weights, states, below = inputs
    ctx.counts = len(weights), len(states), len(below)
    ctx.save_for_backward(x, *below, *output[1 + len(states) + len(ctx.wanted.split()) :])


def _gradients(ctx: Any, gradients: Sequence[Tensor]) -> Any:
    x, *rest = ctx.saved_tensors
    weights, states, below = ctx.counts
    results = list(gradients[: 1 + states + len(ctx.wanted.split())])
    d_row, d_x, *others = torch.ops.cellsearch.layer_backward(
        ctx.cell, ctx.wanted, ctx.needs_input_grad[2], x, rest[:below], rest[below:], results
    )
    lay = _layout(ctx.cell, x.shape[-1], results[0].shape[-1])
    d_weights = [view(lay, d_row, k)[0] for k in range(weights)]
    d_x = d_x if ctx.needs_input_grad[2] else None
    return None, None, d_x, None, d_weights, others[:states], others[states:]


def _define(name: str, arguments: str, function: Any, shapes: Any) -> None:
    torch.library.define(name, f"({arguments}) -> Tensor[]")
    torch.library.impl(name, "default", function)
    torch.library.register_fake(name, shapes)


_define("cellsearch::layer", _ARGUMENTS, _forward, _forward_shapes)
_define("cellsearch::layer_backward", _GRADIENT, _backward, _backward_shapes)
torch.library.register_autograd("cellsearch::layer", _gradients, setup_context=_keep)

#: `layer(cell, wanted, x, start, weights, states, below)`; differentiable.
layer = torch.ops.cellsearch.layer
