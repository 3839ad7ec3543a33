"""The definition of running a cell: the obvious loop over time, one network, differentiated by autograd.
Never optimised. Every fast path is tested against it in float64.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from cellsearch.compiler import matrices
from cellsearch.compiler.engines.formula import apply
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.nodes import Affine, Before, Constant, Input, input_wide
from cellsearch.dsl.ops import OPS
from cellsearch.dsl.structures import Sizes
from cellsearch.dsl.weights import Weight, unit_periods, weights


def step(
    cell: Cell,
    parameters: Mapping[str, Tensor],
    x: Tensor,  # [B, D]
    states: Sequence[Tensor],  # each [B, H]
    t: int = 0,
    below: Mapping[str, Tensor] | None = None,  # name -> [B, H]; zero where missing (the lowest layer)
    earlier: Sequence[Sequence[Tensor]] = (),  # the values of all nodes at every earlier step, oldest first
) -> list[Tensor]:
    """One step of one layer: the values of all nodes, each [B, H] (of the width of x: [B, D])."""
    hidden = states[0].shape[-1]
    periods = torch.tensor(unit_periods(cell.clock, hidden))
    states_by_name = {s.name: v for s, v in zip(cell.states, states, strict=True)}
    wide, owned = input_wide(cell.nodes), _owned(cell)
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
        elif isinstance(node, Before):
            seen = len(earlier) >= node.delay
            value = earlier[-node.delay][node.source] if seen else torch.zeros_like(values[node.source])
        elif isinstance(node, Constant):
            value = torch.full_like(states[0], node.value)
        elif isinstance(node, Affine):
            value = torch.zeros_like(states[0])
            for k, c in enumerate(node.connections):
                weight, source = owned[i, k][0], values[c.source]
                if c.peephole:
                    value = value + source * parameters[weight.name]
                else:
                    sizes = weight.sizes(x.shape[-1], hidden, cell.clock)
                    value = value + source @ matrix(parameters, owned[i, k], sizes)
            if node.bias is not None:
                value = value + parameters[owned[i, -1][0].name]
        else:
            value = apply(OPS[node.op], *(values[a] for a in node.args))
        values.append(value if i in wide else value.expand_as(states[0]))
    return values


def matrix(parameters: Mapping[str, Tensor], owned: Sequence[Weight], sizes: Sizes) -> Tensor:
    """The matrix [in, H] of a connection, from its weights."""
    row = owned[0].row
    assert row is not None
    weights = [parameters[w.name] * matrices.free(w.piece, sizes).to(parameters[w.name]) for w in owned]
    return matrices.make(row, weights, matrices.constants(row, sizes, weights[0].device))


def _owned(cell: Cell) -> dict[tuple[int, int], list[Weight]]:
    found: dict[tuple[int, int], list[Weight]] = {}
    for w in weights(cell):
        found.setdefault((w.node, w.term), []).append(w)
    return found


def reference(
    cells: Sequence[Cell],
    parameters: Sequence[Mapping[str, Tensor]],
    x: Tensor,  # [T, B, D]
    states: Sequence[Sequence[Tensor]],  # per layer, per state [B, H]
    t: int = 0,
) -> tuple[Tensor, list[list[Tensor]]]:
    """A stack of layers, bottom first, over T steps: outputs of the top layer [T, B, H] and the last states.
    `t` is the number of the first step. `parameters` by the names of `weights(cell)`."""
    now = [list(layer) for layer in states]
    earlier: list[list[list[Tensor]]] = [[] for _ in cells]
    outputs = []
    for k, value in enumerate(x):
        below: dict[str, Tensor] = {}
        for layer, cell in enumerate(cells):
            values = step(cell, parameters[layer], value, now[layer], t + k, below, earlier[layer])
            earlier[layer].append(values)
            value, now[layer] = values[cell.output], [values[i] for i in cell.new]
            below = {s.name: v for s, v in zip(cell.states, now[layer], strict=True)}
        outputs.append(value)
    return torch.stack(outputs), now
