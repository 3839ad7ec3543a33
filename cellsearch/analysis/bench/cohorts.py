"""Throughput of a device in members per second: one population of one cell, against a cohort of many small
populations of different cells.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from cellsearch.analysis.bench.work import NORM, RATE, Sizes
from cellsearch.dsl.graph import Cell
from cellsearch.train import model
from cellsearch.train.grouping.cohort import Lane, finish, lane, together
from cellsearch.train.steps import Data, Steps
from cellsearch.train.windows import cut


@dataclass(frozen=True)
class Pace:
    """A measured cohort and its times."""

    what: str
    device: str
    cells: int
    members: int  # of each cell
    T: int
    B: int
    H: int
    windows: int
    prepare_s: float  # the first pass: kernels compiled, graphs recorded, one pass over the windows
    seconds: float  # the best of the passes after it
    members_per_s: float  # members times windows, per second


def pace(
    what: str,
    cells: Sequence[Cell],
    members: int,
    sizes: Sizes,
    device: str,
    windows: int = 20,
    passes: int = 3,
    engine: str = "auto",
) -> Pace:
    """Train `members` members of each cell together, over the same windows."""
    given = data(sizes, windows, device)
    lanes: list[Lane] = [lane(device) for _ in cells]
    made = []
    for cell, mine in zip(cells, lanes, strict=True):
        with mine.here():
            made.append(_steps(cell, members, sizes, given, device, engine))
    rates = np.full(members, RATE)
    seconds = []
    for _ in range(1 + passes):
        begun = time.perf_counter()
        finish(together([steps.train(rates) for steps in made], lanes))  # type: ignore[arg-type]
        if device != "cpu":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begun)
    best = min(seconds[1:])
    return Pace(
        what, device, len(cells), members, sizes.steps, sizes.batch, sizes.hidden, windows, seconds[0], best,
        members_per_s=len(cells) * members * windows / best,
    )  # fmt: skip


def _steps(cell: Cell, members: int, sizes: Sizes, given: Data, device: str, engine: str) -> Steps:
    shape = model.Shape(cell, sizes.vocabulary, sizes.layers, sizes.hidden)
    rows = model.first_rows(shape, [1.0] * members, range(members), torch.float32).to(device)
    return Steps(shape, given, rows, torch.full((members,), NORM, device=device), engine=engine)


def data(sizes: Sizes, count: int, device: str) -> Data:
    """`count` windows of random symbols, both to train on and to score."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(sizes.vocabulary, (sizes.batch, sizes.steps * count + 1), generator=generator)
    part = cut(tokens[:, :-1].to(device), tokens[:, 1:].to(device), sizes.steps)
    return Data(part, part)


def learnable(sizes: Sizes, device: str) -> Data:
    """Streams in which each symbol predicts much of the next one: 30 windows to train on, 10 to score."""
    rng = np.random.default_rng(0)
    follows = rng.integers(sizes.vocabulary, size=(sizes.vocabulary, 3))
    length = sizes.steps * 40 + 1
    tokens = np.zeros((sizes.batch, length), dtype=np.int64)
    for t in range(1, length):
        tokens[:, t] = follows[tokens[:, t - 1], rng.choice(3, sizes.batch, p=[0.8, 0.15, 0.05])]
    there = torch.from_numpy(tokens).to(device)
    windows = cut(there[:, :-1], there[:, 1:], sizes.steps)
    return Data(windows[:-10], windows[-10:])
