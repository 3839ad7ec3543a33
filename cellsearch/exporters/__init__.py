"""A cell as files that work without cellsearch: a PyTorch module, LaTeX equations, its own text.

write         `export`: makes and checks the files, then writes each whole or not at all
check         the text of a module against the compiled cell: outputs, states and gradients
torch_source  Cell -> the text of a Python file with one nn.Module
module_class  … its stack of layers, called like torch.nn.LSTM
layer_class   … its layer: weights and first values
layer_source  … the layer's loop over time, one statement for each equation
values        … how each node of the cell is spelled
operators     … ops of the table in Python
expressions   expressions that fit on their lines;  layout  statements that do;  names  identifiers
latex         Cell -> an align environment
header        what both kinds of file say of the cell and where it comes from
"""
