"""One layer of a population: forward through time, and backward.

Everything that does not depend on a state is computed for all T steps at once; an engine runs the remaining
loop: `eager` in torch calls, `native` in C, `triton` in Triton. All sequences are [K, T, B, ·], so that one
step is a strided view of all members, and the gradient of a matrix is one batched product after the loop.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cellsearch.compiler.engines import eager
from cellsearch.compiler.engines.native import loop as native
from cellsearch.compiler.engines.native import toolchain
from cellsearch.compiler.engines.triton import loop as triton
from cellsearch.compiler.engines.triton.toolchain import available as triton_runs
from cellsearch.compiler.plan import kernels
from cellsearch.compiler.plan.backward import backward_kernels
from cellsearch.compiler.plan.input_table import Run, copied, filled, parted, summed
from cellsearch.compiler.plan.kernels import Ref
from cellsearch.compiler.plan.schedule import Product
from cellsearch.compiler.run.buffers import Buffers, Tape
from cellsearch.compiler.run.kept import kept
from cellsearch.compiler.run.layout import Layout, bias, matrix
from cellsearch.compiler.run.order import Together, some
from cellsearch.compiler.run.structures import backprop, materialize
from cellsearch.compiler.run.vectors import apart, vector_gradients
from cellsearch.dsl.nodes import Input
from cellsearch.dsl.weights import unit_periods
from cellsearch.errors import RunError

ENGINES = ("auto", "eager", "native", "triton", "whole", "clocked")
#: The engines that compute member by member in C.
IN_C = ("native", "clocked")
IN_TRITON = ("triton", "whole")


@dataclass(frozen=True)
class Gradients:
    """The results of the backward pass."""

    x: Tensor | None  # [K, T, B, D], or of the table [K, V, D]; None if not requested
    states: tuple[Tensor, ...]  # of the initial states, in their order and shapes
    below: Mapping[str, Tensor]  # of the new states of the layer below, each [K, T, B, H]


def choose_engine(wanted: str, like: Tensor) -> str:
    """The engine for tensors like this one. `auto` is `native` on a CPU with a C compiler and `triton` on a
    CUDA device with Triton and a C compiler, both for float32 and float64; else `eager`.

    `whole` is `triton` with the loop over time in one kernel, not yet measured. On a CPU both run in an
    interpreter, which is slow and only for tests. `clocked` is an instrumented `native`, for the bench.
    Raises RunError if the requested one cannot run.
    """
    if wanted not in ENGINES:
        raise RunError(f"unknown engine {wanted!r}; there are {', '.join(ENGINES)}")
    kind, real = like.device.type, like.dtype in (torch.float32, torch.float64)
    in_c = real and kind == "cpu" and toolchain.compiler() is not None
    in_triton = real and kind in ("cpu", "cuda") and triton_runs(kind)
    able = dict.fromkeys(IN_C, in_c) | dict.fromkeys(IN_TRITON, in_triton)
    if not able.get(wanted, True):
        where = (
            "a C compiler and float32 or float64 on the CPU"
            if wanted in IN_C
            else "the package triton, a C compiler, and float32 or float64 on a CUDA device"
        )
        raise RunError(f"the engine {wanted!r} needs {where}; choose 'eager'")
    if wanted != "auto":
        return wanted
    fast = {"cpu": "native", "cuda": "triton"}.get(kind, "")
    return fast if able.get(fast) else "eager"


def _runner(engine: str, where: Buffers, above: frozenset[int]) -> eager.Runner | native.Runner:
    chosen = choose_engine(engine, where.row)
    if chosen in IN_C:
        return native.Runner(where, above, clocked=chosen == "clocked")
    kinds = {"triton": triton.Runner, "whole": triton.WholeRunner, "eager": eager.Runner}
    return kinds[chosen](where, above)


def ticks(lay: Layout, steps: int, start: Tensor | int, like: Tensor) -> Tensor | None:
    """The clock's 0/1 values [1, T, 1 or B, H]; `start` is the step number of the first step, one or [B] of
    them."""
    if not lay.plan.cell.clock:
        return None
    first = start.reshape(1, -1, 1) if isinstance(start, Tensor) else start
    t = torch.arange(steps, device=like.device)[:, None, None] + first  # [T, 1 or B, 1]
    return (t % _periods(lay, like.device) == 0).to(like.dtype)[None]


@kept
def _periods(lay: Layout, device: torch.device) -> Tensor:
    """The period of each unit [H]: copied to a device once, because a host-to-device copy synchronises. The
    layout owns it, and a captured step holds the layout."""
    return torch.tensor(unit_periods(lay.plan.cell.clock, lay.hidden), device=device)


def forward(
    lay: Layout,
    row: Tensor,  # [K, P]
    x: Tensor,  # [K, T, B, D], or with `symbols` a table [K, V, D]
    states: Sequence[Tensor],  # as `last_states` gives them
    below: Mapping[str, Tensor] | None = None,
    start: Tensor | int = 0,
    engine: str = "auto",
    symbols: Tensor | None = None,  # [T, B]: the row of the table that each step reads
    order: Together | None = None,
) -> tuple[Tensor, Tape]:
    """Outputs [K, T, B, H] and the tape, which holds the states. A table of inputs needs a cell that is
    `input_table.separable`, and the engine `native` or `eager`."""
    plan, hidden = lay.plan, lay.hidden
    members = x.shape[0]
    steps, batch = x.shape[1:3] if symbols is None else symbols.shape
    order = order or Together(members)
    slots = order.empty(x, steps, batch, plan.slots * hidden)
    count = len(plan.cell.states)
    sequences = tuple(order.empty(x, steps + 1, batch, hidden) for _ in range(count))
    for sequence, first in zip(sequences, states[:count], strict=True):
        order.copy(sequence[:, 0], first)
    tick = ticks(lay, steps, start, x)
    full = materialize(lay, row)
    outer: Tape | None = None
    if symbols is not None:
        rows = order.empty(x, 1, x.shape[1], plan.slots * hidden)
        outer = Tape(full, x[:, None], 0, (), rows, {}, None)
        x = order.lookup(x, symbols) if copied(plan).x else x.new_empty(members, steps, batch, 0)
    inputs = x
    if plan.cell.past:
        inputs = order.empty(x, plan.cell.past + steps, batch, x.shape[-1])
        order.copy(inputs[:, : plan.cell.past], states[count])
        order.copy(inputs[:, plan.cell.past :], x)
    tape = Tape(full, inputs, plan.cell.past, sequences, slots, below or {}, tick, symbols, outer)
    where = Buffers(lay, tape, order=order)
    runner = _runner(engine, where, frozenset())
    if isinstance(runner, native.Runner):
        runner.forward()
    else:
        _forward(runner, where)
    output = where.whole(kernels.location(plan, plan.cell.output))
    return output.expand(members, steps, batch, hidden), tape


def last_states(tape: Tape) -> list[Tensor]:
    """The states after the window: those of the lowered cell, each [K, B, H], and the last inputs, [K, past,
    B, D], if the cell reads earlier inputs."""
    earlier = [tape.inputs[:, -tape.past :]] if tape.past else []
    return [s[:, -1] for s in tape.states] + earlier


def backward(
    lay: Layout,
    row: Tensor,  # [K, P]
    tape: Tape,
    d_outputs: Tensor,  # [K, T, B, H]
    d_row: Tensor,  # [K, P]: the gradient is written here
    d_states: Sequence[Tensor] | None = None,  # gradients of the last states, as `last_states` gives them
    d_above: Mapping[int, Tensor] | None = None,  # of new states, from the layer above, each [K, T, B, H]
    need_x: bool = True,
    engine: str = "auto",
    order: Together | None = None,
) -> Gradients:
    """Gradients of inputs and initial states; those of the weights are written to `d_row`."""
    plan = lay.plan
    members, steps, batch, _ = tape.slots.shape
    above = frozenset(d_above or ())
    order = order or Together(members)
    where = Buffers(lay, tape, d_outputs, d_above, backward_kernels(plan, above).written, order)
    where.new = [order.zeros(tape.x, batch, lay.hidden) for _ in tape.states]
    where.old = [order.zeros(tape.x, batch, lay.hidden) for _ in tape.states]
    for target, given in zip(where.new, d_states or (), strict=False):
        order.copy(target, given)
    runner = _runner(engine, where, above)
    if isinstance(runner, native.Runner):
        runner.backward(d_row, need_x)
    else:
        _backward(runner, where, above, d_row, need_x)
        _bias_gradients(where, above, d_row)
    vector_gradients(where, above, d_row)
    order.last(lambda: backprop(lay, row, d_row))
    d_below = {
        node.name: where.whole(Ref("dbelow", i))
        for i, node in enumerate(plan.cell.nodes)
        if isinstance(node, Input) and node.kind == "below" and node.name in tape.below
    }
    if tape.symbols is not None:
        table = where.outer.whole(Ref("dx"))[:, 0]  # [K, V, D]
        return Gradients(table if need_x else None, tuple(where.old), d_below)
    if not tape.past:
        return Gradients(where.whole(Ref("dx")) if need_x else None, tuple(where.old), d_below)
    d_inputs = order.zeros(tape.x, *tape.inputs.shape[1:])
    delays = {int(n.name) for n in plan.cell.nodes if isinstance(n, Input) and n.kind == "past"}
    parts = [(tape.past, where.whole(Ref("dx")))]
    parts += [(tape.past - delay, where.whole(Ref("dpast", delay))) for delay in sorted(delays)]
    parts += [(steps, d_states[-1])] if d_states else []

    def add(members: slice) -> None:
        for first, part in parts:
            some(d_inputs, members)[:, first : first + part.shape[1]] += some(part, members)

    order.work(add)
    return Gradients(d_inputs[:, tape.past :], (*where.old, d_inputs[:, : tape.past]), d_below)


def _forward(runner: eager.Runner, where: Buffers) -> None:
    """Computes values that depend only on x for all steps at once, then the loop."""
    lay, plan, hidden, outer = where.lay, where.lay.plan, where.lay.hidden, where.outer
    _fill_biases(where)
    for k, stage in enumerate(plan.outer):
        for p in stage.products:
            target = outer.slots(p.first, p.count).flatten(1, 2)  # [K, T*B, count*H]
            own = bias(lay, where.row)[:, p.first * hidden : (p.first + p.count) * hidden]
            brings = p in plan.initialising  # it adds the biases of its slots
            runner.multiply(
                _flat(outer, p.source),
                _matrix(where, p),
                target,
                add=not brings,
                bias=own if brings else None,
            )
        runner.forward_outer(k)
    symbols = where.tape.symbols
    if symbols is not None:
        for run in copied(plan).slots:
            where.slots(*run).copy_(outer.slots(*run)[:, 0, symbols])
    runner.forward_loop()


def _backward(
    runner: eager.Runner, where: Buffers, above: frozenset[int], d_row: Tensor, need_x: bool
) -> None:
    """The loop backward, then the gradients of values that depend only on x, and of all matrices."""
    lay, plan, outer = where.lay, where.lay.plan, where.outer
    runner.backward_loop()
    symbols = where.tape.symbols
    if symbols is not None:
        left = summed(plan, above)
        pairs = [(outer.d_slots(*run), where.d_slots(*run)) for run in left.slots]
        pairs += [(outer.whole(ref), where.whole(ref)) for ref in left.others]
        for target, steps in pairs:
            target[:, 0].index_add_(1, symbols.flatten(), steps.flatten(1, 2))
    for k in reversed(range(len(plan.outer))):
        runner.backward_outer(k)
        for p in reversed(plan.outer[k].products):
            ref = kernels.gradient(plan, p.source)
            if ref is not None and (ref.kind != "dx" or need_x):
                d_slots = outer.d_slots(p.first, p.count).flatten(1, 2)
                target = outer.whole(ref).flatten(1, 2)
                add = runner.code.adds[plan.index[p]]
                runner.multiply(d_slots, _matrix(where, p), target, turn=True, add=add)
    # by slots and their location: the products that fill them
    sums: dict[tuple[Run, Buffers], list[tuple[Tensor, Tensor]]] = {}
    for k, p in enumerate(plan.products):
        here = outer if plan.is_outer[p.source] else where
        pair = (_flat(here, p.source), matrix(lay, d_row, k))
        sums.setdefault(((p.first, p.count), here), []).append(pair)
    for (slots, here), pairs in sums.items():
        runner.gradients(pairs, here.d_slots(*slots).flatten(1, 2))


def _matrix(where: Buffers, p: Product) -> Tensor:
    return matrix(where.lay, where.row, where.lay.plan.index[p])


def _fill_biases(where: Buffers) -> None:
    """Initialises the gathering slots without a product to their biases."""
    lay, hidden = where.lay, where.lay.hidden
    outer = filled(lay.plan)
    for slot in lay.plan.uninitialised:
        here = where.outer if slot in outer else where
        here.slots(slot, 1).copy_(bias(lay, where.row)[:, None, None, slot * hidden : (slot + 1) * hidden])


def _flat(where: Buffers, source: int) -> Tensor:
    """The value of a node for all steps, [K, T*B, width]."""
    value = where.whole(kernels.location(where.lay.plan, source))
    width = value.shape[-1] if source in where.lay.plan.cell.wide else where.lay.hidden
    return value.expand(where.members, where.steps_count, where.batch, width).flatten(1, 2)


def _bias_gradients(where: Buffers, above: frozenset[int], d_row: Tensor) -> None:
    """The gradients of biases, each a sum over every step and sequence, or over the rows of a table."""
    lay, hidden = where.lay, where.lay.hidden
    for here, runs in zip((where.outer, where), parted(lay.plan, apart(where, above)), strict=True):
        for first, count in runs:
            target = bias(lay, d_row)[:, first * hidden : (first + count) * hidden]
            torch.sum(here.d_slots(first, count), (1, 2), out=target)
