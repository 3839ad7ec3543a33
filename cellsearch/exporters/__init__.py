"""A cell as files that work without cellsearch.

formats   THE table: kinds of files and their writers
write     `export`: creates and checks all files, then writes them atomically
torch     a Python file that imports only torch
onnx      an ONNX model with sizes and weights
latex     the equations
names     the names of files, classes and variables
header    the header of a file: the cell and its origin
"""
