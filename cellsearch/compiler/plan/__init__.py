"""From a cell to its arithmetic: frozen data without tensors and sizes.

delays        Cell -> a cell with delays of at most one step
schedule      -> constant, input-only and loop nodes, in stages
kernels       -> pointwise kernels of the forward pass
backward      -> those of the backward pass, from the derivatives in the op table
check         what a plan and a kernel must be, rule by rule
input_table   -> what passes between the loop and the rest where inputs are rows of a table
"""
