"""What running a cell means: the obvious loop over time, one network, differentiated by autograd.

Never optimised. Everything fast is tested against it, in float64.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from cellsearch.compiler.engines.formula import apply
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.nodes import Affine, Before, Connection, Constant, Input, input_wide
from cellsearch.dsl.ops import OPS
from cellsearch.dsl.weights import split, unit_periods, weights


def step(
    cell: Cell,
    parameters: Mapping[str, Tensor],
    x: Tensor,  # [B, D]
    states: Sequence[Tensor],  # each [B, H]
    t: int = 0,
    below: Mapping[str, Tensor] | None = None,  # name -> [B, H]; zero where missing (the lowest layer)
    earlier: Sequence[Sequence[Tensor]] = (),  # the values of all nodes at every step before, oldest first
) -> list[Tensor]:
    """One step of one layer: the values of all nodes, each [B, H] (of the width of x: [B, D])."""
    hidden = states[0].shape[-1]
    periods = torch.tensor(unit_periods(cell.clock, hidden))
    states_by_name = {s.name: v for s, v in zip(cell.states, states, strict=True)}
    wide = input_wide(cell.nodes)
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
                weight = matrix(cell, parameters, i, k, hidden)
                value = value + (values[c.source] * weight if c.peephole else values[c.source] @ weight)
            if node.bias is not None:
                value = value + parameters[_names(cell)[i, -1][0]]
        else:
            value = apply(OPS[node.op], *(values[a] for a in node.args))
        values.append(value if i in wide else value.expand_as(states[0]))
    return values


def matrix(cell: Cell, parameters: Mapping[str, Tensor], node: int, term: int, hidden: int) -> Tensor:
    """The matrix [in, H] or the peephole [H] of a connection, made of its weights."""
    affine = cell.nodes[node]
    assert isinstance(affine, Affine)
    c: Connection = affine.connections[term]
    weight, *second = (parameters[name] for name in _names(cell)[node, term])
    if c.structure == "slower":
        periods = torch.tensor(unit_periods(cell.clock, hidden))
        return weight * (periods[:, None] >= periods[None, :])
    if c.structure == "rank":
        return weight @ second[0]
    if c.structure == "skew":
        return weight.triu(1) - weight.triu(1).T
    if c.structure == "blocks":
        assert c.part is not None
        ones = [torch.ones(r, n) for r, n in zip(*(split(n, c.part) for n in weight.shape), strict=True)]
        return weight * torch.block_diag(*ones)
    return weight


def _names(cell: Cell) -> dict[tuple[int, int], list[str]]:
    found: dict[tuple[int, int], list[str]] = {}
    for w in weights(cell):
        found.setdefault((w.node, w.term), []).append(w.name)
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
