"""A cell as files that work without cellsearch.

formats   THE table: the kinds of file, and what makes each
write     `export`: all files are made and checked before one is written, whole or not at all
torch     a Python file that imports torch alone
onnx      an ONNX model with sizes and weights
latex     the equations
names     the names of files, classes and variables
header    what a file says of its cell and of where it comes from
"""
