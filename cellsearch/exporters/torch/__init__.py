"""A cell as a Python file that imports torch alone.

source         the whole file
module_class   the class that a user makes: a stack of layers, called as torch.nn.LSTM is
layer_class    the class of a layer: its weights
layer_source   the loop of a layer over the steps
values         how the values of nodes are spelled
expressions    Python expressions that fit on their lines
operators      rows of the op table
structures     rows of the table of structures
layout         lines and line breaks
check          the module against the compiled cell
"""
