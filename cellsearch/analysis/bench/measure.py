"""Measure all contestants alternately, repeatedly, so that drift of the machine affects all equally."""

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from cellsearch.analysis.bench import recorded
from cellsearch.analysis.bench.contestants import Contestant, contestants
from cellsearch.analysis.bench.rows import BY_SYMBOL, CALLS, Report, Row, conditions, of_work, on_cpu_time
from cellsearch.analysis.bench.work import Sizes, Work, make
from cellsearch.compiler.run.layer import choose_engine
from cellsearch.dsl.graph import Cell
from cellsearch.errors import RunError
from cellsearch.train import model

#: Losses of the first and the second step must agree to this share: float32 over T steps and H terms.
AGREEMENT = 1e-4

Say = Callable[[str], None]


@dataclass(frozen=True)
class Ready:
    """All contestants prepared for one work, this program first: their steps, and the time to prepare
    each."""

    work: Work
    steps: dict[str, Callable[[], object]]
    prepared: dict[str, float]
    by_symbol: frozenset[str] = frozenset()  # contestants that multiply inputs once a symbol

    def once(self, without: Collection[str] = ()) -> dict[str, float]:
        """The seconds of each contestant's step, alternately."""
        steps = {what: step for what, step in self.steps.items() if what not in without}
        return {what: _timed(step, self.work.device) for what, step in steps.items()}


def bench(
    cells: Sequence[Cell],
    hiddens: Sequence[int],
    populations: Sequence[int],
    sizes: Sizes,
    *,
    device: str = "cpu",
    threads: int = 1,
    rounds: int = 9,
    compiled: bool = False,
    with_jax: bool = False,
    say: Say = lambda _: None,
) -> Report:
    """Measure every combination of cell, width and population; other sizes as in `sizes`."""
    with using(device, threads):
        about = conditions(device, threads, rounds, sizes, AGREEMENT)
        found: list[Row] = []
        for cell in cells:
            for hidden in hiddens:
                for population in populations:
                    work = make(cell, replace(sizes, population=population, hidden=hidden), device)
                    engines = list(dict.fromkeys((choose_engine("auto", work.rows), "eager")))
                    people = contestants(cell.name, engines, compiled, with_jax and device == "cpu")
                    if device != "cpu":
                        people.insert(0, recorded.recorded(engines[0]))
                    found += table(work, people, threads, rounds, about, say)
        return Report(about, found)


@contextmanager
def using(device: str, threads: int) -> Iterator[None]:
    """Sets the number of threads of torch. Raises RunError if the device is missing."""
    if device != "cpu" and not torch.cuda.is_available():
        raise RunError(f"device {device!r} is not available here; use --device cpu")
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def table(
    work: Work, people: Sequence[Contestant], threads: int, rounds: int, about: Mapping[str, Any], say: Say
) -> list[Row]:
    """The rows of one work; `about` are the conditions."""
    ready = prepare(work, people, say)
    say(f"{_title(work)}: measuring")
    measured = [ready.once() for _ in range(rounds)]
    return of_work(work, threads, measured, ready.prepared, ready.by_symbol, about)


def prepare(work: Work, people: Sequence[Contestant], say: Say) -> Ready:
    """All contestants prepared, their losses compared, and the bare products last. Raises RunError if a loss
    differs."""
    ready = Ready(work, {}, {}, frozenset(c.what for c in people if c.by_symbol))
    expected: list[Tensor] | None = None
    for contestant in people:
        say(f"{_title(work)}: preparing {contestant.what}")
        clock = _clock(work.device)
        begun = clock()
        step = contestant.ready(work)
        losses = [step(), step()]
        ready.prepared[contestant.what] = clock() - begun
        expected = losses if expected is None else expected
        _agree(contestant, expected, losses)
        ready.steps[contestant.what] = step
    ready.steps[CALLS] = recorded.products(work)
    if model.by_symbol(work.shape, work.window.inputs.numel(), work.rows):
        ready.steps[BY_SYMBOL] = recorded.products(work, by_symbol=True)
    for bare in list(ready.steps.values())[len(people) :]:
        bare()
    return ready


def _title(work: Work) -> str:
    sizes = work.sizes
    return f"{work.shape.cell.name}, K={sizes.population}, H={sizes.hidden}, layers={sizes.layers}"


def _agree(contestant: Contestant, expected: Sequence[Tensor], losses: Sequence[Tensor]) -> None:
    """Raises RunError unless the losses of both steps are equal, because different losses mean different
    work."""
    for k, (ours, theirs) in enumerate(zip(expected, losses, strict=True), 1):
        apart = float(((theirs - ours) / ours).abs().max())
        if not apart < AGREEMENT:
            raise RunError(f"{contestant.what} does other work: loss of step {k} differs by {apart:.1e}")


def _timed(call: Callable[[], object], device: str) -> float:
    if device != "cpu":
        torch.cuda.synchronize()
    clock = _clock(device)
    begun = clock()
    call()
    if device != "cpu":
        torch.cuda.synchronize()
    return clock() - begun


def _clock(device: str) -> Callable[[], float]:
    """The clock of this process, including started compilers; see `on_cpu_time`."""
    return cpu_seconds if on_cpu_time(device, torch.get_num_threads()) else time.perf_counter


def cpu_seconds() -> float:
    """The CPU time of this process and of its finished child processes."""
    spent = os.times()
    return time.process_time() + spent.children_user + spent.children_system
