"""`Recurrent`: a cell as an nn.Module with the calling convention of torch.nn.LSTM."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from cellsearch.compiler import layer
from cellsearch.compiler.parameters import Layout, assemble, view
from cellsearch.compiler.stack import check_stack, first_states, reads_below, stack
from cellsearch.compiler.structures import initialise
from cellsearch.dsl.graph import Cell, uses_raw_x
from cellsearch.errors import CellError

_RESERVED = {"project", "reverse"}


class _Layer(torch.autograd.Function):
    """One layer for autograd: the compiled forward and backward passes, with a population of one.

    Takes the states that a layer starts from and the sequences below; gives the outputs [T, B, H], the
    sequence [T, B, H] of each state of the cell, and the last value of everything that `before(...)` carries.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        lay: Layout,
        names: tuple[str, ...],
        start: Tensor,
        row: Tensor,
        x: Tensor,
        *rest: Tensor,
    ) -> tuple[Tensor, ...]:
        count = len(rest) - len(names)
        below = {name: value[None] for name, value in zip(names, rest[count:], strict=True)}
        outputs, tape = layer.forward(lay, row, x[None], [s[None] for s in rest[:count]], below, start)
        ctx.lay, ctx.tape, ctx.row, ctx.names = lay, tape, row, names
        own = len(lay.plan.cell.cell.states)
        last = [s[0].clone() for s in layer.last_states(tape)[own:]]
        return (outputs[0].clone(), *(s[0, 1:].clone() for s in tape.states[:own]), *last)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs: Tensor, *rest: Tensor) -> Any:
        own = len(ctx.lay.plan.cell.cell.states)
        d_row = torch.zeros_like(ctx.row)
        above = {k: d[None] for k, d in enumerate(rest[:own])}
        d_states = [torch.zeros_like(s[:, 0]) for s in ctx.tape.states[:own]] + [d[None] for d in rest[own:]]
        found = layer.backward(
            ctx.lay, ctx.row, ctx.tape, d_outputs[None], d_row, d_states, above, ctx.needs_input_grad[4]
        )
        d_x = None if found.x is None else found.x[0]
        d_below = [found.below[name][0] for name in ctx.names]
        return (None, None, None, d_row, d_x, *(s[0] for s in found.states), *d_below)


