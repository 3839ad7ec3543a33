"""The memory growth of a process that trains a population, one process per case: `python -m
cellsearch.analysis.bench.footprint CASE`.

Takes a `Case` as JSON, prints bytes. Only on Linux, where a process can reset its peak.
"""

import gc
import json
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from cellsearch.dsl import zoo
from cellsearch.train import model, windows
from cellsearch.train.population import Member, Population
from cellsearch.train.settings import Setting, Training
from cellsearch.train.steps import Data


@dataclass(frozen=True, slots=True)
class Case:
    """A population: one epoch of two windows in either part."""

    cell: str
    vocabulary: int
    layers: int
    H: int
    K: int
    T: int = 35


def measured(case: Case, timeout: float = 240) -> "subprocess.CompletedProcess[str]":
    """A process that has measured a case."""
    command = [sys.executable, "-m", __spec__.name, json.dumps(asdict(case))]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


def growth(case: Case) -> int:
    """The peak growth of this process, in bytes."""
    torch.set_num_threads(1)
    _train(replace(case, H=4, K=2, T=35))  # libraries load and kernels compile at the first use
    torch.randn(300, 300) @ torch.randn(300, 300)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before, files = _status("VmRSS", "RssFile")
    _train(case)
    highest, more = _status("VmHWM", "RssFile")
    return highest - before - (more - files)


def _status(*names: str) -> list[int]:
    lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return [int(lines[name].split()[0]) * 1024 for name in names]


def _train(case: Case) -> None:
    generator = torch.Generator().manual_seed(1)
    symbols = torch.randint(case.vocabulary, (20, 2 * case.T), generator=generator)
    data = Data(windows.cut(symbols, symbols, case.T), windows.cut(symbols, symbols, case.T))
    shape = model.Shape(zoo.load(case.cell), case.vocabulary, case.layers, case.H)
    members = [Member(i, Setting(1.0, 0.1, 1.0, case.layers, 1), i) for i in range(case.K)]
    Population(shape, members, Training(max_epochs=1, steps=case.T)).advance(data)


if __name__ == "__main__":
    print(growth(Case(**json.loads(sys.argv[1]))))
