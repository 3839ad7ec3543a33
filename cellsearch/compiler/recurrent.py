"""`Recurrent`: a cell as an nn.Module with the calling convention of torch.nn.LSTM."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from cellsearch.compiler import layer
from cellsearch.compiler.parameters import Layout, assemble
from cellsearch.compiler.stack import check_stack, first_states, reads_below, stack
from cellsearch.dsl.graph import Affine, Cell, uses_raw_x
from cellsearch.dsl.weights import weights
from cellsearch.errors import CellError

_RESERVED = {"project", "reverse"}


class _Layer(torch.autograd.Function):
    """One layer for autograd: the compiled forward and backward passes, with a population of one."""

    @staticmethod
    def forward(
        ctx: Any, lay: Layout, names: tuple[str, ...], start: Tensor, row: Tensor, x: Tensor, *rest: Tensor
    ) -> Any:
        count = len(lay.plan.cell.states)
        below = {name: value[None] for name, value in zip(names, rest[count:], strict=True)}
        states = [s[None] for s in rest[:count]]
        outputs, tape = layer.forward(lay, row, x[None], states, below, start)
        ctx.lay, ctx.tape, ctx.row, ctx.names = lay, tape, row, names
        return (outputs[0].clone(), *(s[0, 1:].clone() for s in tape.states))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs: Tensor, *d_sequences: Tensor) -> Any:
        d_row = torch.zeros_like(ctx.row)
        above = {k: d[None] for k, d in enumerate(d_sequences)}
        found = layer.backward(
            ctx.lay, ctx.row, ctx.tape, d_outputs[None], d_row, None, above, ctx.needs_input_grad[4]
        )
        d_x = None if found.x is None else found.x[0]
        d_below = [found.below[name][0] for name in ctx.names]
        return (None, None, None, d_row, d_x, *(s[0] for s in found.states), *d_below)


class Recurrent(nn.Module):
    """Layers of one cell, called as torch.nn.LSTM is.

        rnn = Recurrent(cell, input_size, hidden_size, num_layers=2)
        output, states = rnn(x)            # x [T, B, D], or [B, T, D] with batch_first, or [T, D]
        output, states = rnn(x, states)    # output [T, B, H]; the states of the cell, each [layers, B, H]

    A cell with one state takes and gives a tensor, one with more a tuple in the order of its header. A cell
    with a clock has one more entry: the number of steps seen, int64 [B]. A cell that uses x outside brackets
    gets a projection in front where input_size differs from hidden_size.

    Weights are found by the names of the language: `layers.0.i.x` is [D, H]. Matrices and peepholes start in
    U[-1/sqrt(H), 1/sqrt(H)], as those of torch.nn.LSTM do; biases at what the cell says.
    """

    def __init__(
        self,
        cell: Cell | Sequence[Cell],
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        batch_first: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if min(input_size, hidden_size, num_layers) < 1:
            raise CellError("input_size, hidden_size and num_layers must be at least 1")
        self.cells = (cell,) * num_layers if isinstance(cell, Cell) else tuple(cell)
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, len(self.cells)
        self.batch_first = batch_first
        check_stack(self.cells)
        if not isinstance(cell, Cell) and num_layers not in (1, len(self.cells)):
            raise CellError(
                f"{len(self.cells)} cells make {len(self.cells)} layers, not num_layers={num_layers}"
            )
        if len({tuple(s.name for s in c.states) for c in self.cells}) > 1:
            raise CellError("all cells of a stack must have the same states")
        self.projects = uses_raw_x(self.cells[0]) and input_size != hidden_size
        self._stack = stack(self.cells, hidden_size if self.projects else input_size, hidden_size)
        kind: dict[str, Any] = {"device": device, "dtype": dtype}
        self.layers = nn.ModuleList(_parameters(lay, kind) for lay in self._stack.layers)
        if self.projects:
            self.layers[0].add_module("project", nn.Linear(input_size, hidden_size, bias=False, **kind))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        bound = 1 / math.sqrt(self.hidden_size)
        for lay, module in zip(self._stack.layers, self.layers, strict=True):
            for w, parameter in _by_weight(lay, module):
                node = lay.plan.cell.nodes[w.node]
                assert isinstance(node, Affine)
                with torch.no_grad():
                    if w.term < 0:
                        parameter.fill_(node.bias or 0.0)
                        continue
                    parameter.uniform_(-bound, bound)
                    eye = node.connections[w.term].eye
                    if eye is not None:
                        parameter.diagonal().add_(eye)
        if self.projects:
            nn.init.uniform_(self.layers[0].project.weight, -bound, bound)  # type: ignore[union-attr,arg-type]

    def forward(self, x: Tensor, states: Any = None) -> tuple[Tensor, Any]:
        """Outputs and last states; see the class."""
        single = x.dim() == 2
        if x.dim() not in (2, 3) or x.shape[-1] != self.input_size:
            batched = f"[B, T, {self.input_size}]" if self.batch_first else f"[T, B, {self.input_size}]"
            raise CellError(
                f"{self!r} takes an input {batched} or [T, {self.input_size}], not {list(x.shape)}"
            )
        if single:
            x = x[:, None]
        elif self.batch_first:
            x = x.transpose(0, 1)
        batch = x.shape[1]
        first, start = self._unpack(states, batch, single, x)
        outputs = self.layers[0].project(x) if self.projects else x  # type: ignore[operator]
        last: list[list[Tensor]] = []
        sequences: dict[str, Tensor] = {}
        for k, (lay, module) in enumerate(zip(self._stack.layers, self.layers, strict=True)):
            row = assemble(lay, {w.name: p for w, p in _by_weight(lay, module)})
            names = tuple(n for n in reads_below(lay.plan.cell) if n in sequences)
            outputs, *found = _Layer.apply(
                lay, names, start, row, outputs, *(s[k] for s in first), *(sequences[n] for n in names)
            )
            last.append([s[-1] if len(s) else f[k] for s, f in zip(found, first, strict=True)])
            sequences = {s.name: v for s, v in zip(lay.plan.cell.states, found, strict=True)}
        packed = self._pack([torch.stack(s) for s in zip(*last, strict=True)], start + x.shape[0], single)
        if single:
            return outputs[:, 0], packed
        return (outputs.transpose(0, 1) if self.batch_first else outputs), packed

    def _unpack(self, states: Any, batch: int, single: bool, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """The initial states, each [layers, B, H], and the number of the first step [B]."""
        cell = self.cells[0]
        start = torch.zeros(batch, dtype=torch.int64, device=x.device)
        if states is None:
            per_layer = first_states(self.cells, (batch, self.hidden_size), x)
            return [torch.stack(s) for s in zip(*per_layer, strict=True)], start
        given = [states] if isinstance(states, Tensor) else list(states)
        count = len(cell.states) + bool(self._clocked)
        if len(given) != count:
            raise CellError(f"{self!r} has {count} states ({self._state_names()}), not {len(given)}")
        if self._clocked:
            start = given.pop().to(x.device).reshape(batch)
        shape = (self.num_layers, self.hidden_size) if single else (self.num_layers, batch, self.hidden_size)
        for s, value in zip(cell.states, given, strict=True):
            if tuple(value.shape) != shape:
                raise CellError(f"state {s.name} must be {list(shape)}, not {list(value.shape)}")
        return [v[:, None] if single else v for v in given], start

    def _pack(self, states: list[Tensor], steps: Tensor, single: bool) -> Any:
        if single:
            states = [s[:, 0] for s in states]
        if self._clocked:
            return (*states, steps[0] if single else steps)
        return states[0] if len(states) == 1 else tuple(states)

    @property
    def _clocked(self) -> bool:
        return any(c.clock for c in self.cells)

    def _state_names(self) -> str:
        return ", ".join([s.name for s in self.cells[0].states] + ["steps"] * self._clocked)

    def extra_repr(self) -> str:
        """What `print` shows beside the weights."""
        cells = ", ".join(dict.fromkeys(c.name for c in self.cells))
        projected = f", x projected to {self.hidden_size}" if self.projects else ""
        batch = ", batch_first=True" if self.batch_first else ""
        return (
            f"{cells}, {self.input_size}, {self.hidden_size}, num_layers={self.num_layers}{projected}{batch}"
        )

    def __repr__(self) -> str:
        return f"Recurrent({self.extra_repr()})"


def _parameters(lay: Layout, kind: dict[str, Any]) -> nn.Module:
    """A module that holds the weights of a layer: one submodule for each bracket.

    The names are the user's, so they are put into the module's own tables: a bracket may be called `train`.
    """
    root = nn.Module()
    for w in weights(lay.plan.cell):
        bracket, _, name = w.name.partition(".")
        if bracket in _RESERVED:
            raise CellError(
                f"cell {lay.plan.cell.name}: {bracket!r} cannot be the name of an equation with weights here"
            )
        owner = root._modules.setdefault(bracket, nn.Module())
        assert owner is not None
        shape = w.shape(lay.width, lay.hidden)
        owner._parameters[name] = nn.Parameter(torch.empty(shape, **kind))
    return root


def _by_weight(lay: Layout, module: nn.Module) -> Iterator[tuple[Any, Tensor]]:
    """Each weight of a layer with its parameter."""
    for w in weights(lay.plan.cell):
        bracket, _, name = w.name.partition(".")
        owner = module._modules[bracket]
        assert owner is not None
        parameter = owner._parameters[name]
        assert parameter is not None
        yield w, parameter
