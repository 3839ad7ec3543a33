"""What running a cell means: the obvious loop over time, one network, differentiated by autograd.

Never optimised. Everything fast is tested against it, in float64.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from cellsearch.compiler.formula import apply
from cellsearch.dsl.graph import Affine, Cell, Constant, Input
from cellsearch.dsl.ops import OPS
from cellsearch.dsl.weights import unit_periods, weights


def step(
    cell: Cell,
    parameters: Mapping[str, Tensor],
    x: Tensor,  # [B, D]
    states: Sequence[Tensor],  # each [B, H]
    t: int = 0,
    below: Mapping[str, Tensor] | None = None,  # name -> [B, H]; zero where missing (the lowest layer)
) -> tuple[Tensor, list[Tensor]]:
    """One step of one layer: its output [B, H] and its new states. `parameters` by the names of
    `weights(cell)`."""
    hidden = states[0].shape[-1]
    periods = torch.tensor(unit_periods(cell.clock, hidden))
    names = {(w.node, w.term): w.name for w in weights(cell)}
    states_by_name = {s.name: v for s, v in zip(cell.states, states, strict=True)}
    values: list[Tensor] = []
    for i, node in enumerate(cell.nodes):
        if isinstance(node, Input):
            if node.kind == "x":
                value = x
            elif node.kind == "state":
                value = states_by_name[node.name]
            elif node.kind == "tick":
                value = (t % periods == 0).to(x.dtype)
            else:
                value = (below or {}).get(node.name, torch.zeros_like(states[0]))
        elif isinstance(node, Constant):
            value = torch.full_like(states[0], node.value)
        elif isinstance(node, Affine):
            value = torch.zeros_like(states[0])
            for k, c in enumerate(node.connections):
                weight = parameters[names[i, k]]
                if c.structure == "slower":
                    weight = weight * (periods[:, None] >= periods[None, :])
                value = value + (values[c.source] * weight if c.peephole else values[c.source] @ weight)
            if node.bias is not None:
                value = value + parameters[names[i, -1]]
        else:
            value = apply(OPS[node.op], *(values[a] for a in node.args))
        values.append(value.expand_as(states[0]) if not isinstance(node, Input) else value)
    return values[cell.output].expand_as(states[0]), [values[i].expand_as(states[0]) for i in cell.new]


def reference(
    cells: Sequence[Cell],
    parameters: Sequence[Mapping[str, Tensor]],
    x: Tensor,  # [T, B, D]
    states: Sequence[Sequence[Tensor]],  # per layer, per state [B, H]
    t: int = 0,
) -> tuple[Tensor, list[list[Tensor]]]:
    """A stack of layers, bottom first, over T steps: outputs of the top layer [T, B, H] and the last
    states."""
    now = [list(layer) for layer in states]
    outputs = []
    for k, value in enumerate(x):
        below: dict[str, Tensor] = {}
        for layer, cell in enumerate(cells):
            value, now[layer] = step(cell, parameters[layer], value, now[layer], t + k, below)
            below = {s.name: v for s, v in zip(cell.states, now[layer], strict=True)}
        outputs.append(value)
    return torch.stack(outputs), now
