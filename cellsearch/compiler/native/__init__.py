"""The loop over time in C: pointwise kernels generated from the plan, fused with small matrix products.

    source      Plan -> C text: one function for the forward loop, one for the backward loop, one per outer kernel
    product.c   matrix products of the sizes of one step; pointwise.h the intrinsics of the op table
    toolchain   C text -> a loaded library, compiled once per plan and cached on disk
    loop        runs the functions on the tensors of a layer

Members are computed one after another, each through all T steps, so that its matrices stay in the core's cache.
"""
