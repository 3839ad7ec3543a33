"""Everyone in turn, again and again, so that a machine whose speed drifts is the same for all; then the
rows."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cellsearch.analysis.bench import limits
from cellsearch.analysis.bench.contestants import Contestant, contestants
from cellsearch.analysis.bench.work import Sizes, Work, make
from cellsearch.compiler.layer import choose_engine
from cellsearch.dsl.graph import Cell
from cellsearch.errors import RunError

#: Losses of the first and the second step must agree to this share: float32 over T steps and H terms.
AGREEMENT = 1e-4
CALLS = "limit: the bare matrix products"
BYTES = "limit: the bytes moved at the speed of a copy"


@dataclass(frozen=True)
class Row:
    """A line of the table; `ratio` is this program's members a second over those of the row."""

    what: str
    cell: str
    device: str
    threads: int
    K: int
    T: int
    B: int
    H: int
    layers: int
    median_s: float
    spread_s: float  # between the quartiles
    members_per_s: float
    ratio: float
    gflop_per_s: float  # multiplications and additions of the matrix products alone, over the whole time
    prepare_s: float = 0.0  # to get ready: building modules, compiling


@dataclass(frozen=True)
class Report:
    """What `cellsearch bench --json` prints."""

    conditions: dict[str, Any]
    rows: list[Row]

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


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
    say: Callable[[str], None] = lambda _: None,
) -> Report:
    """Measure every combination of cell, width and population; other sizes as in `sizes`."""
    if device != "cpu" and not torch.cuda.is_available():
        raise RunError(f"device {device!r} is not available here; use --device cpu")
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        speed = limits.copy_speed(device)
        rows: list[Row] = []
        for cell in cells:
            for hidden in hiddens:
                for population in populations:
                    at = Sizes(population, sizes.steps, sizes.batch, hidden, sizes.layers, sizes.vocabulary)
                    rows += _table(cell, at, device, threads, rounds, compiled, speed, say)
        return Report(_conditions(device, threads, rounds, sizes, speed), rows)
    finally:
        torch.set_num_threads(before)


def _table(
    cell: Cell,
    sizes: Sizes,
    device: str,
    threads: int,
    rounds: int,
    compiled: bool,
    speed: float,
    say: Callable[[str], None],
) -> list[Row]:
    work = make(cell, sizes, device)
    best = choose_engine("auto", work.rows)
    engines = [best] + [e for e in ("eager",) if e != best]
    steps: dict[str, Callable[[], object]] = {}
    prepared: dict[str, float] = {}
    expected: list[Tensor] | None = None
    for contestant in contestants(cell.name, engines, compiled):
        say(f"{cell.name}, H={sizes.hidden}, K={sizes.population}: preparing {contestant.what}")
        begun = time.perf_counter()
        step = contestant.ready(work)
        losses = [step(), step()]
        prepared[contestant.what] = time.perf_counter() - begun
        expected = losses if expected is None else expected
        _agree(contestant, expected, losses)
        steps[contestant.what] = step
    steps[CALLS] = limits.products(work)
    steps[CALLS]()
    say(f"{cell.name}, H={sizes.hidden}, K={sizes.population}: measuring")
    times: dict[str, list[float]] = {what: [] for what in steps}
    for _ in range(rounds):
        for what, call in steps.items():
            times[what].append(_timed(call, device))
    times[BYTES] = [limits.traffic(work) / speed]
    ours = statistics.median(times[next(iter(steps))])
    return list(_rows(work, threads, times, prepared, ours))


def _rows(
    work: Work, threads: int, times: dict[str, list[float]], prepared: dict[str, float], ours: float
) -> Iterator[Row]:
    sizes = work.sizes
    for what, seconds in times.items():
        median = statistics.median(seconds)
        quartiles = statistics.quantiles(seconds, n=4) if len(seconds) > 1 else [median] * 3
        yield Row(
            what=what,
            cell=work.shape.cell.name,
            device=work.device,
            threads=threads,
            K=sizes.population,
            T=sizes.steps,
            B=sizes.batch,
            H=sizes.hidden,
            layers=sizes.layers,
            median_s=median,
            spread_s=quartiles[2] - quartiles[0],
            members_per_s=sizes.population / median,
            ratio=median / ours,
            gflop_per_s=limits.operations(work) / median / 1e9,
            prepare_s=prepared.get(what, 0.0),
        )


def _agree(contestant: Contestant, expected: Sequence[Tensor], losses: Sequence[Tensor]) -> None:
    """RunError unless the losses of both steps are the same: else it would be other work."""
    for k, (ours, theirs) in enumerate(zip(expected, losses, strict=True), 1):
        apart = float(((theirs - ours) / ours).abs().max())
        if not apart < AGREEMENT:
            raise RunError(f"{contestant.what} does other work: loss of step {k} differs by {apart:.1e}")


def _timed(call: Callable[[], object], device: str) -> float:
    if device != "cpu":
        torch.cuda.synchronize()
    begun = time.perf_counter()
    call()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - begun


def _conditions(device: str, threads: int, rounds: int, sizes: Sizes, speed: float) -> dict[str, Any]:
    """What the numbers depend on."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "device": torch.cuda.get_device_name() if device != "cpu" else _processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "dtype": "float32",
        "vocabulary": sizes.vocabulary,
        "rounds": rounds,
        "work": "forward, loss of every position, backward, clipping, SGD; everyone in turn in one process",
        "agreement": AGREEMENT,
        "copy_bytes_per_s": round(speed),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), platform.machine())
