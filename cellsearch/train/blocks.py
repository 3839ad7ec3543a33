"""How many members of a population walk through a window at once on a CPU: a population whose tapes outgrow
the cache is cut into blocks, one after another. The sizes change the time of a step and the memory it takes,
and no bit of a result.

In: the layers, members, positions of a window (T*B). Out: the sizes of the blocks.
"""

from cellsearch.compiler.stack import Stack

#: Bytes of the tapes of one block and their gradients. Measured with 1 to 48 members of 18 to 128 units
#: (results/bench): from 8 MB on calls of Python count no more, and from 64 MB on a step takes up to 1.4 times
#: as long, because its tensors stay neither in a cache nor with the allocator.
BLOCK = 24 << 20

#: The layers compute members apart, but the output layer is a product of the BLAS, which takes other ways
#: for matrices of few rows or columns, and then the last bit depends on where in memory a member lies. A
#: population stays whole where one of the sizes is smaller than these (measured: 4 to 12 and 3, in float32),
#: and in float64, where that ends at no size.
LEAST, LEAST_ROWS = 16, 4


def tape(stack: Stack, positions: int, real: int) -> int:
    """Bytes that both passes keep of one member for every step, with numbers of `real` bytes."""
    values = 0
    for lay in stack.layers:
        plan = lay.plan
        values += lay.hidden * (plan.slots + len(plan.affines) + 2 * len(plan.cell.states) + 3)
    return real * positions * values


def sizes(stack: Stack, vocabulary: int, members: int, positions: int, scored: int, real: int) -> list[int]:
    """As few blocks as possible, as even as possible. `scored` is how many positions count."""
    least = min(vocabulary, *(lay.hidden for lay in stack.layers))
    if least < LEAST or scored < LEAST_ROWS or real != 4:
        return [members]
    most = max(1, BLOCK // max(1, tape(stack, positions, real)))
    count = -(-members // most)
    return [members // count + (k < members % count) for k in range(count)]
