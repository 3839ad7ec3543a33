"""The compiled passes held against `reference` and autograd: the comparison that several tests share."""

from collections.abc import Sequence

import torch
from torch import Tensor

from cellsearch.compiler.reference import reference
from cellsearch.compiler.run import stack as stacks
from cellsearch.compiler.run.layout import named
from cellsearch.compiler.run.structures import clean, initialise
from cellsearch.dsl.graph import Cell


def differences(
    cells: Sequence[Cell],
    engine: str,
    seed: int = 0,
    members: int = 2,
    steps: int = 10,
    batch: int = 2,
    width: int = 5,
    hidden: int = 5,
    start: int = 0,
    device: str = "cpu",
    symbols: int = 0,
) -> dict[str, float]:
    """For outputs, last states and every gradient: the largest difference, relative to the largest value.

    With `symbols` the inputs are rows of a table of so many, one of which no step reads.

    Not finite in one must mean not finite in the other; else the difference is infinite.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    stacked = stacks.stack(cells, width, hidden)
    row = torch.empty(members, stacked.size, dtype=torch.float64)
    for lay, part in zip(stacked.layers, stacked.rows(row), strict=True):
        initialise(lay, part, 0.5 / hidden**0.5, generator)
        part += 0.1 * draw(*part.shape)
        clean(lay, part)
    x = 0.5 * draw(members, *((symbols,) if symbols else (steps, batch)), width)
    read = torch.randint(symbols - 1, (steps, batch), generator=generator) if symbols else None
    states = stacks.first_states(stacked, members, batch, row)
    for layer, cell in zip(states, cells, strict=True):  # what before(...) looks at starts at zero
        layer[: len(cell.states)] = [0.5 * draw(members, batch, hidden) for _ in cell.states]
    there = row.to(device)
    begun = [[s.to(device) for s in layer] for layer in states]
    outputs, last, tapes = stacks.forward(stacked, there, x.to(device), begun, start, engine, read)
    d_outputs = draw(*outputs.shape)
    d_last = [[torch.zeros_like(s) for s in layer] for layer in states]
    for layer, cell in zip(d_last, cells, strict=True):
        layer[: len(cell.states)] = [draw(members, batch, hidden) for _ in cell.states]
    d_row = torch.full_like(there, torch.nan)
    d_ends = [[s.to(device) for s in layer] for layer in d_last]
    found = stacks.backward(
        stacked, there, tapes, d_outputs.to(device), d_row, d_states=d_ends, engine=engine
    )
    d_row = d_row.cpu()

    result: dict[str, float] = {}

    def compare(name: str, ours: Tensor, theirs: Tensor | None) -> None:
        ours = ours.cpu()
        theirs = torch.zeros_like(ours) if theirs is None else theirs.detach()
        if not bool(theirs.isfinite().all()) or not bool(ours.isfinite().all()):
            both = bool(theirs.isfinite().all()) == bool(ours.isfinite().all())
            difference = 0.0 if both else float("inf")
        else:
            scale = max(1.0, float(theirs.abs().max())) if theirs.numel() else 1.0
            difference = float((ours - theirs).abs().max()) / scale
        result[name] = max(result.get(name, 0.0), difference)

    for k in range(members):
        parameters = [
            {name: v[k].clone().requires_grad_() for name, v in named(lay, part).items()}
            for lay, part in zip(stacked.layers, stacked.rows(row), strict=True)
        ]
        x_k = x[k].clone().requires_grad_()
        first = [
            [s[k].clone().requires_grad_() for s in layer[: len(cell.states)]]
            for layer, cell in zip(states, cells, strict=True)
        ]
        out, end = reference(cells, parameters, x_k if read is None else x_k[read], first, start)
        loss = (out * d_outputs[k]).sum()
        for layer, d_layer in zip(end, d_last, strict=True):
            loss = loss + sum((s * d[k]).sum() for s, d in zip(layer, d_layer, strict=False))
        compare("outputs", outputs[k], out)
        for layer, lay in enumerate(stacked.layers):
            for s, state in enumerate(lay.plan.cell.cell.states):
                compare(f"{layer} {state.name}", last[layer][s][k], end[layer][s])
        if not all(bool(v.isfinite().all()) for v in (out, *(s for layer in end for s in layer))):
            continue  # what autograd makes of an infinity depends on how it orders the same derivatives
        if loss.requires_grad:
            loss.backward()
        compare("d x", found.x[k], x_k.grad)
        for layer, lay in enumerate(stacked.layers):
            for s, state in enumerate(lay.plan.cell.cell.states):
                compare(f"{layer} d {state.name}", found.states[layer][s][k], first[layer][s].grad)
            for name, gradient in named(lay, stacked.rows(d_row)[layer]).items():
                compare(f"{layer} d {name}", gradient[k], parameters[layer][name].grad)
    return result
