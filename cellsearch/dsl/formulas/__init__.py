"""The formulas of the op table as values.

form       numbers, variables and calls; parsing, reading, replacing
evaluate   the value of a formula over numpy arrays; constant folding
sharing    common subexpressions are computed once
python     a formula as Python text over torch's functions
"""
