"""What is measured on a CPU beside steps.

peak       what the CPU can do at most: multiply-adds in registers, and the rate of its BLAS
compiling  CPU seconds that a new cell costs before its first step
"""
