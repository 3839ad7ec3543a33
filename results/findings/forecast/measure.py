"""The time of a dry run against the time of training: seconds of one setting in one epoch, of each stage.

    python measure.py FILE --space jozefowicz2015 --data DIR --windows 16

For each stage the dry run measures, then the lab trains settings that are drawn as a trial draws them, on the
first windows of the data. It also trains them on one window, and the difference counts: start-up (kernels,
first weights) is left out here as in the dry run. Appends a line of JSON for each stage and repetition.

`ratio` is measured / forecast. Twenty drawn settings are by chance larger or smaller than the mean of the
grid: `drawn` is the forecast of the drawn ones, shape by shape, relative to that of the grid; `even` is the
ratio without this chance.
`python measure.py FILE --show` prints a summary of FILE as a table.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cellsearch.analysis.dry_run import forecast
from cellsearch.dsl.graph import Cell
from cellsearch.study.space import Space, check_seeds, load_space
from cellsearch.study.space.model import grids
from cellsearch.study.strategies import draw
from cellsearch.study.tables.study_facts import Target
from cellsearch.study.workers.evaluator import TorchEvaluator
from cellsearch.tasks import Dataset
from cellsearch.tasks.data import Part
from cellsearch.train.resources import pace
from cellsearch.train.resources.cost import width
from cellsearch.train.settings import Setting, keys

ONE_EPOCH = ("training.max_epochs=1", "filter.training.max_epochs=1")
TOTAL = 20  # settings that are trained, in as many trials as it takes


def first(data: Dataset, train: int, valid: int) -> Dataset:
    """The first positions of every stream."""
    parts = {"train": (data.train, train), "valid": (data.valid, valid)}
    short = {name: Part(part.inputs[:, :n], part.targets[:, :n]) for name, (part, n) in parts.items()}
    return replace(data, **short)


def trained(space: Space, name: str, cell: Cell, data: Dataset, settings: list[str]) -> float:
    """CPU seconds of an epoch of a stage."""
    lab = TorchEvaluator(space, 1)
    lab._built[name] = data
    began = time.process_time()
    lab.evaluate(cell, name, settings, 1, lambda text: None)
    return time.process_time() - began


def alone(space: Space, name: str) -> Space:
    """The space with one stage."""
    if name == "filter":
        return replace(space, tasks=())
    return replace(space, filter=None, tasks=tuple(task for task in space.tasks if task.name == name))


@contextmanager
def listening() -> Iterator[dict[tuple[int, int], float]]:
    """What a dry run inside measures of each shape: layers and units -> seconds of a member."""
    found, real = {}, pace.pace

    def heard(some: Sequence[pace.Some], *rest: Any) -> pace.Pace:
        took = real(some, *rest)
        ((shape, members),) = some
        found[shape.layers, shape.hidden] = (took.train + took.valid) / members
        return took

    pace.pace = heard
    try:
        yield found
    finally:
        pace.pace = real


def pair(
    space: Space,
    lab: TorchEvaluator,
    stage: forecast.Stage,
    shapes: Mapping[tuple[int, int], float],
    windows: int,
    turn: int,
) -> tuple[float, float, float, int]:
    """Trained: CPU seconds of one setting in one epoch, the share of its start, `drawn`, and the windows."""
    name, short = stage.name, load_space(space.name, ONE_EPOCH)
    cell = check_seeds(space)[space.baseline]
    data, steps = lab.dataset(name), lab.stage(name).training.steps
    positions, scored = data.train.inputs.shape[1], data.valid.inputs.shape[1]
    share = scored / positions  # both parts grow alike, from one window of each
    more = min(windows * steps, int((scored - steps) / share))
    few, one = first(data, steps + more, steps + round(more * share)), first(data, steps, steps)
    grid = lab.stage(name).grid
    place = keys(grid)
    took, start, drawn = 0.0, 0.0, list[str]()
    while len(drawn) < TOTAL:
        rng = np.random.default_rng((turn, len(drawn)))
        settings = draw(stage.settings, list(place), (), frozenset(), rng)
        start += trained(short, name, cell, one, settings)
        took += trained(short, name, cell, few, settings)
        drawn += settings

    def seconds(setting: Setting) -> float:
        return shapes[setting.layers, width(cell, data.vocabulary, setting.layers, setting.parameters)]

    assert stage.data is not None
    size = float(np.mean([seconds(grid[place[s]]) for s in drawn])) / stage.data.seconds
    return (took - start) / len(drawn) * positions / more, start / len(drawn), size, more // steps


def show(rows: list[dict[str, Any]]) -> None:
    """One line of Markdown for each stage."""
    for name in dict.fromkeys(row["stage"] for row in rows):
        mine = [row for row in rows if row["stage"] == name]
        ratios, even = ([row[key] for row in mine] for key in ("ratio", "even"))
        least = min(r["measured"] / r["drawn"] for r in mine) / min(r["forecast"] for r in mine)
        print(
            f"| {name} | {mine[0]['windows']} | {' '.join(f'{r:.2f}' for r in ratios)} "
            f"| {' '.join(f'{r:.2f}' for r in even)} | **{np.median(even):.2f}** | {least:.2f} "
            f"| {max(row['dry_run'] for row in mine):.0f} s |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--space", default="quick")
    parser.add_argument("--stages", nargs="*", help="some of them")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--windows", type=int, default=10**9, help="of the training part, beside the first")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--show", action="store_true")
    args = parser.parse_args()
    if args.show:
        return show([json.loads(line) for line in args.file.read_text().splitlines()])
    space = load_space(args.space)
    lab = TorchEvaluator(space, 1, args.data)
    cell = check_seeds(space)[space.baseline]
    lines = args.file.read_text().splitlines() if args.file.exists() else []
    known = [json.loads(line)["stage"] for line in lines]
    for name in args.stages or grids(space):
        for turn in range(known.count(name), known.count(name) + args.times):
            began = time.process_time()
            with listening() as shapes:
                whole = forecast.forecast(
                    alone(space, name), space.name, lab, {space.baseline: cell}, Target(40), 1
                )
            (stage,) = whole.stages
            assert stage.data is not None
            spent = time.process_time() - began
            epoch, start, drawn, windows = pair(space, lab, stage, shapes, args.windows, turn)
            ratio = epoch / stage.data.seconds
            line = {
                "space": space.name, "stage": name, "turn": turn, "forecast": stage.data.seconds,
                "measured": epoch, "ratio": ratio, "drawn": drawn, "even": ratio / drawn, "start": start,
                "windows": windows, "settings": stage.settings, "dry_run": spent, "load": os.getloadavg()[0],
            }  # fmt: skip
            with args.file.open("a") as file:
                file.write(json.dumps(line) + "\n")
            print(f"{space.name} {name}: {ratio:.3f} of the forecast, {ratio / drawn:.3f} even", flush=True)


if __name__ == "__main__":
    main()
