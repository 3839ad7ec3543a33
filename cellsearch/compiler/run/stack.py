"""Layers on top of each other: forward from the bottom, backward from the top, `below(...)` wired between
them.

A stack's states are a list per layer of tensors [K, B, H]; a layer's row is its part of the member's row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from cellsearch.compiler.plan.schedule import plan
from cellsearch.compiler.run import layer
from cellsearch.compiler.run.buffers import Tape
from cellsearch.compiler.run.layout import Layout, layout
from cellsearch.compiler.run.order import Together
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.nodes import Input
from cellsearch.errors import CellError

States = list[list[Tensor]]


@dataclass(frozen=True)
class Stack:
    """The layers of a stack, bottom first, and the offsets of their weights in a row of `size`."""

    layers: tuple[Layout, ...]
    starts: tuple[int, ...]
    size: int

    def rows(self, row: Tensor) -> list[Tensor]:
        """The part of rows [K, P] that belongs to each layer."""
        return [row[:, at : at + lay.size] for at, lay in zip(self.starts, self.layers, strict=True)]


def reads_below(cell: Cell) -> list[str]:
    """The states of the layer below that a cell reads."""
    return [n.name for n in cell.nodes if isinstance(n, Input) and n.kind == "below"]


def check_stack(cells: Sequence[Cell]) -> None:
    """Raises CellError unless every state that a layer reads from below exists there."""
    for k, (lower, upper) in enumerate(pairwise(cells)):
        states = [s.name for s in lower.states]
        for name in reads_below(upper):
            if name not in states:
                raise CellError(
                    f"layer {k + 1} ({upper.name}) reads below({name}), but the cell of layer {k}"
                    f" ({lower.name}) has no state {name}; its states are {', '.join(states)}"
                )


def stack(cells: Sequence[Cell], width: int, hidden: int) -> Stack:
    """A stack of `cells`, bottom first, with inputs of `width` (D) and `hidden` units (H) in every layer."""
    check_stack(cells)
    layers = tuple(layout(plan(cell), width if k == 0 else hidden, hidden) for k, cell in enumerate(cells))
    starts = [0]
    for lay in layers:
        starts.append(starts[-1] + lay.size)
    return Stack(layers, tuple(starts[:-1]), starts[-1])


def first_states(stacked: Stack, members: int, batch: int, like: Tensor) -> States:
    """The initial states of each layer, in the shapes of `layer.last_states`."""
    return [first(lay, members, batch, like) for lay in stacked.layers]


def first(lay: Layout, members: int, batch: int, like: Tensor) -> list[Tensor]:
    """The initial states of one layer. Raises CellError if the dtype cannot represent them."""
    cell = lay.plan.cell
    for s in cell.states:
        if abs(s.initial) > torch.finfo(like.dtype).max:
            raise CellError(
                f"state {s.name} of {cell.cell.name} starts at {s.initial:g}, which {like.dtype} cannot hold;"
                " take float32 or bfloat16"
            )
    states = [like.new_full((members, batch, lay.hidden), s.initial) for s in cell.states]
    if cell.past:
        states.append(like.new_zeros(members, cell.past, batch, lay.width))
    return states


@dataclass(frozen=True)
class Gradients:
    """Gradients of the inputs [K, T, B, D], or of their table [K, V, D], if requested, and of the first
    states, per layer, each [K, B, H]."""

    x: Tensor | None
    states: States


def forward(
    stacked: Stack,
    row: Tensor,  # [K, P]
    x: Tensor,  # [K, T, B, D], or with `symbols` a table [K, V, D]
    states: Sequence[Sequence[Tensor]],  # per layer, each [K, B, H]
    start: Tensor | int = 0,
    engine: str = "auto",
    symbols: Tensor | None = None,  # [T, B]: the row of the table that each step reads
    order: Together | None = None,
) -> tuple[Tensor, States, list[Tape]]:
    """Outputs of the top layer [K, T, B, H], the last states, and the tapes. `start` numbers the first step,
    for clocks. For a table see `layer.forward`."""
    tapes: list[Tape] = []
    last: States = []
    below: Mapping[str, Tensor] = {}
    for lay, part, begun in zip(stacked.layers, stacked.rows(row), states, strict=True):
        x, tape = layer.forward(lay, part, x, begun, below, start, engine, symbols, order)
        symbols, found = None, layer.last_states(tape)
        tapes.append(tape)
        last.append([order.keep(s) for s in found] if order else found)
        below = {s.name: v[:, 1:] for s, v in zip(lay.plan.cell.states, tape.states, strict=True)}
    return x, last, tapes


def backward(
    stacked: Stack,
    row: Tensor,  # [K, P]
    tapes: Sequence[Tape],
    d_outputs: Tensor,  # [K, T, B, H]
    d_row: Tensor,  # [K, P]: the gradient is written here
    need_x: bool = True,
    # of the last states; none if the window is truncated there
    d_states: Sequence[Sequence[Tensor]] | None = None,
    engine: str = "auto",
    order: Together | None = None,
) -> Gradients:
    """Gradients of the inputs and of the first states; the gradients of the weights are written to
    `d_row`."""
    gradient: Tensor | None = d_outputs
    d_above: Mapping[int, Tensor] = {}
    rows, d_rows = stacked.rows(row), stacked.rows(d_row)
    d_first: States = []
    for k in range(len(tapes) - 1, -1, -1):
        lay = stacked.layers[k]
        assert gradient is not None
        d_last = d_states[k] if d_states else None
        found = layer.backward(
            lay, rows[k], tapes[k], gradient, d_rows[k], d_last, d_above, need_x or k > 0, engine, order
        )
        gradient = found.x
        d_first.insert(0, list(found.states))
        if k > 0:
            index = {s.name: i for i, s in enumerate(stacked.layers[k - 1].plan.cell.states)}
            d_above = {index[name]: d for name, d in found.below.items()}
    return Gradients(gradient, d_first)
