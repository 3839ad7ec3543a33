"""The table of structures in torch: materialise a matrix from its weights, and backpropagate its gradient to
them.

Weights and gradients are [..., *shape], with any leading axes, such as K.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from cellsearch.dsl.structures import Piece, Sizes, Structure, entries, evaluate, pattern, words


def free(piece: Piece, sizes: Sizes) -> Tensor:
    """A mask: 1 for entries that are parameters, 0 for entries that stay zero."""
    return torch.tensor(pattern(piece, sizes))


def constants(row: Structure, sizes: Sizes, device: torch.device) -> dict[str, Any]:
    """The inputs of the formulas of a matrix and its gradient, besides weights and gradient."""
    read = frozenset().union(*map(words, (row.matrix, *row.derivatives)))
    shapes = [(sizes.rows, sizes.units), *map(sizes.shape, row.pieces)]
    found: dict[str, Any] = sizes._asdict()
    if "periods" in read:
        found["periods"] = torch.tensor(sizes.periods, device=device)
    for shape in reversed(shapes):  # i and j are those of the matrix
        found |= entries(read, shape, partial(torch.arange, device=device))
    return found


def make(row: Structure, weights: Sequence[Tensor], values: Mapping[str, Any]) -> Tensor:
    """The matrix [..., rows, H] from weights whose entries outside `free` are zero."""
    made: Tensor = evaluate(row.matrix, {**values, **_named(row, weights)}, torch)
    return made


def hand_back(
    row: Structure, weights: Sequence[Tensor], values: Mapping[str, Any], g: Tensor
) -> list[Tensor]:
    """The gradient of each weight from that of the matrix, including entries outside `free`."""
    given = {**values, **_named(row, weights), "g": g}
    return [evaluate(text, given, torch) for text in row.derivatives]


def _named(row: Structure, weights: Sequence[Tensor]) -> dict[str, Tensor]:
    return {p.name: weight for p, weight in zip(row.pieces, weights, strict=True)}
