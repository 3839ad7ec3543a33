"""How many members of a population walk through a window at once on a CPU: a population whose tapes outgrow
the cache is cut into blocks, one after another. The sizes change the time of a step and the memory it takes,
and no bit of a result.

In: the layers, members, positions of a window (T*B). Out: the sizes of the blocks.
"""

from functools import lru_cache

import torch

from cellsearch.compiler.run.stack import Stack
from cellsearch.compiler.run.structures import makes

#: Bytes of the tapes of one block and their gradients. Each block is a round of calls of Python, about a ms
#: of them: with 32 MB a step takes 0.88 to 0.95 of what it takes with 24 MB at H = 64, and with 56 MB not
#: much less (results/bench). No more than many processors have as their last cache.
BLOCK = 32 << 20


def tape(stack: Stack, positions: int, real: int) -> int:
    """Bytes that both passes keep of one member for every step, with numbers of `real` bytes."""
    values = 0
    for lay in stack.layers:
        plan = lay.plan
        values += lay.hidden * (plan.slots + len(plan.affines) + 2 * len(plan.cell.states) + 3)
    return real * positions * values


def sizes(stack: Stack, members: int, positions: int, real: int) -> list[int]:
    """As few blocks as possible, as even as possible. A population whose matrices are made of others stays
    whole: that is a product of the BLAS, whose last bit depends, where it is small, on where in memory a
    member lies."""
    most = max(1, BLOCK // max(1, tape(stack, positions, real)))
    if any(makes(lay) for lay in stack.layers):
        return [members]
    count = -(-members // most)
    return [members // count + (k < members % count) for k in range(count)]


#: The largest piece of memory that glibc maps and unmaps by itself; a little less than 32 MB.
_LARGEST = (32 << 20) - (64 << 10)


@lru_cache(maxsize=1)
def keep_memory() -> None:
    """Make glibc keep what a block gives back, up to 64 MB, for the next block. By default it keeps twice the
    largest piece that it saw, hands the rest of a block back to the system, and the next block meets the same
    pages as faults: an eighth of the time of a step with 64 units. So it sees one large piece, which nothing
    is written to. Other allocators notice nothing."""
    torch.empty(_LARGEST, dtype=torch.uint8)
