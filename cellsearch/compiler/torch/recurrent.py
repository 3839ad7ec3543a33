"""`Recurrent`: a cell as an nn.Module with the calling convention of torch.nn.LSTM.

Sequences, states and results are as for torch.nn.LSTM. `sequences` and `states` implement the convention,
`autograd` runs a layer.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from cellsearch.compiler.plan.schedule import plan
from cellsearch.compiler.run.layout import Layout, layout, view
from cellsearch.compiler.run.stack import check_stack, first, reads_below
from cellsearch.compiler.run.structures import initialise
from cellsearch.compiler.torch import custom_op, sequences
from cellsearch.compiler.torch import states as carried
from cellsearch.compiler.torch.autograd import run
from cellsearch.compiler.torch.layer_function import autocast_is_on, plain
from cellsearch.dsl.graph import Cell, uses_raw_x
from cellsearch.dsl.text import show
from cellsearch.errors import CellError

_RESERVED = {"project", "reverse"}


@dataclass(frozen=True)
class _Level:
    """The structure of one layer, besides its weights."""

    lay: Layout  # of each direction
    text: str  # of its cell
    width: int  # of the input
    read_above: tuple[str, ...]  # the states that the next layer reads

    @property
    def projects(self) -> bool:
        return self.width != self.lay.width


@dataclass(frozen=True)
class _Derived:
    """The structure derived from cells and widths."""

    levels: tuple[_Level, ...]
    form: carried.Form


def _derive(cells: Sequence[Cell], width: int, hidden: int, bidirectional: bool) -> _Derived:
    levels = []
    for k, cell in enumerate(cells):
        text = show(cell)
        lay = custom_op.shared(text, layout(plan(cell), hidden if uses_raw_x(cell) else width, hidden))
        read_above = tuple(reads_below(cells[k + 1])) if k + 1 < len(cells) else ()
        levels.append(_Level(lay, text, width, read_above))
        width = hidden * (1 + bidirectional)
    lowered = [level.lay.plan.cell for level in levels]
    looks = any(c.past or len(c.states) > len(c.cell.states) for c in lowered)
    names = tuple(s.name for s in cells[0].states)
    return _Derived(tuple(levels), carried.Form(names, looks, any(c.clock for c in cells)))


class Recurrent(nn.Module):
    """Layers of one cell, or of a list of cells (bottom first), called like torch.nn.LSTM.

        >>> import torch
        >>> rnn = cs.Recurrent(cs.load("lstm"), 32, 64, num_layers=2)
        >>> x = torch.randn(35, 20, 32)             # [T, B, D], or [B, T, D] with batch_first, or [T, D]
        >>> output, (h, c) = rnn(x)
        >>> output.shape, h.shape                   # [T, B, H]; each state [layers, B, H]
        (torch.Size([35, 20, 64]), torch.Size([2, 20, 64]))
        >>> output, states = rnn(x, (h, c))         # from the states of the previous call
        >>> [name for name, _ in rnn.named_parameters()][:3]
        ['layers.0.i.x', 'layers.0.i.h', 'layers.0.i.bias']

    **States.** A cell with one state takes and gives a tensor, one with more a tuple in the order of its
    header. A cell that uses `before(...)` has one more entry in the tuple: a list of the delayed values of
    its layers. A cell with a clock has, at the end, the number of steps seen, int64 [B]. Both may be omitted:
    they then start at zero. For x [T, D] no tensor has an axis B.

    **Both directions.** With `bidirectional=True` every layer has a second set of weights that reads the
    sequence from its end; outputs are [T, B, 2H], forward first, and states [2 * layers, B, H]: layer 0
    forward, layer 0 reverse, layer 1 forward, … Clocks and `before(...)` of the reverse direction count from
    the end of the sequence. `below(c)` reads the state of the same direction of the layer below, at the same
    step; x of the layer has the outputs of both directions.

    **Sequences of several lengths** are passed and returned as a PackedSequence, sorted or not. Each sequence
    has separate states, clocks and delayed values, in the caller's order. No step after the end of a sequence
    is computed.

    **Dropout** with this probability is applied in training mode to the outputs of every layer except the top
    one.

    A cell that uses x outside brackets gets an input projection if the width of x differs from hidden_size:
    `layers.0.project.weight`, shared by the directions. A layer computes in the dtype of its weights, also
    under autocast. Gradients are exact; second derivatives raise an error.

    Weights have the names of the language: `layers.0.i.x` is [D, H], `layers.0.reverse.i.x` the same for the
    reverse direction. Matrices and peepholes start in U[-1/sqrt(H), 1/sqrt(H)], as in torch.nn.LSTM; biases
    at the values of the cell.

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
            warnings.warn(
                f"dropout={dropout} has no effect: it lies between layers, and there is one", stacklevel=2
            )
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, len(self.cells)
        self.batch_first, self.bidirectional = bool(batch_first), bool(bidirectional)
        self.dropout = float(dropout)
        self._derived = _derive(self.cells, input_size, hidden_size, self.bidirectional)
        kind: dict[str, Any] = {"device": device, "dtype": dtype}
        self.layers = nn.ModuleList()
        for level in self._derived.levels:
            module = _parameters(level.lay, kind)
            if self.bidirectional:
                module.add_module("reverse", _parameters(level.lay, kind))
            if level.projects:
                module.add_module("project", nn.Linear(level.width, hidden_size, bias=False, **kind))
            self.layers.append(module)
        self.reset_parameters()

    @property
    def projects(self) -> bool:
        """Whether a layer has an input projection."""
        return any(level.projects for level in self._derived.levels)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Reinitialise all weights."""
        bound = 1 / math.sqrt(self.hidden_size)
        for level, module in zip(self._derived.levels, self.layers, strict=True):
            for part in _directions(module):
                row = torch.empty(1, level.lay.size, dtype=torch.float64)
                initialise(level.lay, row, bound)
                for k, parameter in enumerate(_weights(level.lay, part)):
                    parameter.copy_(view(level.lay, row, k)[0])
            if "project" in module._modules:
                nn.init.uniform_(module.project.weight, -bound, bound)  # type: ignore[union-attr,arg-type]

    def flatten_parameters(self) -> None:
        """Does nothing; for compatibility with torch.nn.LSTM."""

    def forward(self, x: Tensor | PackedSequence, states: Any = None) -> tuple[Any, Any]:
        """Outputs and last states; see the class."""
        try:
            custom_op.refuse_onnx()
            given, begun, start = self._read(x, states)
        except CellError as error:
            raise CellError(f"{self!r}: {error}") from None
        with plain(given.rows.device):
            rows, last = self._run(given, begun, start)
        return given.outputs(rows), carried.give(self._derived.form, last, start, given)

    def _read(self, x: Any, states: Any) -> tuple[sequences.Sequences, list[list[Tensor]], Tensor]:
        """The input, the first states of each layer and direction, and the number of the first step, [B]."""
        given = sequences.read(x, self.input_size, self.batch_first)
        weight = next(self.parameters(), None)
        if weight is not None:
            if autocast_is_on(given.rows.device):
                given = replace(given, rows=given.rows.to(weight.dtype))
                states = carried.cast(states, weight.dtype)
            carried.check_like("the input", given.rows, weight, "the weights")
        begun = [
            [v[0] for v in first(level.lay, 1, given.batch, given.rows)]
            for level in self._derived.levels
            for _ in range(1 + self.bidirectional)
        ]
        return given, *carried.read(self._derived.form, states, begun, given)

    def _run(
        self, given: sequences.Sequences, begun: list[list[Tensor]], start: Tensor
    ) -> tuple[Tensor, list[list[Tensor]]]:
        """Outputs [N, H] or [N, 2H], and the last states of each layer and direction."""
        rows = given.rows
        around = given.backwards() if self.bidirectional else None
        below: list[dict[str, Tensor]] = [{}, {}]  # of each direction, in its own order of time
        last: list[list[Tensor]] = []
        for k, (level, module) in enumerate(zip(self._derived.levels, self.layers, strict=True)):
            if k > 0 and self.dropout:
                rows = nn.functional.dropout(rows, self.dropout, self.training)
            if level.projects:
                rows = module.project(rows)  # type: ignore[operator]
            outputs = []
            for d, part in enumerate(_directions(module)):
                turn = around if d == 1 else None
                found = run(
                    level.lay,
                    level.text,
                    _weights(level.lay, part),
                    rows if turn is None else rows.index_select(0, turn),
                    given.segments,
                    begun[len(last)],
                    below[d],
                    start,
                    level.read_above,
                )
                last.append(found.last)
                below[d] = found.new
                outputs.append(found.outputs if turn is None else found.outputs.index_select(0, turn))
            rows = outputs[0] if len(outputs) == 1 else torch.cat(outputs, -1)
        return rows, last

    def __getstate__(self) -> dict[str, Any]:
        """The state for a copy or a pickle: plans are looked up again, with their caches, instead of
        copied."""
        return {name: value for name, value in self.__dict__.items() if name != "_derived"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._derived = _derive(self.cells, self.input_size, self.hidden_size, self.bidirectional)

    def extra_repr(self) -> str:
        """The sizes and options in `repr`."""
        parts = [*dict.fromkeys(c.name for c in self.cells), str(self.input_size), str(self.hidden_size)]
        parts.append(f"num_layers={self.num_layers}")
        parts += [f"x projected to {self.hidden_size}"] * self.projects
        parts += ["batch_first=True"] * self.batch_first + ["bidirectional=True"] * self.bidirectional
        parts += [f"dropout={self.dropout}"] * (self.dropout > 0)
        return ", ".join(parts)

    def __repr__(self) -> str:
        return f"Recurrent({self.extra_repr()})"


def _cells(cell: Any, num_layers: int) -> tuple[Cell, ...]:
    """The cell of each layer, bottom first."""
    if isinstance(num_layers, bool) or not isinstance(num_layers, int) or num_layers < 1:
        raise CellError(f"num_layers must be a whole number of at least 1, not {num_layers!r}")
    if isinstance(cell, Cell):
        return (cell,) * num_layers
    cells = tuple(cell) if isinstance(cell, (list, tuple)) else ()
    if not cells or not all(isinstance(c, Cell) for c in cells):
        raise CellError(
            f"Recurrent takes a cell as load('gru') and parse(text) give, or a list of them, not {cell!r:.80}"
        )
    if num_layers not in (1, len(cells)):
        raise CellError(f"{len(cells)} cells make {len(cells)} layers: leave num_layers={num_layers} out")
    check_stack(cells)
    names = [", ".join(s.name for s in c.states) for c in cells]
    for k, other in enumerate(names):
        if other != names[0]:
            raise CellError(
                f"all cells of a stack must have the same states: layer 0 ({cells[0].name}) has {names[0]}, "
                f"layer {k} ({cells[k].name}) has {other}"
            )
    return cells


def _parameters(lay: Layout, kind: dict[str, Any]) -> nn.Module:
    """A module that holds the weights of a layer: one submodule for each bracket.

    Users choose the names, so they are stored in the module's tables: a bracket may be called `train`.
    """
    root = nn.Module()
    for w in lay.weights:
        bracket, _, name = w.name.partition(".")
        if bracket in _RESERVED:
            raise CellError(
                f"cell {lay.plan.cell.cell.name}: an equation with weights cannot be called {bracket!r} here"
            )
        owner = root._modules.setdefault(bracket, nn.Module())
        assert owner is not None
        owner._parameters[name] = nn.Parameter(torch.empty(w.shape(lay.width, lay.hidden), **kind))
    return root


def _weights(lay: Layout, module: nn.Module) -> list[Tensor]:
    """The weights of a layer in one direction, in the order of `lay.weights`."""
    found = []
    for w in lay.weights:
        bracket, _, name = w.name.partition(".")
        owner = module._modules[bracket]
        assert owner is not None
        # A weight with a parametrisation is no longer a parameter, but still an attribute.
        parameter = owner._parameters.get(name)
        found.append(getattr(owner, name) if parameter is None else parameter)
    return found


def _directions(module: nn.Module) -> list[nn.Module]:
    """The modules that hold the weights of each direction of a layer: forward, then reverse."""
    reverse = module._modules.get("reverse")
    return [module] if reverse is None else [module, reverse]
