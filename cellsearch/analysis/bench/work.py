"""The work of all contestants: one complete training step of K members.

Embedding, layers, output layer; loss of every position; backward; clipping by each member's norm; plain SGD.
All start from the same weights and see the same tokens.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from cellsearch.compiler.run.layout import named
from cellsearch.dsl.graph import Cell
from cellsearch.train import model, windows
from cellsearch.train.model import Shape
from cellsearch.train.windows import Window

RATE, NORM = 0.1, 5.0


@dataclass(frozen=True)
class Sizes:
    """The sizes: K members, T steps, B streams, H units, V symbols."""

    population: int = 20
    steps: int = 35
    batch: int = 20
    hidden: int = 64
    layers: int = 1
    vocabulary: int = 50


@dataclass(frozen=True)
class Work:
    """One step's inputs on a device."""

    shape: Shape
    sizes: Sizes
    device: str
    rows: Tensor  # [K, P], the initial weights; each contestant takes a copy
    window: Window


def make(cell: Cell, sizes: Sizes, device: str, seed: int = 0) -> Work:
    """The work for a cell, the same for the same seed."""
    shape = Shape(cell, sizes.vocabulary, sizes.layers, sizes.hidden)
    rows = model.first_rows(shape, [1.0] * sizes.population, range(sizes.population), torch.float32)
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(sizes.vocabulary, (sizes.batch, sizes.steps + 1), generator=generator)
    window = windows.cut(tokens[:, :-1].to(device), tokens[:, 1:].to(device), sizes.steps)[0]
    return Work(shape, sizes, device, rows.to(device), window)


def member_weights(work: Work, k: int) -> tuple[Tensor, dict[str, Tensor], Tensor, Tensor]:
    """Of member k: the embedding [V, H], the layers' weights by name, the output matrix [H, V] and bias
    [V]."""
    shape, row = work.shape, work.rows[k : k + 1]
    vocabulary, hidden = shape.vocabulary, shape.hidden
    layers = {
        f"layers.{i}.{name}": value[0].clone()
        for i, (lay, part) in enumerate(
            zip(shape.stack.layers, shape.stack.rows(row[:, shape.embedding : shape.output]), strict=True)
        )
        for name, value in named(lay, part).items()
    }
    end = shape.output + hidden * vocabulary
    return (
        row[0, : shape.embedding].view(vocabulary, hidden).clone(),
        layers,
        row[0, shape.output : end].view(hidden, vocabulary).clone(),
        row[0, end:].clone(),
    )
