"""The compiler: a cell becomes a plan, the plan a forward and backward pass over a whole population.

Without tensors, from the cell down to its arithmetic:

    lower        Cell -> a cell in which nothing looks back by more than one step
    plan         -> what runs before the loop over time, what inside it, and what is kept
    kernels      -> pointwise kernels of the forward pass; `backward` derives those of the backward pass
    crossing     -> what passes between loop and the rest where inputs are rows of a table
    kept         results that live as long as the plan or layout they follow from

With tensors, from the weights up to a whole network:

    parameters   where each weight lies in a member's flat row, by name
    structures   kinds of matrices, and first values
    places       the tape, and where every value and gradient of a layer lies
    eager        the loop over time in torch calls (`formula`: the op table in torch); native/: the same in C
    layer        one layer of a population, forward and backward; stack: layers on top of each other
    recurrent    Recurrent, an nn.Module with the calling convention of torch.nn.LSTM (sequences, carried)
    autograd     what it calls: one layer in one direction (passes); compiled: the same for torch.compile

What all of it is held against:

    reference    the obvious loop, differentiated by autograd; agreement: the difference from it, as a number

Axes, everywhere in this order: K population, T time, B batch, D input width, H hidden width, G fused gates.
"""
