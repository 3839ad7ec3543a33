"""The speed of training on this machine: seconds per epoch, measured on a few windows.

On a CPU it is CPU time, so that other programs on the machine have little effect. On a GPU it is wall clock
time between two synchronisations. The first windows are not timed: they compile kernels and record steps.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from cellsearch.errors import RunError, printable
from cellsearch.tasks.data import Dataset, Part
from cellsearch.train import model
from cellsearch.train.evaluate import on_device
from cellsearch.train.grouping.cohort import Turns, lane, together
from cellsearch.train.model import Shape
from cellsearch.train.resources.shortage import ran_out
from cellsearch.train.settings import Training
from cellsearch.train.steps import Data, Steps

Clock = Callable[[], float]
Some = tuple[Shape, int]  # a population: its shape and number of members

WINDOWS = 40  # maximum windows per part; they are repeated
SECONDS = 0.4  # minimum seconds of timed training
FEWEST = 3  # minimum number of timed rounds
ROUND = 20  # windows between two synchronisations of a GPU


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds per epoch of populations that train side by side."""

    train: float
    valid: float


def pace(populations: Sequence[Some], dataset: Dataset, training: Training, device: str) -> Pace:
    """Measures an epoch of populations side by side. Raises RunError if memory runs out."""
    try:
        return _pace(populations, dataset, training, device)
    except (MemoryError, RuntimeError) as error:
        if not ran_out(error):
            raise
        what = ", ".join(f"{members} of {s.layers}x{s.hidden:,}" for s, members in populations)
        said = printable(str(error).partition("\n")[0], 300)
        raise RunError(f"too little memory to measure models ({what}): {said}") from None


def _pace(populations: Sequence[Some], dataset: Dataset, training: Training, device: str) -> Pace:
    parts = {"train": dataset.train, "valid": dataset.valid}
    short = replace(
        dataset, train=_start(dataset.train, training.steps), valid=_start(dataset.valid, training.steps)
    )
    data = on_device(short, training.steps, device)
    lanes = [lane(device) for _ in populations]
    steps = []
    for mine, (shape, members) in zip(lanes, populations, strict=True):
        with mine.here():
            steps.append(_steps(shape, members, data, training, device))
    clock, found = clock_of(device), {}
    turns = len(steps) * (1 if device == "cpu" else ROUND)
    for name, seconds in (("train", SECONDS), ("valid", SECONDS / 4)):
        walk = together([_endless(one, name) for one in steps], lanes, in_turns=True)
        window = len(steps) * per_turn(walk, clock, turns, seconds)
        length = parts[name].inputs.shape[1]
        found[name] = window * length / min(length, training.steps)
    return Pace(**found)


def per_turn(walk: Iterator[object], clock: Clock, turns: int, seconds: float) -> float:
    """Seconds per turn of an endless generator: the median over rounds of `turns` turns, after an untimed
    round. Times at least `FEWEST` rounds and `seconds`."""
    _round(walk, turns)
    took: list[float] = []
    began = clock()
    while len(took) < FEWEST or sum(took) < seconds:
        _round(walk, turns)
        now = clock()
        took.append(now - began)
        began = now
    return statistics.median(took) / turns


def clock_of(device: str) -> Clock:
    """CPU time of this process; for a GPU the wall clock after synchronisation."""
    if torch.device(device).type != "cuda":
        return time.process_time

    def read() -> float:
        torch.cuda.synchronize(device)
        return time.perf_counter()

    return read


def _steps(shape: Shape, members: int, data: Data, training: Training, device: str) -> Steps:
    """Members with a moderate setting."""
    rows = model.first_rows(shape, [1.0] * members, range(members), getattr(torch, training.dtype)).to(device)
    return Steps(shape, data, rows, torch.ones_like(rows[:, 0]), mean=training.gradient == "mean")


def _endless(steps: Steps, part: str) -> Turns[None]:
    rates = np.full(len(steps.rows), 0.1)
    while True:
        yield from steps.train(rates) if part == "train" else steps.score()


def _round(walk: Iterator[object], turns: int) -> None:
    for _ in range(turns):
        next(walk)


def _start(part: Part, steps: int) -> Part:
    """The first windows of every stream, all of the same length."""
    length = max(1, min(WINDOWS, part.inputs.shape[1] // steps)) * steps
    return Part(part.inputs[:, :length], part.targets[:, :length])
