"""Results of the bench: rows of measurements, totals of mixed populations, parts of a step; and the
conditions."""

import os
import platform
import statistics
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from cellsearch.analysis.bench import limits
from cellsearch.analysis.bench.cpu import peak
from cellsearch.analysis.bench.work import Sizes, Work
from cellsearch.train import model

CALLS = "bare products, as BLAS calls"
BY_SYMBOL = "bare products by symbol, as BLAS calls"
BYTES = "bytes moved, at the speed of a copy"
BARE = (CALLS, BY_SYMBOL, BYTES)  # that train nothing


@dataclass(frozen=True)
class Row:
    """A line of the table; `ratio` is this program's members per second divided by the row's."""

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
    gflop_per_s: float  # multiplications and additions of only the equations' products, over the whole time
    own_gflop: float  # of the products that the row computes: fewer by symbol
    peak_share: float | None  # their share of the peak of multiply-adds; None: unknown peak
    trains: bool  # no: bare products, bytes
    prepare_s: float = 0.0  # of preparation: building modules, compiling


@dataclass(frozen=True)
class Total:
    """All groups of a mix in sequence, by one contestant."""

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
    """A part of this program's step. The parts of a step add up to it."""

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
    """The output of `cellsearch bench --json`."""

    conditions: dict[str, Any]
    rows: list[Row]
    totals: list[Total] = field(default_factory=list)  # of --mix
    parts: list[Part] = field(default_factory=list)  # of --profile

    def as_json(self) -> dict[str, Any]:
        """The results as plain values; totals and parts only if there are some."""
        found = asdict(self)
        return {key: value for key, value in found.items() if value or key in ("conditions", "rows")}


def middle(seconds: Sequence[float]) -> tuple[float, float]:
    """The median, and the interquartile range."""
    quartiles = statistics.quantiles(seconds, n=4) if len(seconds) > 1 else [seconds[0]] * 3
    return statistics.median(seconds), quartiles[2] - quartiles[0]


def _rows(
    work: Work,
    threads: int,
    times: Mapping[str, Sequence[float]],
    prepared: Mapping[str, float],
    by_symbol: Collection[str],
    peak: float | None,
) -> Iterator[Row]:
    """The rows of one cell and size from the seconds of every round, this program first."""
    sizes = work.sizes
    table = model.by_symbol(work.shape, work.window.inputs.numel(), work.rows)
    ours = statistics.median(next(iter(times.values())))
    for what, seconds in times.items():
        median, spread = middle(seconds)
        own = 0.0 if what == BYTES else limits.operations(work, table and what in by_symbol) / 1e9
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
            own_gflop=own,
            peak_share=own / median / (peak * threads) if peak and own else None,
            trains=what not in BARE,
            prepare_s=prepared.get(what, 0.0),
        )


def of_work(
    work: Work,
    threads: int,
    measured: Sequence[Mapping[str, float]],  # seconds in each round, by contestant; ours first
    prepared: Mapping[str, float],
    by_symbol: Collection[str],  # contestants that multiply inputs once a symbol, if the work allows it
    about: Mapping[str, Any],  # the conditions
) -> list[Row]:
    """The rows of one work, and the bytes."""
    times = {what: [seconds[what] for seconds in measured if what in seconds] for what in measured[0]}
    times[BYTES] = [limits.traffic(work) / about["copy_bytes_per_s"]]
    peak = about.get("peak_gflop_per_s")
    return list(_rows(work, threads, times, prepared, {*by_symbol, BY_SYMBOL}, peak))


def conditions(device: str, threads: int, rounds: int, sizes: Sizes, agreement: float) -> dict[str, Any]:
    """The conditions of the numbers; on a CPU the peak and the BLAS are measured now, on any device a
    copy."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "device": torch.cuda.get_device_name() if device != "cpu" else peak.processor(),
        **(peak.machine() if device == "cpu" else {}),
        "cores": os.cpu_count(),
        "threads": threads,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "dtype": "float32",
        "vocabulary": sizes.vocabulary,
        "rounds": rounds,
        "clock": "CPU time of the process" if on_cpu_time(device, threads) else "time on the wall",
        "work": "forward, loss of every position, backward, clipping, SGD; everyone in turn in one process",
        "agreement": agreement,
        "copy_bytes_per_s": round(limits.copy_speed(device)),
    }


def on_cpu_time(device: str, threads: int) -> bool:
    """Whether CPU time is measured, which other processes hardly affect; with several threads it would not
    show the elapsed time."""
    return device == "cpu" and threads == 1
