"""A layer in C: pointwise kernels generated from the plan between small matrix products.

    pointwise    kernels of a plan -> C functions
    source       Plan -> C text: the passes of a layer, forward and backward
    pointwise.h  the intrinsics of the op table; strips of units
    layer.h      the macros that `source` uses
    product.c    matrix products of the sizes of one layer
    toolchain    C text -> a loaded library, compiled once per plan and cached on disk
    loop         runs the functions on the tensors of a layer
    output       the output layer, with output.c
    one_by_one   each member through the layers, the output layer and back, with members.c

Members are computed one after another, each through all T steps, so that its matrices stay in the core's
cache.
"""
