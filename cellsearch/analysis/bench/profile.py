"""Profile of this program's step: rows of this program and of the limits, and the parts of its step, which
add up to it.

Python's profiler measures the functions of a step, and timers in the C code measure the parts of a layer; the
total is measured on steps without instrumentation.
"""

import cProfile
import pstats
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import Tensor

from cellsearch.analysis.bench.contestants import ours
from cellsearch.analysis.bench.measure import AGREEMENT, Say, prepare, using
from cellsearch.analysis.bench.rows import Part, Report, conditions, of_work
from cellsearch.analysis.bench.work import Sizes, Work, make
from cellsearch.compiler.engines.native import loop, one_by_one
from cellsearch.compiler.engines.native.source import PARTS
from cellsearch.compiler.run.layer import choose_engine
from cellsearch.compiler.run.stack import reads_below
from cellsearch.dsl.graph import Cell
from cellsearch.errors import RunError

REST = "rest: memory, calls"

#: Parts that are functions of Python: module and name.
FUNCTIONS = {
    "embedding": ("run/order.py", "lookup"),
    "output layer, both ways": ("train/output.py", "compute"),
    "gradients of peepholes and vectors": ("compiler/run/vectors.py", "sum_up"),
    "embedding, backward": ("run/order.py", "add_up"),
    "clipping and update": ("bench/contestants.py", "update"),
}
ORDER = (
    "embedding", *PARTS[:3], "output layer, both ways", *PARTS[3:], "gradients of peepholes and vectors",
    "embedding, backward", one_by_one.MOVES, "clipping and update", REST,
)  # fmt: skip


def profiled(
    cells: Sequence[Cell],
    hiddens: Sequence[int],
    populations: Sequence[int],
    sizes: Sizes,
    *,
    device: str = "cpu",
    threads: int = 1,
    rounds: int = 9,
    say: Say = lambda _: None,
) -> Report:
    """The parts of a step for every combination of cell, width and population. Raises RunError on a GPU,
    because host and device run asynchronously."""
    if device != "cpu":
        raise RunError("--profile measures on the CPU; use --device cpu")
    report = Report(conditions(device, threads, rounds, sizes, AGREEMENT), [])
    with using(device, threads):
        for cell in cells:
            for hidden in hiddens:
                for population in populations:
                    work = make(cell, replace(sizes, population=population, hidden=hidden), device)
                    _one(work, threads, rounds, report, say)
    return report


def _one(work: Work, threads: int, rounds: int, report: Report, say: Say) -> None:
    engine = choose_engine("auto", work.rows)
    ready = prepare(work, [ours(engine)], say)
    clocked = ours("clocked" if engine == "native" else engine).ready(work)
    clocked()
    _clocks(work, engine)
    measured: list[dict[str, float]] = []
    found: list[dict[str, float]] = []
    for _ in range(rounds):
        measured.append(ready.once())
        functions, clocks = _functions(clocked), _clocks(work, engine)
        found.append({name: functions.get(name, 0) + clocks.get(name, 0) for name in {*functions, *clocks}})
    first = len(report.rows)
    report.rows.extend(of_work(work, threads, measured, ready.prepared, ready.by_symbol, report.conditions))
    step = next(row.median_s for row in report.rows[first:] if row.trains)
    parts = {name: statistics.median(times[name] for times in found) for name in found[0]}
    parts[REST] = step - sum(parts.values())
    size = work.sizes
    for name in (
        name for name in ORDER if parts.get(name)
    ):  # without the embedding, if it is read as a table
        report.parts.append(
            Part(
                name, work.shape.cell.name, work.device, threads, size.population, size.steps, size.batch,
                size.hidden, size.layers, engine, parts[name], parts[name] / step,
            )
        )  # fmt: skip


def _functions(step: Callable[[], Tensor]) -> dict[str, float]:
    """The seconds of the functions of a step, including their callees."""
    profiler = cProfile.Profile(time.process_time)
    profiler.runcall(step)
    stats = pstats.Stats(profiler).stats  # type: ignore[attr-defined]
    found = dict.fromkeys(FUNCTIONS, 0.0)
    for (file, _, name), (_, _, _, seconds, _) in stats.items():
        for part, (module, function) in FUNCTIONS.items():
            if name == function and file.endswith(module):
                found[part] += seconds
    return found


def _clocks(work: Work, engine: str) -> dict[str, float]:
    """The seconds of the parts in C since the last call."""
    if engine != "native":
        return {}
    found = dict.fromkeys(PARTS, 0.0) | one_by_one.times()
    del found[one_by_one.LAYERS]  # replaced by its parts below
    layers = work.shape.stack.layers
    names = [s.name for s in layers[0].plan.cell.states]
    above = frozenset(names.index(name) for name in reads_below(work.shape.cell))
    for states in {frozenset(), above} if len(layers) > 1 else {frozenset()}:
        for name, seconds in loop.times(layers[0], states, "float32").items():
            found[name] += seconds
    return found
