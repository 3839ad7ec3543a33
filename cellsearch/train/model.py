"""The trained model: embedding, a stack of one cell, output layer; a whole population at once.

All weights of a member are one flat row: embedding [V, H], the layers, output matrix [H, V] and bias [V].
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from cellsearch.compiler.engines.native.one_by_one import OneByOne
from cellsearch.compiler.plan.input_table import separable
from cellsearch.compiler.run import stack as stacks
from cellsearch.compiler.run.layer import IN_C, choose_engine
from cellsearch.compiler.run.order import Together
from cellsearch.compiler.run.stack import Stack, States
from cellsearch.compiler.run.structures import initialise
from cellsearch.dsl.graph import Cell
from cellsearch.train.output import output_layer
from cellsearch.train.windows import Score, Window

#: With at least this many steps of a window per symbol, values that depend only on the input are computed per
#: symbol.
STEPS_PER_SYMBOL = 2


@dataclass(frozen=True)
class Shape:
    """The shape of a model; a population has members of one shape."""

    cell: Cell
    vocabulary: int  # V
    layers: int
    hidden: int  # H
    stack: Stack = field(init=False, repr=False, compare=False)  # the layers between embedding and output

    def __post_init__(self) -> None:
        object.__setattr__(self, "stack", stacks.stack((self.cell,) * self.layers, self.hidden, self.hidden))

    @property
    def embedding(self) -> int:
        """The size of the embedding at the start of the row."""
        return self.vocabulary * self.hidden

    @property
    def output(self) -> int:
        """The offset of the output matrix in the row."""
        return self.embedding + self.stack.size

    @property
    def size(self) -> int:
        """The length of a row. It may exceed `cost.parameters` by entries that are always zero."""
        return self.output + (self.hidden + 1) * self.vocabulary


def first_rows(shape: Shape, scales: Sequence[float], seeds: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Initial rows [K, P]: weights from U[-s/sqrt(H), s/sqrt(H)], biases by the cell, output biases 0. A
    member's numbers depend only on its own seed."""
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


def run(
    shape: Shape,
    rows: Tensor,  # [K, P]
    window: Window,
    states: States,
    start: int | Tensor,  # the number of the first step
    gradient: Tensor | None = None,  # [K, P]: written if given
    engine: str = "auto",
) -> tuple[Score, States]:
    """Score a window and give the states after it; with `gradient`, also differentiate the summed loss
    divided by the minibatch size B (Jozefowicz et al. 2015: "gradient divided by minibatch size").

    In C members go through the window one by one."""
    engine, members = choose_engine(engine, rows), rows.shape[0]
    in_c = engine in IN_C
    order = OneByOne(members, rows.dtype, clocked=engine == "clocked") if in_c else Together(members)
    vocabulary, hidden = shape.vocabulary, shape.hidden
    steps, batch = window.inputs.shape
    tokens = window.inputs.reshape(-1)
    table = rows[:, : shape.embedding].unflatten(1, (vocabulary, hidden))  # [K, V, H]
    symbols = window.inputs if by_symbol(shape, steps * batch, rows, engine) else None
    x = table if symbols is not None else order.lookup(table, window.inputs)  # [K, T, B, H]
    body = rows[:, shape.embedding : shape.output]
    outputs, last, tapes = stacks.forward(shape.stack, body, x, states, start, engine, symbols, order)
    flat = outputs.flatten(1, 2)  # [K, T*B, H]
    if gradient is None:
        score = output_layer(vocabulary, shape.output, rows, flat, window, None, None, batch, engine, order)
        order.run()
        return score, last
    make = order.empty if window.positions is None else order.zeros
    d_flat = make(rows, steps * batch, hidden)
    score = output_layer(vocabulary, shape.output, rows, flat, window, gradient, d_flat, batch, engine, order)
    d_body = gradient[:, shape.embedding : shape.output]
    d_outputs = d_flat.unflatten(1, (steps, batch))
    d_x = stacks.backward(shape.stack, body, tapes, d_outputs, d_body, engine=engine, order=order).x
    assert d_x is not None
    d_table = gradient[:, : shape.embedding].unflatten(1, (vocabulary, hidden))
    if symbols is not None:
        order.copy(d_table, d_x)
    else:
        _embedding_gradient(d_table, tokens, d_x.flatten(1, 2), order)
    order.run()
    return score, last


def by_symbol(shape: Shape, positions: int, like: Tensor, engine: str = "auto") -> bool:
    """Whether in windows of `positions` (T*B) the lowest layer reads the embedding as a table: on a CPU, with
    at least `STEPS_PER_SYMBOL` positions per symbol, if the cell allows it."""
    if like.device.type != "cpu" or positions < STEPS_PER_SYMBOL * shape.vocabulary:
        return False
    return choose_engine(engine, like) in (*IN_C, "eager") and separable(shape.stack.layers[0].plan)


def _embedding_gradient(d_table: Tensor, tokens: Tensor, d_x: Tensor, order: Together) -> None:
    """Sum the gradients of looked-up rows of an embedding: d_x [K, N, H] at tokens [N], to
    d_table [K, V, H]. On a GPU the order of additions in `index_add_` is nondeterministic."""
    if d_x.device.type == "cpu":
        order.add_up(d_table, tokens, d_x)
    else:
        add_by_products(d_table, tokens, d_x)


def add_by_products(d_table: Tensor, tokens: Tensor, d_x: Tensor) -> None:
    """The same sums as products with a 0/1 matrix: by symbol, or for a large vocabulary by the first position
    of each symbol; then each row receives one nonzero sum, in any order."""
    symbols = torch.arange(d_table.shape[1], device=tokens.device)
    if len(symbols) <= len(tokens):
        same = (symbols[:, None] == tokens).to(d_x.dtype)
        torch.bmm(same.expand(len(d_x), -1, -1), d_x, out=d_table)
        return
    alike = tokens[:, None] == tokens
    first = ~alike.tril(-1).any(1)
    same = (alike & first[:, None]).to(d_x.dtype)
    d_table.zero_().index_add_(1, tokens, torch.bmm(same.expand(len(d_x), -1, -1), d_x))
