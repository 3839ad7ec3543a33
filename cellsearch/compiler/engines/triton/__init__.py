"""The pointwise work of a step in Triton: one kernel for each stage forward and one backward, from the plan.

writer     formulas of the op table -> lines of Triton
source     Plan -> text of Triton kernels, for float32 or float64
toolchain  text -> kernels, compiled for a CUDA device, or run by Triton's interpreter on a CPU
loop       runs the kernels on the tensors of a layer; matrix products are torch's batched products
"""
