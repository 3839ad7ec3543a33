"""THE table of export formats. Everything else reads it.

A row creates the complete, checked file. It imports its modules on demand, so that listing the formats is
cheap.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellsearch.errors import ExportError, not_written

if TYPE_CHECKING:
    from cellsearch.compiler.torch.recurrent import Recurrent
    from cellsearch.dsl.graph import Cell
    from cellsearch.exporters.header import Provenance


@dataclass(frozen=True)
class Subject:
    """The exported object: a cell, and optionally a module with its sizes and weights."""

    cell: "Cell"
    module: "Recurrent | None" = None
    provenance: "Provenance | None" = None


@dataclass(frozen=True, slots=True)
class Format:
    """One row: the suffix of the file, its description, and its writer."""

    suffix: str
    about: str
    make: Callable[[Subject], bytes]


def _torch(subject: Subject) -> bytes:
    from cellsearch.exporters.torch.check import check
    from cellsearch.exporters.torch.source import torch_source

    text = torch_source(subject.cell, subject.provenance)
    check(subject.cell, text)
    return text.encode()


def _onnx(subject: Subject) -> bytes:
    from cellsearch.exporters.onnx.check import checked

    if subject.module is None:
        raise ExportError(
            "an ONNX model has sizes and weights: export a module, as in\n"
            "export(Recurrent(cell, 32, 64), 'cell.onnx'), or give --input-size and --hidden-size"
        )
    return checked(subject.module, subject.provenance)


def _latex(subject: Subject) -> bytes:
    from cellsearch.exporters.latex import latex

    return latex(subject.cell, subject.provenance).encode()


def _cell(subject: Subject) -> bytes:
    from cellsearch.dsl.text import parse, show

    text = show(subject.cell)
    if parse(text) != subject.cell:
        raise not_written(f"the text of {subject.cell.name}", "reading it back gives another cell")
    return text.encode()


FORMATS = {
    "torch": Format(".py", "a PyTorch module", _torch),
    "onnx": Format(".onnx", "an ONNX model, which needs sizes", _onnx),
    "latex": Format(".tex", "LaTeX equations", _latex),
    "cell": Format(".cell", "the cell's own text", _cell),
}
