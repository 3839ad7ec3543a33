"""What a model costs, known before anything runs: its parameters, its width, its multiply-adds.

In: a cell, and the vocabulary, layers and width of the model around it (embedding, layers, output layer; the
inputs of a layer are as wide as its units). Out: whole numbers. Torch-free: a strategy that compares at equal
cost reads it too.

One multiply-add is one product of a weight and a value that is added up. Sums, activations, the softmax and
the update are not counted: they are elementwise, and their part falls as models grow.
"""

from cellsearch.dsl import describe, weights
from cellsearch.dsl.graph import Cell

#: Passes over a training position, in passes forward: one forward, and backward one for the gradients of the
#: values and one for those of the weights.
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
    """Of the whole model forward, for one position (one step of one sequence): the layers and the output. The
    embedding is looked up and costs none."""
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
    """Of training for so many epochs, each of which also scores the validation part. A position that is not
    scored (where a task asks for nothing) counts as one that is."""
    passes = PASSES * train_positions + valid_positions
    return epochs * passes * multiply_adds(cell, vocabulary, layers, hidden)
