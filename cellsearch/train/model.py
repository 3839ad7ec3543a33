"""The model that is trained: embedding, a stack of one cell, output layer; a whole population of them at
once.

All weights of a member are one flat row: embedding [V, H], the layers, output matrix [H, V] and bias [V].
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from cellsearch.compiler import stack as stacks
from cellsearch.compiler.stack import Stack, States
from cellsearch.compiler.structures import initialise
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.weights import count

#: Logits of this many numbers are computed at a time: a block stays within a core's cache.
LOGITS_BLOCK = 1 << 18


@dataclass(frozen=True)
class Shape:
    """One shape of model; a population holds members of one shape."""

    cell: Cell
    vocabulary: int  # V
    layers: int
    hidden: int  # H
    stack: Stack = field(init=False, repr=False, compare=False)  # the layers between embedding and output

    def __post_init__(self) -> None:
        object.__setattr__(self, "stack", stacks.stack((self.cell,) * self.layers, self.hidden, self.hidden))

    @property
    def embedding(self) -> int:
        """The size of the embedding, which the row starts with."""
        return self.vocabulary * self.hidden

    @property
    def output(self) -> int:
        """Where the output matrix starts in the row."""
        return self.embedding + self.stack.size

    @property
    def size(self) -> int:
        """The length of a row. It can be larger than `parameters`, by entries that are always zero."""
        return self.output + (self.hidden + 1) * self.vocabulary


def parameters(cell: Cell, vocabulary: int, layers: int, hidden: int) -> int:
    """The number of parameters of the whole model, embedding and output included."""
    return 2 * vocabulary * hidden + vocabulary + layers * count(cell, hidden, hidden)


def width(cell: Cell, vocabulary: int, layers: int, target: int) -> int:
    """The largest H whose model has at most `target` parameters, by bisection (Jozefowicz et al. 2015,
    section 3.7); at least 1."""
    low, high = 1, 2
    while parameters(cell, vocabulary, layers, high) <= target:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if parameters(cell, vocabulary, layers, middle) <= target:
            low = middle
        else:
            high = middle
    return low


def first_rows(shape: Shape, scales: Sequence[float], seeds: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Rows [K, P] at their first values: everything from U[-s/sqrt(H), s/sqrt(H)], biases as the cell says,
    those of the output at 0. A member's numbers follow from its own seed alone."""
    rows = torch.zeros(len(seeds), shape.size, dtype=dtype)
    for k, (scale, seed) in enumerate(zip(scales, seeds, strict=True)):
        generator = torch.Generator().manual_seed(seed)
        bound, row = scale / math.sqrt(shape.hidden), rows[k : k + 1]
        matrix = shape.output + shape.hidden * shape.vocabulary
        for first, last in ((0, shape.embedding), (shape.output, matrix)):
            drawn = torch.rand(last - first, generator=generator, dtype=torch.float64)
            row[0, first:last] = (2 * drawn - 1) * bound
        for lay, part in zip(shape.stack.layers, _layer_rows(shape, row), strict=True):
            initialise(lay, part, bound, generator)
    return rows


def first_states(shape: Shape, members: int, batch: int, like: Tensor) -> States:
    """The states at the start of a stream."""
    return stacks.first_states(shape.stack, members, batch, like)


def _layer_rows(shape: Shape, row: Tensor) -> list[Tensor]:
    return shape.stack.rows(row[:, shape.embedding : shape.output])


@dataclass(frozen=True)
class Window:
    """T steps of B streams: symbols [T, B], and where and what is scored: positions in T*B, and targets
    there."""

    inputs: Tensor
    positions: Tensor | None  # None: all of them
    targets: Tensor


def windows(inputs: Tensor, targets: Tensor, steps: int) -> list[Window]:
    """Cut streams [B, N] in windows of `steps`; the last may be shorter. Targets below 0 are not scored."""
    found = []
    for at in range(0, inputs.shape[1], steps):
        flat = targets[:, at : at + steps].T.reshape(-1)
        positions = (flat >= 0).nonzero()[:, 0]
        everything = len(positions) == len(flat)
        found.append(
            Window(
                inputs[:, at : at + steps].T.contiguous(),
                None if everything else positions,
                flat if everything else flat[positions],
            )
        )
    return found


