"""What the bench gives out: rows of measurements, totals of mixed populations, parts of a step; and the
conditions."""

import os
import platform
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from cellsearch.analysis.bench import limits
from cellsearch.analysis.bench.work import Sizes, Work

CALLS = "limit: the bare matrix products"
BY_SYMBOL = "limit: the same, of inputs once a symbol"
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
class Total:
    """All groups of a mix one after another, by one contestant."""

    what: str
    cell: str
    space: str
    device: str
    threads: int
    settings: int
    groups: int
    T: int
    B: int
    median_s: float  # one window of every group
    spread_s: float
    members_per_s: float
    ratio: float


@dataclass(frozen=True)
class Part:
    """Where a share of this program's step goes. The parts of a step add up to it."""

    part: str
    cell: str
    device: str
    threads: int
    K: int
    T: int
    B: int
    H: int
    layers: int
    engine: str
    seconds: float
    share: float


@dataclass(frozen=True)
class Report:
    """What `cellsearch bench --json` prints."""

    conditions: dict[str, Any]
    rows: list[Row]
    totals: list[Total] = field(default_factory=list)  # of --mix
    parts: list[Part] = field(default_factory=list)  # of --profile

    def as_json(self) -> dict[str, Any]:
        """As plain values; totals and parts only where there are some."""
        found = asdict(self)
        return {key: value for key, value in found.items() if value or key in ("conditions", "rows")}


def middle(seconds: Sequence[float]) -> tuple[float, float]:
    """The median, and the distance between the quartiles."""
    quartiles = statistics.quantiles(seconds, n=4) if len(seconds) > 1 else [seconds[0]] * 3
    return statistics.median(seconds), quartiles[2] - quartiles[0]


def _rows(
    work: Work, threads: int, times: Mapping[str, Sequence[float]], prepared: Mapping[str, float]
) -> Iterator[Row]:
    """The rows of one cell and size from the seconds of every round; this program comes first."""
    sizes = work.sizes
    ours = statistics.median(next(iter(times.values())))
    for what, seconds in times.items():
        median, spread = middle(seconds)
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
            spread_s=spread,
            members_per_s=sizes.population / median,
            ratio=median / ours,
            gflop_per_s=limits.operations(work) / median / 1e9,
            prepare_s=prepared.get(what, 0.0),
        )


def of_work(
    work: Work,
    threads: int,
    measured: Sequence[Mapping[str, float]],  # everyone's seconds in each round, this program first
    prepared: Mapping[str, float],
    speed: float,  # of a copy, in bytes a second
) -> list[Row]:
    """The rows of one work, and the limit of the bytes."""
    times = {what: [seconds[what] for seconds in measured] for what in measured[0]}
    times[BYTES] = [limits.traffic(work) / speed]
    return list(_rows(work, threads, times, prepared))


def conditions(device: str, threads: int, rounds: int, sizes: Sizes, agreement: float) -> dict[str, Any]:
    """What the numbers depend on; the speed of a copy is measured now."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "device": torch.cuda.get_device_name() if device != "cpu" else _processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "dtype": "float32",
        "vocabulary": sizes.vocabulary,
        "rounds": rounds,
        "work": "forward, loss of every position, backward, clipping, SGD; everyone in turn in one process",
        "agreement": agreement,
        "copy_bytes_per_s": round(limits.copy_speed(device)),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), platform.machine())
