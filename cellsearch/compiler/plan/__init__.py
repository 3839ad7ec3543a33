"""From a cell to its arithmetic: frozen data without tensors and sizes.

delays        Cell -> a cell with delays of at most one step
schedule      -> constant, input-only and loop nodes, in stages
kernels       -> pointwise kernels of the forward pass
backward      -> pointwise kernels of the backward pass, from the derivatives in the op table
check         validity rules of plans and kernels
input_table   -> data passed between the loop and the outer part if inputs are rows of a table
"""
