"""The sequences of a minibatch in `Recurrent`, for any form of input.

A tensor [T, B, D], [B, T, D] or [T, D], or a PackedSequence becomes rows in which one step of all sequences
is a slice; outputs have the form of the input. Sequences of different lengths run in segments: the remaining
ones run together, and finished ones leave. No step after the end of a sequence is computed, so padding cannot
reach a result or a gradient.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from cellsearch.errors import CellError


@dataclass(frozen=True)
class Sequences:
    """Sequences, longest first, and the form of the input."""

    rows: Tensor  # [N, D]: the first step of each sequence, the second step of each that has one, …
    segments: tuple[tuple[int, int], ...]  # numbers of steps, and of the sequences that have them
    packed: PackedSequence | None = None
    batch_first: bool = False
    single: bool = False  # one sequence without an axis for B

    @property
    def batch(self) -> int:
        """B."""
        return self.segments[0][1]

    def outputs(self, rows: Tensor) -> Tensor | PackedSequence:
        """Rows [N, H] in the form of the input."""
        if self.packed is not None:
            return PackedSequence(rows, *self.packed[1:])
        if self.single:
            return rows
        steps = rows.unflatten(0, self.segments[0])
        return steps.transpose(0, 1) if self.batch_first else steps

    def to_rows(self, value: Tensor, axis: int) -> Tensor:
        """The caller's value for each sequence, in the order of the rows."""
        order = None if self.packed is None else self.packed.sorted_indices
        return value if order is None else value.index_select(axis, order)

    def to_caller(self, value: Tensor, axis: int) -> Tensor:
        """The inverse of `to_rows`."""
        order = None if self.packed is None else self.packed.unsorted_indices
        return value if order is None else value.index_select(axis, order)

    def lengths(self) -> Tensor:
        """The number of steps of each sequence, [B] on the CPU, in the order of the rows."""
        found: list[int] = []
        end = sum(steps for steps, _ in self.segments)
        for (steps, batch), (_, longer) in pairwise([*reversed(self.segments), (0, self.batch)]):
            found += [end] * (batch - len(found))
            assert longer >= batch, "the longest sequence comes first"
            end -= steps
        return torch.tensor(found, dtype=torch.int64)

    def backwards(self) -> Tensor:
        """The permutation of rows [N] that reverses each sequence within its length; it is its own
        inverse."""
        device = self.rows.device
        if len(self.segments) == 1:
            return (
                torch.arange(self.rows.shape[0], device=device)
                .unflatten(0, self.segments[0])
                .flip(0)
                .flatten()
            )
        sizes = torch.tensor([batch for steps, batch in self.segments for _ in range(steps)])
        first = sizes.cumsum(0) - sizes  # the row in which a step begins
        step = torch.repeat_interleave(torch.arange(len(sizes)), sizes)
        which = torch.arange(len(step)) - first[step]
        return (first[self.lengths()[which] - 1 - step] + which).to(device)


def read(x: object, width: int, batch_first: bool) -> Sequences:
    """The sequences of an input with `width` numbers per step. Raises CellError for any other input."""
    shapes = f"[B, T, {width}]" if batch_first else f"[T, B, {width}]"
    wanted = f"an input {shapes} or [T, {width}], or a PackedSequence of {width} numbers a step"
    if isinstance(x, PackedSequence):
        if x.data.dim() != 2 or x.data.shape[-1] != width:
            raise CellError(f"it takes {wanted}, not one of {list(x.data.shape[1:])}")
        return Sequences(x.data, _segments(x.batch_sizes.tolist()), packed=x)
    if not isinstance(x, Tensor):
        raise CellError(f"it takes {wanted}, not a {type(x).__name__}")
    if x.dim() not in (2, 3) or x.shape[-1] != width:
        raise CellError(f"it takes {wanted}, not {list(x.shape)}")
    if x.dim() == 2:
        return Sequences(x, ((x.shape[0], 1),), single=True)
    steps = x.transpose(0, 1) if batch_first else x
    return Sequences(steps.flatten(0, 1), ((steps.shape[0], steps.shape[1]),), batch_first=batch_first)


def _segments(batch_sizes: Sequence[int]) -> tuple[tuple[int, int], ...]:
    return tuple((len(list(steps)), batch) for batch, steps in groupby(batch_sizes))
