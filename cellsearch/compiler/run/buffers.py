"""The tensors of all values and gradients of a layer: from a `Ref` to a tensor, for all steps or step by
step."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from torch import Tensor

from cellsearch.compiler.plan.kernels import Ref
from cellsearch.compiler.run.layout import Layout, vector
from cellsearch.compiler.run.order import Together
from cellsearch.dsl.nodes import Input


@dataclass(frozen=True)
class Tape:
    """The data kept for the backward pass."""

    row: Tensor  # [K, P], with materialised matrices
    inputs: Tensor  # [K, past+T, B, D]: the earlier inputs that the cell reads, then x
    past: int
    states: tuple[Tensor, ...]  # each [K, T+1, B, H]; entry 0 is the initial state
    slots: Tensor  # [K, T, B, S*H]
    below: Mapping[str, Tensor]  # new states of the layer below, each [K, T, B, H]
    tick: Tensor | None  # [1, T, 1 or B, H]
    # Where inputs are rows of a table [K, V, D]: which row each step reads, and the tape of the outer part,
    # whose one step has V sequences. `inputs` has width 0 then unless the loop reads them.
    symbols: Tensor | None = None  # [T, B], int64
    outer: "Tape | None" = None

    @property
    def x(self) -> Tensor:
        """The inputs of this window, [K, T, B, D]."""
        return self.inputs[:, self.past :]

    def ago(self, delay: int) -> Tensor:
        """The inputs `delay` steps ago, [K, T, B, D]."""
        return self.inputs[:, self.past - delay : self.inputs.shape[1] - delay]


class Buffers:
    """Resolves refs to tensors; creates gradient buffers on first use."""

    def __init__(
        self,
        lay: Layout,
        tape: Tape,
        d_outputs: Tensor | None = None,  # [K, T, B, H]
        d_above: Mapping[int, Tensor] | None = None,
        stored: Set[Ref] = frozenset(),  # gradients stored before the first addition
        order: Together | None = None,
    ) -> None:
        self.lay, self.row, self.tape = lay, tape.row, tape
        self.d_outputs, self.d_above, self.stored = d_outputs, d_above or {}, stored
        self.members, self.steps_count, self.batch = tape.slots.shape[:3]
        self.order = order or Together(self.members)
        self._outer = None if tape.outer is None else Buffers(lay, tape.outer, order=self.order)
        self.new: Sequence[Tensor] = ()  # gradients of the states after the step, each [K, B, H]
        self.old: Sequence[Tensor] = ()  # and before it
        self._gradients: dict[Ref, Tensor] = {}
        self._steps: dict[Ref, Sequence[Tensor]] = {}

    @property
    def outer(self) -> "Buffers":
        """The buffers of the outer part: these, or those with one row per table entry. (Not an attribute: a
        reference cycle would keep the tensors alive.)"""
        return self._outer or self

    def whole(self, ref: Ref) -> Tensor:
        """The tensor for all steps, [K, T, B, H] (`slots`, `dslots`: all from that slot on) or of a shape
        that broadcasts to it."""
        tape, hidden = self.tape, self.lay.hidden
        match ref.kind:
            case "slot":
                return self.slots(ref.index, 1)
            case "slots":
                return tape.slots[..., ref.index * hidden :]
            case "dslot":
                return self.d_slots(ref.index, 1)
            case "dslots":
                return self._d_tape()[..., ref.index * hidden :]
            case "old":
                return tape.states[ref.index][:, :-1]
            case "new":
                return tape.states[ref.index][:, 1:]
            case "x":
                return tape.x
            case "past":
                return tape.ago(ref.index)
            case "tick":
                assert tape.tick is not None
                return tape.tick
            case "below":
                node = self.lay.plan.cell.nodes[ref.index]
                assert isinstance(node, Input)
                return tape.below.get(node.name, tape.x.new_zeros(1, 1, 1, hidden))
            case "weight":
                value = vector(self.lay, self.row, ref.index)[:, None, None]
                return value.expand(-1, -1, -1, hidden)  # [K, 1, 1, H]
            case "dout":
                assert self.d_outputs is not None
                return self.d_outputs
            case "dabove":
                return self.d_above[ref.index]
            case "dold":
                return self.old[ref.index][:, None]
            case "dnew":
                return self.new[ref.index][:, None]
        return self._buffer(ref)

    def steps(self, ref: Ref) -> Sequence[Tensor]:
        """The tensor of each step, [K, B, H] or of a shape that broadcasts to it."""
        if ref.kind in ("dold", "dnew"):
            return [self.whole(ref)[:, 0]] * self.steps_count
        if ref not in self._steps:
            tensor = self.whole(ref)
            every = tensor.shape[1] == self.steps_count and not self._for_one_step(ref)
            self._steps[ref] = tensor.unbind(1) if every else [tensor[:, 0]] * self.steps_count
        return self._steps[ref]

    def slots(self, first: int, count: int) -> Tensor:
        """Neighbouring slots of the tape, [K, T, B, count*H]."""
        hidden = self.lay.hidden
        return self.tape.slots[..., first * hidden : (first + count) * hidden]

    def d_slots(self, first: int, count: int) -> Tensor:
        """The gradients of neighbouring gathering slots, [K, T, B, count*H]."""
        hidden = self.lay.hidden
        return self._d_tape()[..., first * hidden : (first + count) * hidden]

    def written(self, ref: Ref) -> bool:
        """Whether a buffer exists for this gradient."""
        return ref in self._gradients

    def _for_one_step(self, ref: Ref) -> bool:
        return ref.kind == "dnode" and not self.lay.plan.is_outer[ref.index]

    def _buffer(self, ref: Ref) -> Tensor:
        if ref not in self._gradients:
            width = self.lay.width if ref.kind in ("dx", "dpast") else self.lay.hidden
            steps = 1 if self._for_one_step(ref) else self.steps_count
            make = self.order.empty if ref in self.stored else self.order.zeros
            self._gradients[ref] = make(self.tape.x, steps, self.batch, width)
        return self._gradients[ref]

    def _d_tape(self) -> Tensor:
        ref = Ref("dslots")
        if ref not in self._gradients:
            width = len(self.lay.plan.affines) * self.lay.hidden
            # sums over rows of a table start at zero
            make = self.order.empty if self.stored else self.order.zeros
            self._gradients[ref] = make(self.tape.x, self.steps_count, self.batch, width)
        return self._gradients[ref]
