"""The share of its own settings at which a seed passes the filter of a space, under several ways to train.

    python seeds.py FILE --space jozefowicz2015 --settings 40 \
        --set filter.training.gradient=mean --set filter.options.train=100000

Settings are drawn from the filter's grid, each value of each hyperparameter as often as the others.
Appends a line of JSON for each setting to FILE, and passes over cells that have lines with these overrides.
"""

import argparse
import json
import time
from dataclasses import fields
from pathlib import Path

import numpy as np

from cellsearch.dsl.load import load
from cellsearch.study.space import load_space
from cellsearch.tasks import build
from cellsearch.train.evaluate import evaluate
from cellsearch.train.resources.threads import one_thread
from cellsearch.train.settings import Grid, Setting, key


def drawn(grid: Grid, count: int, seed: int = 0) -> list[int]:
    """Indices of the grid, in which every value of every hyperparameter is as frequent as the others."""
    rng = np.random.default_rng(seed)
    known = {key(grid[k]): k for k in range(len(grid))}
    while True:
        columns = {}
        for field in fields(Setting):
            values = getattr(grid, field.name)
            columns[field.name] = rng.permutation(np.resize(rng.permutation(values), count)).tolist()
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        found = [known[key(Setting(**row))] for row in rows]
        if len(set(found)) == count:
            return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--space", default="jozefowicz2015")
    parser.add_argument("--cells", nargs="*", help="instead of the seeds of the space")
    parser.add_argument("--settings", type=int, default=40)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    space = load_space(args.space, args.set)
    stage = space.filter
    assert stage is not None
    one_thread()
    data = build(stage.task, stage.options, batch=stage.training.batch, seed=args.seed, data=None)
    lines = args.file.read_text().splitlines() if args.file.exists() else []
    known = {(r["space"], r["cell"], *r["overrides"]) for r in map(json.loads, lines)}
    indices = drawn(stage.grid, min(args.settings, len(stage.grid)))
    for name in args.cells or space.seeds:
        if (space.name, name, *args.set) in known:
            continue
        began = time.process_time()
        outcomes = evaluate(
            load(name), data, stage.grid, indices, stage.training, seed=args.seed, stop_at=stage.accuracy
        )
        took = time.process_time() - began
        rows = [
            {"space": space.name, "cell": name, "overrides": args.set, "setting": o.setting,
             "status": o.status, "accuracy": o.accuracy, "best": o.epochs, "trained": o.trained}
            for o in outcomes
        ]  # fmt: skip
        with args.file.open("a") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
        passed = sum((r["accuracy"] or 0) >= stage.accuracy for r in rows)
        print(f"{name} {' '.join(args.set)}: {passed} of {len(rows)}, {took:.0f} s", flush=True)


if __name__ == "__main__":
    main()
