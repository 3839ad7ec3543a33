"""How much memory training a population takes at its peak, before it is trained; and into how many batches a
population is cut that must not take more than a bound.

In: a shape, members, window. Out: a `Memory`, in bytes, or sizes of batches. The numbers follow from the plan:

    weights     rows and gradient of all members
    tape        of every layer: its slots and states for all steps, the inputs, and the states of the window before
    output      logits of a block of members, with what is computed from them, and the gradient of the outputs
    backward    of one layer at a time: gradients of its slots and of what it reads

It is what tensors hold. A process has its program besides (a few hundred megabytes, most of it torch) and the
data; an allocator may keep a little more than it hands out, and on a GPU the engine and captured graphs do.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cellsearch.compiler.backward import backward_kernels
from cellsearch.compiler.parameters import MADE, Layout, connection
from cellsearch.compiler.plan import is_vector
from cellsearch.compiler.stack import reads_below
from cellsearch.train.model import LOGITS_BLOCK, Shape
from cellsearch.train.settings import Training

BYTES = {"float32": 4, "float64": 8}
INDEX = 8  # bytes of an index that torch computes


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes at the peak."""

    weights: int
    tape: int
    output: int
    backward: int
    first: int  # what drawing the first weights takes beside them; nothing else is there by then

    @property
    def total(self) -> int:
        """Output and backward follow one another."""
        return self.weights + max(self.tape + max(self.output, self.backward), self.first)


def memory(shape: Shape, members: int, training: Training) -> Memory:
    """Of training so many members at once, where every position of a window is scored."""
    real, hidden = BYTES[training.dtype], shape.hidden
    positions = training.steps * training.batch
    values = members * positions * hidden  # of one value for all steps: [K, T, B, H]
    states = members * (training.steps + 1) * training.batch * hidden
    layers = shape.stack.layers

    def tape(lay: Layout) -> int:
        cell = lay.plan.cell
        made = any(c is not None and c.structure in MADE for c in (connection(lay.plan, w) for w in lay.weights))
        before = members * (training.steps + cell.past) * training.batch * hidden if cell.past else 0
        return (
            lay.plan.slots * values
            + 2 * len(cell.states) * states  # views of those of the window before keep them alive
            + 2 * before
            + members * lay.size * made
        )

    tapes = values + sum(map(tape, layers))  # and the embedded inputs
    tapes += values  # the gradient of the outputs; it stays while the layers are walked
    block = min(members, max(1, LOGITS_BLOCK // (positions * shape.vocabulary)))
    logits = block * positions * shape.vocabulary * real
    seen = block * positions * (2 * hidden * real + INDEX + 3 * real)
    behind = [_backward(lay, values, states, above=k < len(layers) - 1) for k, lay in enumerate(layers)]
    matrix = max(shape.embedding, *(w for lay in layers for w in (hidden * hidden,)))
    return Memory(
        weights=2 * members * shape.size * real,
        tape=tapes * real,
        output=logits + seen,
        backward=max(behind) * real,
        first=max(3 * 8 * matrix - members * shape.size * real, 0),
    )


def _backward(lay: Layout, values: int, states: int, *, above: bool) -> int:
    """Numbers that the backward pass of a layer holds beside the tape; `above`: a layer lies on it."""
    plan, cell = lay.plan, lay.plan.cell
    read = reads_below(cell.cell)  # a stack is of one cell: what it reads below, the layer above reads here
    names = [s.name for s in cell.states]
    code = backward_kernels(plan, frozenset(names.index(n) for n in read) if above else frozenset())
    vectors = {i for i, node in enumerate(cell.nodes) if is_vector(node)}
    full = {ref for ref in code.written if ref.kind in ("dx", "dpast", "dbelow")}
    full |= {ref for ref in code.written if ref.kind == "dnode" and plan.is_outer[ref.index]}
    count = len(plan.affines) + len({*full}) + len(vectors)
    count += not any(ref.kind == "dx" for ref in full)  # made even where nothing is written to it
    count += above + above * len(read)  # what came from the layer above
    count += any(w.kind == "peephole" for w in lay.weights)  # a product that is summed up
    return count * values + (2 * states if cell.past else 0)


def batches(shape: Shape, members: int, training: Training, bound: float) -> Sequence[int]:
    """Sizes of batches that each take at most `bound` bytes: as few as possible, and as even. Empty where not
    even one member fits."""
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
