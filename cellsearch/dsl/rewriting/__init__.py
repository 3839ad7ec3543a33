"""Transformations of cells.

expand       conversion to and from the graph that mutations edit, with one node per matrix
substitute   a copy of a cell with some nodes replaced
reach        dependencies of the output; removal of dead states
variants     named edits: without a gate, coupled gates, peepholes
"""
