"""Presentation of cells.

cell        `cellsearch show`
equations   the text of a cell, in colour and in one line
formulas    the equations as a paper prints them
origin      source and lineage of a cell
"""
