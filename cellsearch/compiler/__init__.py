"""The compiler: from a cell to a plan, and to forward and backward passes over a whole population.

    plan         Cell -> what runs before the loop over time, what inside it, and what is kept; no tensors
    run          a layer and a stack of a population: where weights and values lie, forward, backward
    engines      the loop over time: eager (torch calls), native (C), triton
    torch        Recurrent, an nn.Module with the calling convention of torch.nn.LSTM
    graphs       a step that is launched as one, recorded as a CUDA graph
    reference    the obvious loop, differentiated by autograd
    agreement    the difference of Recurrent from it, as a number

Axes, everywhere in this order: K population, T time, B batch, D input width, H hidden width, G fused gates.
"""
