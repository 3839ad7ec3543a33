"""The loop over time, in three implementations that agree with `reference`.

eager     torch calls, everywhere torch runs (formula: the op table in torch)
native    C, compiled once for a cell
triton    GPU kernels
"""
