"""Further measurements on a CPU.

peak       peak of the CPU: multiply-adds in registers, and the rate of its BLAS
compiling  CPU seconds to compile a new cell
"""
