"""Cells as pictures.

wires   a cell drawn as text
html    a cell for a notebook
"""