@dataclass(frozen=True)
class Score:
    """Sums over the scored positions of a window, per member [K]: loss in nats, and how many were predicted
    right."""

    loss: Tensor
    right: Tensor
    count: int


def run(
    shape: Shape,
    rows: Tensor,  # [K, P]
    window: Window,
    states: States,
    start: int,
    gradient: Tensor | None = None,  # [K, P]: written here where it is given
    engine: str = "auto",
) -> tuple[Score, States]:
    """Score a window and give the states after it; with `gradient`, also differentiate the summed loss
    divided by the minibatch size B (Jozefowicz et al. 2015: "gradient divided by minibatch size")."""
    vocabulary, hidden = shape.vocabulary, shape.hidden
    steps, batch = window.inputs.shape
    members = rows.shape[0]
    tokens = window.inputs.reshape(-1)
    table = rows[:, : shape.embedding].unflatten(1, (vocabulary, hidden))
    x = table[:, tokens].unflatten(1, (steps, batch))  # [K, T, B, H]
    body = rows[:, shape.embedding : shape.output]
    outputs, last, tapes = stacks.forward(shape.stack, body, x, states, start, engine)
    flat = outputs.flatten(1, 2)  # [K, T*B, H]
    if gradient is None:
        return _output_layer(shape, rows, flat, window, None, None, batch), last
    d_flat = torch.zeros(members, steps * batch, hidden, dtype=rows.dtype, device=rows.device)
    score = _output_layer(shape, rows, flat, window, gradient, d_flat, batch)
    d_body = gradient[:, shape.embedding : shape.output]
    d_x = stacks.backward(
        shape.stack, body, tapes, d_flat.unflatten(1, (steps, batch)), d_body, engine=engine
    ).x
    assert d_x is not None
    d_table = gradient[:, : shape.embedding].unflatten(1, (vocabulary, hidden))
    d_table.zero_()
    d_table.index_add_(1, tokens, d_x.flatten(1, 2))
    return score, last


def _output_layer(
    shape: Shape,
    rows: Tensor,
    flat: Tensor,  # [K, T*B, H]
    window: Window,
    gradient: Tensor | None,
    d_flat: Tensor | None,
    batch: int,
) -> Score:
    """Softmax over the vocabulary at the scored positions, a block of members at a time."""
    vocabulary, hidden = shape.vocabulary, shape.hidden
    members, positions = rows.shape[0], window.targets.shape[0]
    end = shape.output + hidden * vocabulary
    loss = torch.zeros(members, dtype=rows.dtype, device=rows.device)
    right = torch.zeros(members, dtype=torch.int64, device=rows.device)
    block = max(1, LOGITS_BLOCK // max(1, positions * vocabulary))
    for k in range(0, members, block):
        part = rows[k : k + block]
        matrix = part[:, shape.output : end].unflatten(1, (hidden, vocabulary))
        seen = flat[k : k + block]
        if window.positions is not None:
            seen = seen[:, window.positions]
        logits = torch.baddbmm(part[:, None, end:], seen, matrix)  # [k, n, V]
        target = window.targets.expand(logits.shape[0], -1)[..., None]
        top = logits.max(-1)
        right[k : k + block] = (top.indices == target[..., 0]).sum(1)
        chosen = logits.gather(-1, target)[..., 0]
        logits.sub_(top.values[..., None]).exp_()
        total = logits.sum(-1)
        loss[k : k + block] = (total.log() + top.values - chosen).sum(1)
        if gradient is None or d_flat is None:
            continue
        d_logits = logits.div_(total[..., None])
        d_logits.scatter_add_(-1, target, torch.full_like(chosen, -1)[..., None]).div_(batch)
        d_part = gradient[k : k + block]
        torch.bmm(
            seen.transpose(1, 2),
            d_logits,
            out=d_part[:, shape.output : end].unflatten(1, (hidden, vocabulary)),
        )
        torch.sum(d_logits, 1, out=d_part[:, end:])
        d_seen = torch.bmm(d_logits, matrix.transpose(1, 2))
        if window.positions is None:
            d_flat[k : k + block] = d_seen
        else:
            d_flat[k : k + block].index_copy_(1, window.positions, d_seen)
    return Score(loss, right, positions)
