"""The learning rate that suits a GRU best under each reading of "gradient divided by minibatch size".

    python tasks.py FILE

One layer, 100,000 parameters, scale 1, norm 5, each rate of the paper's grid with three random seeds, five
epochs of 100,000 symbols. Writes a line of JSON for each setting.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

from cellsearch.dsl.load import load
from cellsearch.study.space import load_space
from cellsearch.tasks import build
from cellsearch.train.evaluate import evaluate
from cellsearch.train.resources.threads import one_thread
from cellsearch.train.settings import Grid


def main() -> None:
    one_thread()
    file = Path(sys.argv[1])
    space = load_space("jozefowicz2015")
    grid = Grid((1.0,), space.grid.learning_rate, (5.0,), (1,), (100_000,))
    for stage in space.tasks[:2]:
        options = {**stage.options, "train": 100_000, "valid": 50_000}
        data = build(stage.task, options, batch=20, seed=1, data=None)
        for reading in ("sum", "mean"):
            training = replace(stage.training, gradient=reading, max_epochs=5)
            for seed in (1, 2, 3):
                found = evaluate(load("gru"), data, grid, range(len(grid)), training, seed=seed)
                lines = [
                    {"task": stage.name, "gradient": reading, "seed": seed, "rate": grid[k].learning_rate,
                     "status": o.status, "accuracy": o.accuracy}
                    for k, o in enumerate(found)
                ]  # fmt: skip
                with file.open("a") as out:
                    out.writelines(json.dumps(line) + "\n" for line in lines)


if __name__ == "__main__":
    main()
