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

Here is the table of exports: what a cell can be written as. A new kind of file is a new row. The command line
reads the table too, so torch is loaded by the rows that need it, when they are used.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellsearch.dsl.graph import Cell

if TYPE_CHECKING:
    from cellsearch.exporters.header import Provenance


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file: how its name ends, its text, and what compares the text with the compiled cell."""

    suffix: str
    about: str
    text: "Callable[[Cell, Provenance | None], str]"
    check: Callable[[Cell, str], None] | None = None


def _torch(cell: Cell, provenance: "Provenance | None") -> str:
    from cellsearch.exporters.torch_source import torch_source

    return torch_source(cell, provenance)


def _check_torch(cell: Cell, text: str) -> None:
    from cellsearch.exporters.check import check

    check(cell, text)


def _latex(cell: Cell, provenance: "Provenance | None") -> str:
    from cellsearch.exporters.latex import latex

    return latex(cell, provenance)


def _cell(cell: Cell, provenance: "Provenance | None") -> str:
    from cellsearch.dsl.text import show

    return show(cell)


def _check_cell(cell: Cell, text: str) -> None:
    from cellsearch.dsl.text import parse
    from cellsearch.errors import ExportError

    if parse(text) != cell:
        raise ExportError(
            f"the text of {cell.name} was not written: it reads back as another cell\n"
            "this is a defect of cellsearch; please report it with the cell's text"
        )


FORMATS = {
    "torch": Format(".py", "a PyTorch module", _torch, _check_torch),
    "latex": Format(".tex", "LaTeX equations", _latex),
    "cell": Format(".cell", "the cell's own text", _cell, _check_cell),
}
