"""The formulas of the op table as values.

form       numbers, variables and calls; parsing, reading, replacing
evaluate   the value of a formula over numpy arrays; numbers folded
sharing    what stands twice is computed once
python     a formula as Python text over torch's functions
"""
