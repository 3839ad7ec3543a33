"""A cell as a Python file that imports only torch.

source         the whole file
module_class   the class for users: a stack of layers, called like torch.nn.LSTM
layer_class    the class of a layer: its weights
layer_source   the loop of a layer over the steps
values         spelling of node values
expressions    Python expressions that fit on their lines
operators      rows of the op table
structures     rows of the table of structures
layout         lines and line breaks
check          the module against the compiled cell
"""
