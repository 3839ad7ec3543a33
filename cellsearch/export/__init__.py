"""A cell as files that work without cellsearch: a PyTorch module and LaTeX equations.

torch_source  Cell -> the text of a Python file with one nn.Module; layer_source writes its layer
latex         Cell -> an align environment
check         the text of a Python file against the compiled cell: outputs, states and gradients
write         `export`: all of it, checked and then written whole or not at all
header        what both kinds of file say of the cell and where it comes from
names         names of the language as names of Python
"""
