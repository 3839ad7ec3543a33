"""The compiler: a cell becomes a plan, the plan a forward and backward pass over a whole population.

    plan        Cell -> Plan: what runs before the loop over time and what inside it; no tensors
    kernels     Plan -> pointwise kernels, forward and backward, derived from the op table; no tensors
    parameters  Plan, widths -> where each weight lies in a member's flat row; names; first values
    reference   the obvious loop, differentiated by autograd: what the fast path is tested against
    layer       one layer of a population: forward and backward
    recurrent   Recurrent, an nn.Module with the calling convention of torch.nn.LSTM (sequences, carried)
    autograd    one layer in one direction for autograd; for torch.compile an operator (passes, compiled)

Axes, everywhere in this order: K population, T time, B batch, D input width, H hidden width, G fused gates.
"""
