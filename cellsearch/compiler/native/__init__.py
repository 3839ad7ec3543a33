"""The loop over time in C: pointwise kernels generated from the plan, fused with small matrix products.

    source       Plan -> C text: functions for the forward and the backward loop and for outer kernels
    pointwise.h  the intrinsics of the op table
    product.c    matrix products of the sizes of one layer; `matrices` calls those outside the loop
    toolchain    C text -> a loaded library, compiled once per plan and cached on disk
    loop         runs the functions on the tensors of a layer

Members are computed one after another, each through all T steps, so that its matrices stay in the core's
cache.
"""
