"""Reference costs of a step: its bare matrix products as BLAS calls, and the bytes it moves. Neither is a
limit of the machine: a BLAS may be slow, and cached data is not moved. See `peak`.
"""

import time
from collections.abc import Callable

import torch
from torch import Tensor

from cellsearch.analysis.bench.work import Work

#: Copies of this many bytes measure the speed of memory rather than of a cache.
COPIED = 256 << 20


def products(work: Work, by_symbol: bool = False) -> Callable[[], None]:
    """Only the matrix products of one training step, as batched calls on ready tensors.

    Per layer and product of the plan: forward, gradient of its source, gradient of its matrix; products of
    the loop step by step, except matrix gradients, which are one product over all steps. Then the three of
    the output. With `by_symbol` products of the lowest layer that depend only on its inputs have a row per
    symbol, not per step.
    """
    sizes, device = work.sizes, work.device
    members, steps, batch, hidden = sizes.population, sizes.steps, sizes.batch, sizes.hidden
    calls: list[tuple[int, Tensor, Tensor, Tensor]] = []

    def add(times: int, rows: int, inner: int, n: int) -> None:
        a = torch.randn(members, rows, inner, device=device)
        b = torch.randn(members, inner, n, device=device)
        calls.append((times, a, b, torch.empty(members, rows, n, device=device)))

    for k, lay in enumerate(work.shape.stack.layers):
        plan = lay.plan
        inside = {p for stage in plan.inner for p in stage.products}
        outside = sizes.vocabulary if by_symbol and k == 0 else steps * batch
        for p in plan.products:
            n = p.count * hidden
            times, rows = (steps, batch) if p in inside else (1, outside)
            add(times, rows, hidden, n)
            add(times, rows, n, hidden)
            add(1, hidden, times * rows, n)
    rows = steps * batch
    add(1, rows, hidden, sizes.vocabulary)
    add(1, rows, sizes.vocabulary, hidden)
    add(1, hidden, rows, sizes.vocabulary)

    def step() -> None:
        for times, a, b, out in calls:
            for _ in range(times):
                torch.bmm(a, b, out=out)

    return step


def operations(work: Work, by_symbol: bool = False) -> int:
    """Multiplications and additions in these products: as in the equations, with a row for each step of each
    sequence; or `by_symbol`, as above."""
    sizes = work.sizes
    rows = sizes.steps * sizes.batch
    total = rows * sizes.hidden * sizes.vocabulary
    for k, lay in enumerate(work.shape.stack.layers):
        outside = {p for stage in lay.plan.outer for p in stage.products}
        for p in lay.plan.products:
            times = sizes.vocabulary if by_symbol and k == 0 and p in outside else rows
            total += times * p.count * sizes.hidden * sizes.hidden
    return 2 * 3 * sizes.population * total


def traffic(work: Work) -> int:
    """Bytes that a step must move if no data stays in a cache between its phases: the tape and its gradient
    are written once and read twice, states and inputs likewise, weights are read twice, their gradient is
    written and read, the weights are updated."""
    sizes = work.sizes
    values = 0
    for lay in work.shape.stack.layers:
        plan = lay.plan
        per_unit = 3 * plan.slots + 3 * len(plan.affines) + 3 * (len(plan.cell.states) + 2)
        values += per_unit * sizes.steps * sizes.batch * sizes.hidden
    values += 6 * sizes.steps * sizes.batch * sizes.vocabulary
    values += 6 * work.shape.size
    return 4 * sizes.population * values


def copy_speed(device: str, repeats: int = 5) -> float:
    """Bytes a second that a large copy moves, reading and writing counted; the best of some."""
    source = torch.empty(COPIED // 4, dtype=torch.float32, device=device).fill_(1.0)
    target = torch.empty_like(source)
    best = 0.0
    for _ in range(repeats):
        _wait(device)
        begun = time.perf_counter()
        target.copy_(source)
        _wait(device)
        best = max(best, 2 * COPIED / (time.perf_counter() - begun))
    return best


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()
