"""One layer of a population: forward through time, and backward.

Everything that does not depend on a state is computed for all T steps at once; the loop holds what is left,
and an engine runs it: `eager` in torch calls, `native` in C. All sequences are [K, T, B, ·], so that one step
is a strided view of all members, and the gradient of a matrix is one batched product after the loop.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cellsearch.compiler import eager, kernels
from cellsearch.compiler.backward import backward_kernels
from cellsearch.compiler.kernels import Ref
from cellsearch.compiler.native import loop, matrices, toolchain
from cellsearch.compiler.parameters import Layout, bias, matrix, vector
from cellsearch.compiler.places import Places, Tape
from cellsearch.compiler.plan import Plan, Product, is_vector
from cellsearch.compiler.structures import effective, pull_back
from cellsearch.dsl.nodes import Affine, Input
from cellsearch.dsl.weights import unit_periods
from cellsearch.errors import RunError

ENGINES = ("auto", "eager", "native")


@dataclass(frozen=True)
class Gradients:
    """What the backward pass gives."""

    x: Tensor | None  # [K, T, B, D]; None where it was not asked for
    states: tuple[Tensor, ...]  # of the initial states, in their order and shapes
    below: Mapping[str, Tensor]  # of the new states of the layer below, each [K, T, B, H]


def choose_engine(wanted: str, like: Tensor) -> str:
    """The engine for tensors like this one: `auto` is `native` on a CPU with a C compiler, else `eager`.

    Raises RunError where the wanted one cannot run.
    """
    if wanted not in ENGINES:
        raise RunError(f"unknown engine {wanted!r}; there are {', '.join(ENGINES)}")
    able = (
        like.device.type == "cpu"
        and like.dtype in (torch.float32, torch.float64)
        and toolchain.compiler() is not None
    )
    if wanted == "native" and not able:
        raise RunError(
            "the engine 'native' needs a C compiler and float32 or float64 on the CPU; choose 'eager'"
        )
    return "native" if able and wanted != "eager" else "eager"


def ticks(plan: Plan, hidden: int, steps: int, start: Tensor | int, like: Tensor) -> Tensor | None:
    """The clock's 0/1 values [1, T, 1 or B, H]; `start` is the step number of the first step, one or [B] of
    them."""
    if not plan.cell.clock:
        return None
    periods = torch.tensor(unit_periods(plan.cell.clock, hidden), device=like.device)
    first = torch.as_tensor(start, device=like.device).reshape(1, -1, 1)
    t = torch.arange(steps, device=like.device)[:, None, None] + first  # [T, 1 or B, 1]
    return (t % periods == 0).to(like.dtype)[None]


def forward(
    lay: Layout,
    row: Tensor,  # [K, P]
    x: Tensor,  # [K, T, B, D]
    states: Sequence[Tensor],  # as `last_states` gives them
    below: Mapping[str, Tensor] | None = None,
    start: Tensor | int = 0,
    engine: str = "auto",
) -> tuple[Tensor, Tape]:
    """Outputs [K, T, B, H] and the tape, which holds the states."""
    plan, hidden = lay.plan, lay.hidden
    members, steps, batch, _ = x.shape
    slots = x.new_empty(members, steps, batch, plan.slots * hidden)
    count = len(plan.cell.states)
    sequences = tuple(x.new_empty(members, steps + 1, batch, hidden) for _ in range(count))
    for sequence, first in zip(sequences, states[:count], strict=True):
        sequence[:, 0] = first
    inputs = torch.cat([states[count], x], 1) if plan.cell.past else x
    tick = ticks(plan, hidden, steps, start, x)
    tape = Tape(effective(lay, row), inputs, plan.cell.past, sequences, slots, below or {}, tick)
    where = Places(lay, tape)
    native = loop.Runner(where, frozenset()) if choose_engine(engine, x) == "native" else None
    products = matrices if native else eager
    _fill_biases(where)
    for k, (stage, group) in enumerate(zip(plan.outer, kernels.forward(plan)[0], strict=True)):
        for p in stage.products:
            target = where.slots(p.first, p.count).flatten(1, 2)  # [K, T*B, count*H]
            own = bias(lay, where.row)[:, p.first * hidden : (p.first + p.count) * hidden]
            brings = p in plan.beginners  # it brings the biases of its slots along
            products.multiply(
                _flat(where, p.source),
                _matrix(where, p),
                target,
                add=not brings,
                bias=own if brings else None,
            )
        if native:
            native.forward_outer(k)
        else:
            eager.outer_kernels(where, group)
    if native:
        native.forward_loop()
    else:
        eager.forward_loop(where)
    output = where.whole(kernels.location(plan, plan.cell.output))
    return output.expand(members, steps, batch, hidden), tape


def last_states(tape: Tape) -> list[Tensor]:
    """The states after the window: those of the lowered cell, each [K, B, H], and where the cell looks back
    at its input the last inputs, [K, past, B, D]."""
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
) -> Gradients:
    """Gradients of inputs and initial states; those of the weights are written to `d_row`."""
    plan = lay.plan
    members, steps, batch, _ = tape.x.shape
    above = frozenset(d_above or ())
    code = backward_kernels(plan, above)
    where = Places(lay, tape, d_outputs, d_above)
    where.new = [tape.x.new_zeros(members, batch, lay.hidden) for _ in tape.states]
    where.old = [torch.zeros_like(g) for g in where.new]
    for target, given in zip(where.new, d_states or (), strict=False):
        target.copy_(given)
    native = loop.Runner(where, above) if choose_engine(engine, tape.x) == "native" else None
    products = matrices if native else eager
    if native:
        native.backward_loop()
    else:
        eager.backward_loop(where, code)
    for k in reversed(range(len(plan.outer))):
        if native:
            native.backward_outer(k)
        else:
            eager.outer_kernels(where, code.outer[k])
        for p in reversed(plan.outer[k].products):
            ref = kernels.gradient(plan, p.source)
            if ref is not None and (ref.kind != "dx" or need_x):
                d_slots = where.d_slots(p.first, p.count).flatten(1, 2)
                target = where.whole(ref).flatten(1, 2)
                products.multiply(d_slots, _matrix(where, p), target, turn=True, add=code.adds[plan.index[p]])
    sums: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = {}  # by slots: what was multiplied to them
    for k, p in enumerate(plan.products):
        pair = (_flat(where, p.source), matrix(lay, d_row, k))
        sums.setdefault((p.first, p.count), []).append(pair)
    for slots, pairs in sums.items():
        products.gradients(pairs, where.d_slots(*slots).flatten(1, 2))
    _vector_gradients(where, d_row)
    pull_back(lay, row, d_row)
    d_below = {
        node.name: where.whole(Ref("dbelow", i))
        for i, node in enumerate(plan.cell.nodes)
        if isinstance(node, Input) and node.kind == "below" and node.name in tape.below
    }
    if not tape.past:
        return Gradients(where.whole(Ref("dx")) if need_x else None, tuple(where.old), d_below)
    d_inputs = torch.zeros_like(tape.inputs)
    d_inputs[:, tape.past :] += where.whole(Ref("dx"))
    delays = {int(n.name) for n in plan.cell.nodes if isinstance(n, Input) and n.kind == "past"}
    for delay in sorted(delays):
        first = tape.past - delay
        d_inputs[:, first : first + steps] += where.whole(Ref("dpast", delay))
    if d_states:
        d_inputs[:, -tape.past :] += d_states[-1]
    return Gradients(d_inputs[:, tape.past :], (*where.old, d_inputs[:, : tape.past]), d_below)


def _matrix(where: Places, p: Product) -> Tensor:
    return matrix(where.lay, where.row, where.lay.plan.index[p])


def _fill_biases(where: Places) -> None:
    """Gathering slots start at their biases: those that no product begins."""
    lay, hidden = where.lay, where.lay.hidden
    begun = {slot for p in lay.plan.beginners for slot in range(p.first, p.first + p.count)}
    for slot in sorted(set(range(len(lay.plan.affines))) - begun):
        where.slots(slot, 1).copy_(bias(lay, where.row)[:, None, None, slot * hidden : (slot + 1) * hidden])


def _flat(where: Places, source: int) -> Tensor:
    """The value of a node for all steps, [K, T*B, width]."""
    value = where.whole(kernels.location(where.lay.plan, source))
    width = value.shape[-1] if source in where.lay.plan.cell.wide else where.lay.hidden
    return value.expand(where.members, where.steps_count, where.batch, width).flatten(1, 2)


def _vector_gradients(where: Places, d_row: Tensor) -> None:
    """The gradients of all weights that are no matrices, each a sum over every step and sequence."""
    lay, plan = where.lay, where.lay.plan
    if plan.affines:
        torch.sum(where.d_slots(0, len(plan.affines)), (1, 2), out=bias(lay, d_row))
    for k, w in enumerate(lay.weights):
        if w.kind not in ("peephole", "scalar") and not is_vector(plan.cell.nodes[w.node]):
            continue
        node = plan.cell.nodes[w.node]
        assert isinstance(node, Affine)
        if w.kind == "peephole":
            value = where.whole(kernels.location(plan, node.connections[w.term].source))
            gradient = (where.d_slots(plan.slot_of(w.node), 1) * value).sum((1, 2))
        else:
            gradient = where.whole(Ref("dvector", w.node)).sum((1, 2))
            gradient = gradient.sum(-1, keepdim=True) if w.kind == "scalar" else gradient
        vector(lay, d_row, k).copy_(gradient)
