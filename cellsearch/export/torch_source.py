"""A cell as the text of one Python file: an nn.Module that imports torch alone and is called as torch.nn.LSTM is.

In: a `Cell`. Out: text, the same for the same cell, formatted, with each equation above its line. The weights have the
names that `cellsearch.Recurrent` gives them, so that the state dict of either fits the other.
"""

from cellsearch.dsl.graph import Affine, Cell, Input, uses_raw_x
from cellsearch.dsl.text.printer import equation, number
from cellsearch.dsl.weights import bracket_names, weights
from cellsearch.export import header, layout, operators
from cellsearch.export.layer_source import LayerCode, layer_code
from cellsearch.export.names import Locals, class_name, is_plain, is_taken

_MANY = 8  # states whose types are no longer written out