class Recurrent(nn.Module):
    """Layers of one cell, or of a list of cells (bottom first), called as torch.nn.LSTM is.

        rnn = Recurrent(cell, input_size, hidden_size, num_layers=2)
        output, states = rnn(x)            # x [T, B, D], or [B, T, D] with batch_first, or [T, D]
        output, states = rnn(x, states)    # output [T, B, H]; the states of the cell, each [layers, B, H]

    A cell with one state takes and gives a tensor, one with more a tuple in the order of its header. A cell
    that uses `before(...)` has one more entry in the tuple: for each layer a tuple of what it looks back at.
    A cell with a clock has, at the end, the number of steps seen, int64 [B]. Both may be left out: they then
    start at zero. A cell that uses x outside brackets gets a projection in front where input_size differs
    from hidden_size.

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
            raise CellError(f"{len(self.cells)} cells make {len(self.cells)} layers, not {num_layers}")
        if len({tuple(s.name for s in c.states) for c in self.cells}) != 1:
            raise CellError("all cells of a stack must have the same states")
        self.projects = uses_raw_x(self.cells[0]) and input_size != hidden_size
        self._stack = stack(self.cells, hidden_size if self.projects else input_size, hidden_size)
        kind: dict[str, Any] = {"device": device, "dtype": dtype}
        self.layers = nn.ModuleList(_parameters(lay, kind) for lay in self._stack.layers)
        if self.projects:
            self.layers[0].add_module("project", nn.Linear(input_size, hidden_size, bias=False, **kind))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        bound = 1 / math.sqrt(self.hidden_size)
        for lay, module in zip(self._stack.layers, self.layers, strict=True):
            row = torch.empty(1, lay.size, dtype=torch.float64)
            initialise(lay, row, bound)
            for k, (_, parameter) in enumerate(_by_name(lay, module)):
                parameter.copy_(view(lay, row, k)[0])
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
        own, earlier, start = self._unpack(states, x, single)
        outputs = self.layers[0].project(x) if self.projects else x  # type: ignore[operator]
        last: list[list[Tensor]] = []
        carried: list[tuple[Tensor, ...]] = []
        sequences: dict[str, Tensor] = {}
        for k, (lay, module) in enumerate(zip(self._stack.layers, self.layers, strict=True)):
            row = assemble(lay, dict(_by_name(lay, module)))
            names = tuple(n for n in reads_below(lay.plan.cell.cell) if n in sequences)
            first = [s[k] for s in own]
            outputs, *found = _Layer.apply(
                lay, names, start, row, outputs, *first, *earlier[k], *(sequences[n] for n in names)
            )
            last.append([v[-1] if len(v) else f for v, f in zip(found, first, strict=False)])
            carried.append(tuple(found[len(own) :]))
            sequences = {s.name: v for s, v in zip(lay.plan.cell.cell.states, found, strict=False)}
        stacked = [torch.stack(s) for s in zip(*last, strict=True)]
        packed = self._pack(stacked, tuple(carried), start + x.shape[0], single)
        if single:
            return outputs[:, 0], packed
        return (outputs.transpose(0, 1) if self.batch_first else outputs), packed

    def _unpack(
        self,
        states: Any,
        x: Tensor,
        single: bool,
    ) -> tuple[list[Tensor], list[list[Tensor]], Tensor]:
        """The states of the cell, each [layers, B, H], what before(...) looks at, and the first step [B]."""
        cell, batch = self.cells[0], x.shape[1]
        start = torch.zeros(batch, dtype=torch.int64, device=x.device)
        like = x if not self.projects else x.new_empty(0)
        fresh = first_states(self._stack, 1, batch, like)
        count = len(cell.states)
        own = [torch.stack([layer[k][0] for layer in fresh]) for k in range(count)]
        earlier = [[s[0] for s in layer[count:]] for layer in fresh]
        if states is None:
            return own, earlier, start
        given = [states] if isinstance(states, Tensor) else list(states)
        if len(given) not in (count, count + len(self._extra)):
            names = ", ".join([s.name for s in cell.states] + self._extra)
            raise CellError(f"{self!r} has {count + len(self._extra)} states ({names}), not {len(given)}")
        extra = dict(zip(self._extra, given[count:], strict=False))
        if "steps" in extra:
            start = extra["steps"].to(x.device).reshape(batch)
        if "earlier" in extra:
            earlier = [list(layer) for layer in extra["earlier"]]
        shape = (self.num_layers, self.hidden_size) if single else (self.num_layers, batch, self.hidden_size)
        for s, value in zip(cell.states, given, strict=False):
            if tuple(value.shape) != shape:
                raise CellError(f"state {s.name} must be {list(shape)}, not {list(value.shape)}")
        return [v[:, None] if single else v for v in given[:count]], earlier, start

    def _pack(
        self, states: list[Tensor], earlier: tuple[tuple[Tensor, ...], ...], steps: Tensor, single: bool
    ) -> Any:
        if single:
            states = [s[:, 0] for s in states]
        values = {"earlier": earlier, "steps": steps[0] if single else steps}
        packed = (*states, *(values[name] for name in self._extra))
        return packed[0] if len(packed) == 1 else packed

    @property
    def _extra(self) -> list[str]:
        """What the tuple of states holds behind the states of the cell."""
        lowered = [lay.plan.cell for lay in self._stack.layers]
        looks = any(c.past or len(c.states) > len(c.cell.states) for c in lowered)
        return ["earlier"] * looks + ["steps"] * any(c.clock for c in self.cells)

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


def _by_name(lay: Layout, module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Each weight of a layer: its name and its parameter."""
    for w in lay.weights:
        bracket, _, name = w.name.partition(".")
        owner = module._modules[bracket]
        assert owner is not None
        parameter = owner._parameters[name]
        assert parameter is not None
        yield w.name, parameter
