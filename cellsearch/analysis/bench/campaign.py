"""Throughput of a device in cells per hour through each stage of a space, and the time of the full search.

Each row is measured with a cohort of mutants on some windows; hours are for the counts of the paper. Symbols
are random, since time does not depend on them. The number of epochs per setting is assumed, and shown in
every row.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from cellsearch.analysis.bench.cohorts import data
from cellsearch.analysis.bench.work import Sizes
from cellsearch.dsl.graph import Cell
from cellsearch.study.space import Filter, Space, TaskStage
from cellsearch.study.space.model import FILTER
from cellsearch.train import model
from cellsearch.train.grouping.cohort import finish, lane, together
from cellsearch.train.model import Shape
from cellsearch.train.resources import cost, memory
from cellsearch.train.settings import Setting
from cellsearch.train.steps import Steps

#: Epochs that a setting trains. Filter: the mean of 400 mutants (results/findings/filter, at most 50 epochs);
#: tasks: an assumption.
EPOCHS = {FILTER: 28.5}
EPOCHS_OF_A_TASK = 8.0
#: Default symbols of a part, and of the vocabulary of a generated task.
PTB, LETTERS = {"train": 929_589, "valid": 73_760}, 30
#: Share of a device's memory that a cohort may take by prediction.
SHARE = 0.5


@dataclass(frozen=True)
class StagePace:
    """The measurements of a stage, and derived figures."""

    stage: str
    vocabulary: int
    cells: int
    settings: int  # of each cell
    populations: int  # cells times shapes
    prepare_s: float  # kernels compiled or found, graphs recorded, the first pass
    train_s: float  # a training window of all
    score_s: float  # a validation window of all
    epochs: float  # assumed
    cell_s: float  # seconds of the device for a cell through this stage
    cells_per_hour: float


def campaign(
    space: Space, cells: Sequence[Cell], device: str, windows: int = 8, share: float = 1.0
) -> dict[str, Any]:
    """The rows, and the hours of the paper's search: 10,000 cells in the filter, 230,000 settings in all.
    `share` below 1 scales the models down (for tests)."""
    stages: list[Filter | TaskStage] = [*([space.filter] if space.filter else []), *space.tasks]
    rows = [_stage(stage, space, cells, device, windows, share) for stage in stages]
    hours = {row.stage: row.cell_s / 3600 for row in rows}
    filtered = 10_000 * hours.get(FILTER, 0.0)
    of_a_setting = [row.cell_s / row.settings / 3600 for row in rows if row.stage != FILTER]
    tasks = 220_000 * float(np.mean(of_a_setting)) if of_a_setting else 0.0
    return {
        "stages": [vars(row) for row in rows],
        "all_stages_cells_per_hour": 1 / sum(hours.values()),
        "hours_10000_cells_filter": filtered,
        "hours_220000_settings": tasks,
        "hours_230000_settings": filtered + tasks,
    }


def _stage(
    stage: Filter | TaskStage, space: Space, cells: Sequence[Cell], device: str, windows: int, share: float
) -> StagePace:
    if isinstance(stage, Filter):
        name, count = FILTER, stage.settings
    else:
        name, count = stage.name, space.strategy.settings
    vocabulary = int(str(stage.options.get("vocabulary") or LETTERS))
    training = stage.training
    rng, grid = np.random.default_rng(0), stage.grid
    drawn = rng.choice(len(grid), count, replace=False) if count <= len(grid) else range(len(grid))
    settings = [grid[int(k)] for k in drawn]
    groups = [_shapes(cell, vocabulary, settings, share) for cell in cells]
    if device != "cpu":
        room, fitting = SHARE * torch.cuda.get_device_properties(device).total_memory, 0
        for of_cell in groups:
            room -= sum(memory.memory(shape, len(mine), training).total for shape, mine in of_cell.items())
            fitting += room > 0
        groups = groups[: max(1, fitting)]
    sizes = Sizes(steps=training.steps, batch=training.batch, vocabulary=vocabulary)
    given, made, lanes = data(sizes, windows, device), [], []
    for of_cell in groups:
        for shape, mine in of_cell.items():
            lanes.append(lane(device))
            with lanes[-1].here():
                scales = [s.init_scale for s in mine]
                rows = model.first_rows(shape, scales, range(len(mine)), torch.float32).to(device)
                norms = torch.tensor([s.max_norm for s in mine], device=device)
                made.append(Steps(shape, given, rows, norms, mean=training.gradient == "mean"))
    seconds = []
    for part in ("train", "score") * 2:
        begun = time.perf_counter()
        walks = [s.train(np.full(len(s.rows), 0.1)) if part == "train" else s.score() for s in made]
        finish(together(walks, lanes))  # type: ignore[arg-type]
        if device != "cpu":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begun)
    train_s, score_s = (s / windows for s in seconds[2:])
    positions = training.steps * training.batch
    train, valid = (int(str(stage.options.get(part) or PTB[part])) for part in ("train", "valid"))
    epochs = EPOCHS.get(name, EPOCHS_OF_A_TASK)
    cell_s = epochs * (train_s * train + score_s * valid) / positions / len(groups)
    return StagePace(
        name, vocabulary, len(groups), count, len(made), sum(seconds[:2]), train_s, score_s, epochs, cell_s,
        3600 / cell_s,
    )  # fmt: skip


def _shapes(
    cell: Cell, vocabulary: int, settings: Sequence[Setting], share: float
) -> dict[Shape, list[Setting]]:
    """Settings by the shape of their models."""
    found: dict[Shape, list[Setting]] = {}
    for s in settings:
        hidden = cost.width(cell, vocabulary, s.layers, int(share * s.parameters))
        found.setdefault(Shape(cell, vocabulary, s.layers, hidden), []).append(s)
    return found
