"""The language.

ops          THE table of ops
formulas     the arithmetic of its rows: parsed, folded, shared
structures   THE table of matrix structures
initial      initial values of biases
nodes        the nodes of a cell
parts        the fields of a cell, and the names of its values
graph        the cell: a frozen value that cannot be malformed (limits, invariants: its checks)
printer      Cell -> text
text         text -> Cell, with located messages
load         a name or a file -> Cell
weights      the weights of brackets, by name
roles        gates and their roles
describe     structure and size
identity     fingerprints of the graph and of the function, and equivalent cells
rewriting    the expanded graph for mutations, variants, dependencies of the output
importers    cells from other tools
zoo          published cells and their references
"""
