"""Cells made from cells.

expand       a cell as the graph that mutations edit, in which every matrix is a node; and back
substitute   a copy of a cell with some nodes replaced
reach        what the output depends on; dead states and their removal
variants     named edits: without a gate, coupled gates, peepholes
"""
