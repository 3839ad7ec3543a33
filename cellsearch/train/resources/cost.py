"""The cost of a model before it runs: parameters, width, multiply-adds.

The model around a cell has an embedding, layers and an output layer; the inputs of a layer are as wide as its
units. Torch-free: strategies that compare at equal cost read it too. A multiply-add is one product of a
weight and a value, accumulated in a sum. Sums, activations, the softmax and the update are not counted: they
are elementwise, and their share decreases as models grow.
"""

from cellsearch.dsl import describe, weights
from cellsearch.dsl.graph import Cell

#: Cost of a training position in forward passes: one forward, and backward one for the gradients of values
#: and one for those of weights.
PASSES = 3


def parameters(cell: Cell, vocabulary: int, layers: int, hidden: int) -> int:
    """The number of parameters of the whole model, embedding and output included."""
    return 2 * vocabulary * hidden + vocabulary + layers * weights.count(cell, hidden, hidden)


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


def multiply_adds(cell: Cell, vocabulary: int, layers: int, hidden: int) -> int:
    """Multiply-adds of a forward pass of the whole model for one position (one step of one sequence): layers
    and output. The embedding lookup is free."""
    return layers * describe.size(cell, hidden, hidden).multiply_adds + hidden * vocabulary


def of_training(
    cell: Cell,
    vocabulary: int,
    layers: int,
    hidden: int,
    epochs: int,
    train_positions: int,
    valid_positions: int,
) -> int:
    """Multiply-adds of training for a number of epochs, each with a validation pass. Unscored positions count
    like scored ones."""
    passes = PASSES * train_positions + valid_positions
    return epochs * passes * multiply_adds(cell, vocabulary, layers, hidden)
