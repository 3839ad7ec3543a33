"""The time of a dry run against the time of training: seconds of one setting in one epoch, of each stage.

    python measure.py FILE --space jozefowicz2015 --data DIR --windows 20

In turn the dry run measures, and the lab trains settings that are drawn as a trial draws them, on the first
windows of the data. It also trains them on one window, and the difference counts: start-up (kernels, first
weights) is left out here as in the dry run. Appends a line of JSON for each stage and repetition.
"""

import argparse
import json
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from cellsearch.dsl.graph import Cell
from cellsearch.search import forecast
from cellsearch.search.lab import RealLab
from cellsearch.search.records import Target
from cellsearch.search.space import Space, check_seeds, load_space
from cellsearch.search.strategies import draw
from cellsearch.tasks import Dataset
from cellsearch.tasks.data import Part
from cellsearch.train.settings import keys

ONE_EPOCH = ("training.max_epochs=1", "filter.training.max_epochs=1")
TOTAL = 20  # settings that are trained, in as many trials as it takes


def first(data: Dataset, train: int, valid: int) -> Dataset:
    """The first positions of every stream."""
    parts = {"train": (data.train, train), "valid": (data.valid, valid)}
    short = {name: Part(part.inputs[:, :n], part.targets[:, :n]) for name, (part, n) in parts.items()}
    return replace(data, **short)


def trained(space: Space, name: str, cell: Cell, data: Dataset, settings: list[str]) -> float:
    """CPU seconds of an epoch of a stage."""
    lab = RealLab(space, 1)
    lab._built[name] = data
    began = time.process_time()
    lab.evaluate(cell, name, settings, 1, lambda text: None)
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--space", default="quick")
    parser.add_argument("--stages", nargs="*", help="some of them")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--windows", type=int, default=10**9, help="of the training part, beside the first")
    parser.add_argument("--times", type=int, default=3)
    args = parser.parse_args()
    space, short = load_space(args.space), load_space(args.space, ONE_EPOCH)
    cell = check_seeds(space)[space.baseline]
    lab = RealLab(space, 1, args.data)
    for turn in range(args.times):
        began = time.process_time()
        found = forecast.forecast(space, space.name, lab, cell, Target(40), 1)
        spent = time.process_time() - began
        print(f"dry run: {spent:.1f} s of CPU time", flush=True)
        for stage in found.stages:
            if args.stages and stage.name not in args.stages:
                continue
            data, steps = lab.dataset(stage.name), lab.stage(stage.name).training.steps
            positions, scored = data.train.inputs.shape[1], data.valid.inputs.shape[1]
            share = scored / positions  # both parts grow alike, from one window of each
            more = min(args.windows * steps, int((scored - steps) / share))
            few = first(data, steps + more, steps + round(more * share))
            one = first(data, steps, steps)
            took, start, count = 0.0, 0.0, 0
            while count < TOTAL:
                rng = np.random.default_rng((turn, count))
                settings = draw(stage.settings, list(keys(lab.stage(stage.name).grid)), (), frozenset(), rng)
                start += trained(short, stage.name, cell, one, settings)
                took += trained(short, stage.name, cell, few, settings)
                count += len(settings)
            epoch = (took - start) / count * positions / more
            assert stage.data is not None
            line = {
                "space": space.name, "stage": stage.name, "turn": turn, "settings": count,
                "settings_at_once": stage.settings, "windows": more // steps, "dry_run_seconds": spent,
                "forecast": stage.data.seconds, "measured": epoch, "start": start / count,
                "ratio": epoch / stage.data.seconds, "load": os.getloadavg()[0],
            }  # fmt: skip
            with args.file.open("a") as file:
                file.write(json.dumps(line) + "\n")
            print(f"{space.name} {stage.name}: {line['ratio']:.3f} of the forecast", flush=True)


if __name__ == "__main__":
    main()
