"""`Recurrent`: a cell as an nn.Module with the calling convention of torch.nn.LSTM.

In: a cell or a list of cells, widths; sequences and states as torch.nn.LSTM takes them. Out: outputs and last
states. `sequences` and `carried` hold the convention, `autograd` runs a layer.
"""

import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from cellsearch.compiler import carried, sequences
from cellsearch.compiler.autograd import run
from cellsearch.compiler.parameters import Layout, layout, view
from cellsearch.compiler.plan import plan
from cellsearch.compiler.stack import check_stack, first, reads_below
from cellsearch.compiler.structures import initialise
from cellsearch.dsl.graph import Cell, uses_raw_x
from cellsearch.dsl.text import show
from cellsearch.errors import CellError

_RESERVED = {"project", "reverse"}


class Recurrent(nn.Module):
    """Layers of one cell, or of a list of cells (bottom first), called as torch.nn.LSTM is.

        rnn = Recurrent(cell, input_size, hidden_size, num_layers=2)
        output, states = rnn(x)            # x [T, B, D], or [B, T, D] with batch_first, or [T, D]
        output, states = rnn(x, states)    # output [T, B, H]; the states of the cell, each [layers, B, H]

    **States.** A cell with one state takes and gives a tensor, one with more a tuple in the order of its
    header. A cell that uses `before(...)` has one more entry in the tuple: for each layer a tuple of what it
    looks back at. A cell with a clock has, at the end, the number of steps seen, int64 [B]. Both may be left
    out: they then start at zero. For x [T, D] nothing has an axis B.

    **Both directions.** With `bidirectional=True` every layer has a second set of weights that reads the
    sequence from its end; outputs are [T, B, 2H], forward first, and states [2 * layers, B, H]: layer 0
    forward, layer 0 reverse, layer 1 forward, … Clocks and `before(...)` of the reverse direction count from
    the end of the sequence. `below(c)` reads the state of the same direction of the layer below, at the same
    step; what comes as x from there are the outputs of both.

    **Sequences of several lengths** come as a PackedSequence, sorted or not, and go out as one. States, clocks
    and what is looked back at are those of each sequence alone, in the caller's order. Nothing is computed
    behind the end of a sequence.

    **Dropout** with this probability is applied to the outputs of every layer but the top one, in training mode.

    A cell that uses x outside brackets gets a projection in front where the width of x differs from
    hidden_size: `layers.0.project.weight`, shared by the directions. A layer computes in the dtype of its
    weights, also under autocast. Gradients are exact; second derivatives are not to be had.

    Weights are found by the names of the language: `layers.0.i.x` is [D, H], `layers.0.reverse.i.x` that of
    the reverse direction. Matrices and peepholes start in U[-1/sqrt(H), 1/sqrt(H)], as those of torch.nn.LSTM
    do; biases at what the cell says.

    Raises CellError for a call that does not fit, here and in `forward`.
    """

    def __init__(
        self,
        cell: Cell | Sequence[Cell],
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.cells = _cells(cell, num_layers)
        for name, size in (("input_size", input_size), ("hidden_size", hidden_size)):
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                raise CellError(f"{name} must be a whole number of at least 1, not {size!r}")
        if isinstance(dropout, bool) or not isinstance(dropout, (int, float)) or not 0 <= dropout <= 1:
            raise CellError(f"dropout must be a probability from 0 to 1, not {dropout!r}")
        if dropout and len(self.cells) == 1:
            warnings.warn(f"dropout={dropout} has no effect: it lies between layers, and there is one", stacklevel=2)
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, len(self.cells)
        self.batch_first, self.dropout, self.bidirectional = batch_first, float(dropout), bidirectional
        self._plan()
        kind: dict[str, Any] = {"device": device, "dtype": dtype}
        self.layers = nn.ModuleList()
        for k, lay in enumerate(self._layouts):
            module = _parameters(lay, kind)
            if bidirectional:
                module.add_module("reverse", _parameters(lay, kind))
            if self._widths[k] != lay.width:
                module.add_module("project", nn.Linear(self._widths[k], lay.width, bias=False, **kind))
            self.layers.append(module)
        self.reset_parameters()

    def _plan(self) -> None:
        """What follows from cells and widths."""
        hidden, cells = self.hidden_size, self.cells
        above = hidden * (2 if self.bidirectional else 1)
        self._widths = (self.input_size,) + (above,) * (len(cells) - 1)
        inner = [hidden if uses_raw_x(c) else w for c, w in zip(cells, self._widths, strict=True)]
        self._layouts = tuple(layout(plan(c), w, hidden) for c, w in zip(cells, inner, strict=True))
        self._texts = tuple(show(c) for c in cells)
        self._read_above = (*(tuple(reads_below(c)) for c in cells[1:]), ())
        lowered = [lay.plan.cell for lay in self._layouts]
        looks = any(c.past or len(c.states) > len(c.cell.states) for c in lowered)
        self._form = carried.Form(tuple(s.name for s in cells[0].states), looks, any(c.clock for c in cells))

    @property
    def projects(self) -> bool:
        """Whether a projection stands in front of a layer."""
        return any(w != lay.width for w, lay in zip(self._widths, self._layouts, strict=True))

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        bound = 1 / math.sqrt(self.hidden_size)
        for lay, module in zip(self._layouts, self.layers, strict=True):
            for part in self._directions(module):
                row = torch.empty(1, lay.size, dtype=torch.float64)
                initialise(lay, row, bound)
                for k, parameter in enumerate(_weights(lay, part)):
                    parameter.copy_(view(lay, row, k)[0])
            if "project" in module._modules:
                nn.init.uniform_(module.project.weight, -bound, bound)  # type: ignore[union-attr,arg-type]

    def flatten_parameters(self) -> None:
        """Does nothing; for code that calls it on torch.nn.LSTM."""

    def forward(self, x: Tensor | PackedSequence, states: Any = None) -> tuple[Any, Any]:
        """Outputs and last states; see the class."""
        try:
            ...
        except CellError:
            raise
        return None, None
