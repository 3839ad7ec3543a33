"""The compiler: from a cell to a plan, and to forward and backward passes over a whole population.

    plan         Cell -> steps before and inside the loop over time, and kept values; no tensors
    run          a layer and a stack of a population: location of weights and values, forward, backward
    engines      the loop over time: eager (torch calls), native (C), triton
    torch        Recurrent, an nn.Module with the calling convention of torch.nn.LSTM
    graphs       a step recorded as a CUDA graph, one launch
    reference    the obvious loop, differentiated by autograd
    agreement    the difference of Recurrent from it, as a number

Axes, everywhere in this order: K population, T time, B batch, D input width, H hidden width, G fused gates.
"""
