"""The language.

ops          THE table of ops
formulas     the arithmetic in which its rows are written: parsed, folded, shared
structures   THE table of structures of matrices
initial      where biases start
nodes        what a cell is made of
parts        the fields of a cell, and how its values are called
graph        the cell: a frozen value that cannot be malformed (limits, invariants: what holds of it)
printer      Cell -> text
text         text -> Cell, with located messages
load         a name or a file -> Cell
weights      what the brackets own, by name
roles        gates and what they do
describe     structure and size
identity     fingerprints of the graph and of the function, and equivalent cells
rewriting    the graph that mutations edit, variants, what the output depends on
importers    cells of other programs
zoo          published cells, and what is known about them
"""
