"""Prediction of the peak memory of training a population, and the split of a population into batches under a
limit.

The numbers follow from the plan:

    weights     rows and gradient of all members
    tape        of every layer: its slots and states for all steps, the inputs, and the states of the window
                before; of all members, in C of one, as they go through a window one by one
    output      logits of a block of members, with what is computed from them (in C of a block of positions of
                one member)
    backward    of one layer at a time: gradients of its slots and of what it reads

It counts tensors. A process also has its program (a few hundred megabytes, mostly torch) and the data;
recorded steps on a GPU use more, which is not counted. On a CPU the growth of a process was measured for 40
shapes of two cells (1 to 640 members, 32 to 512 units, 17 to 280 steps, up to 4 layers, 2 to 430 MB;
results/bench): above 50 MB the prediction is 0.88 to 1.17 of it, once 0.63; below, it is higher by the
allowance for the allocator.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from cellsearch.compiler.engines.native.output import room
from cellsearch.compiler.plan.backward import backward_kernels
from cellsearch.compiler.plan.input_table import copied
from cellsearch.compiler.plan.schedule import is_vector
from cellsearch.compiler.run.layer import IN_C, choose_engine
from cellsearch.compiler.run.layout import Layout
from cellsearch.compiler.run.stack import reads_below
from cellsearch.compiler.run.structures import makes
from cellsearch.train import model
from cellsearch.train.model import Shape
from cellsearch.train.output import LOGITS_BLOCK, LOGITS_BLOCK_GPU
from cellsearch.train.settings import Training

BYTES = {"float32": 4, "float64": 8}
INDEX = 8  # bytes of an index in torch
DRAWN = 3 * 8  # bytes of a random number in float64
KEPT = 16 << 20  # freed memory that a C allocator keeps: 2 to 40 MB were measured, once 100 of 580


@dataclass(frozen=True, slots=True)
class Memory:
    """Peak memory in bytes."""

    weights: int
    tape: int
    output: int
    backward: int
    kept: int  # kept by the allocator of a CPU
    first: int  # temporaries for the initial weights, before anything else exists

    @property
    def total(self) -> int:
        """The total: output and backward are not resident at the same time, nor initial weights and the
        rest."""
        rows, window = self.weights // 2, self.tape + max(self.output, self.backward)
        return max(self.weights + window + self.kept, rows + self.first)


def memory(shape: Shape, members: int, training: Training, device: str | None = None) -> Memory:
    """Peak memory of training a number of members at once, with every position scored. On a `device` of this
    machine; without one for the worst case, where all members are processed at once, as on a GPU.
    """
    real, hidden = BYTES[training.dtype], shape.hidden
    positions = training.steps * training.batch
    like = torch.empty(0, dtype=getattr(torch, training.dtype))
    in_c = device == "cpu" and choose_engine("auto", like) in IN_C
    some = 1 if in_c else members
    table = device == "cpu" and model.by_symbol(shape, positions, like)
    values = some * positions * hidden  # elements of one value for all steps: [K, T, B, H]
    states = some * (training.steps + 1) * training.batch * hidden
    # Of the window before, views of its last states keep all of them; one by one they are copies.
    earlier = states if device != "cpu" else members * training.batch * hidden

    def tape(lay: Layout) -> int:
        cell = lay.plan.cell
        inputs = some * (training.steps + cell.past) * training.batch * hidden if cell.past else 0
        of_states = len(cell.states) * (states + earlier) + 2 * inputs
        return lay.plan.slots * values + of_states + (members * lay.size if makes(lay) else 0)

    layers = shape.stack.layers
    tapes = 2 * values + sum(map(tape, layers))  # the embedded inputs, and the gradient of the outputs
    backward = [_backward(lay, values, states, k < len(layers) - 1) for k, lay in enumerate(layers)]
    if table:  # a row of the outer part for each symbol, and inputs only where the loop reads them
        plan = layers[0].plan
        tapes += some * shape.vocabulary * plan.slots * hidden
        tapes -= 0 if copied(plan).x else values
        backward[0] += some * shape.vocabulary * (len(plan.affines) + 1) * hidden - values
    if in_c:
        output = room(positions, hidden, shape.vocabulary) * real
    else:
        numbers = LOGITS_BLOCK if device == "cpu" else LOGITS_BLOCK_GPU
        block = min(some, max(1, numbers // (positions * shape.vocabulary)))
        logits = block * positions * shape.vocabulary * real
        output = logits + block * positions * (2 * hidden * real + INDEX + 3 * real)
    return Memory(
        weights=2 * members * shape.size * real,
        tape=tapes * real,
        output=output,
        backward=max(backward) * real,
        kept=KEPT if device in (None, "cpu") else 0,
        first=DRAWN * max(shape.embedding, hidden * hidden),
    )


def _backward(lay: Layout, values: int, states: int, above: bool) -> int:
    """Numbers held by the backward pass of a layer besides the tape; `above`: there is a layer above it."""
    plan, cell = lay.plan, lay.plan.cell
    read = reads_below(
        cell.cell
    )  # a stack has one cell: the layer above reads here what this one reads below
    names = [s.name for s in cell.states]
    code = backward_kernels(plan, frozenset(names.index(n) for n in read) if above else frozenset())
    whole = {ref for ref in code.written if ref.kind in ("dpast", "dbelow")}
    whole |= {ref for ref in code.written if ref.kind == "dnode" and plan.is_outer[ref.index]}
    count = len(plan.affines) + len(whole) + 1  # the gradient of x exists even if nothing reads x
    count += sum(is_vector(node) for node in cell.nodes)  # a learned vector has a gradient for every step
    count += any(w.kind == "peephole" for w in lay.weights)  # a product before its sum
    count += above * (1 + len(read))  # the gradient from the layer above
    return count * values + (2 * states if cell.past else 0)


def batches(shape: Shape, members: int, training: Training, bound: float) -> Sequence[int]:
    """Sizes of the fewest and most even batches of at most `bound` bytes each. Empty if not even one member
    fits. The same on every machine."""
    low, high = 0, members + 1  # low fits, high does not
    while high - low > 1:
        middle = (low + high) // 2
        if memory(shape, middle, training).total <= bound:
            low = middle
        else:
            high = middle
    if low == 0:
        return ()
    count = -(-members // low)
    return [members // count + (k < members % count) for k in range(count)]
