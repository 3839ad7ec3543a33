"""A process that meets one new cell after another, as a worker does: `python soak.py CELLS`.

Out: a line of JSON for every tenth cell, with the bytes that the process takes and the kernels that it has loaded.
"""

import gc
import json
import sys
from pathlib import Path

import numpy as np

from cellsearch.compiler.engines.native import cache, toolchain
from cellsearch.dsl import zoo
from cellsearch.dsl.identity.functional import functional_fingerprint
from cellsearch.study.mutation.mutate import mutate
from cellsearch.study.mutation.spec import Limits, MutationSpec
from cellsearch.tasks import build
from cellsearch.train.evaluate import evaluate
from cellsearch.train.resources.threads import one_thread
from cellsearch.train.settings import Grid, Training

PAGE = 4096


def main(count: int) -> None:
    """Mutates, names and trains `count` cells."""
    one_thread()
    toolchain.FLAGS = (
        *toolchain.FLAGS,
        "-O0",
    )  # compiled in a third of the time; the kernels have little to do
    options = {"symbols": 2, "alphabet": 5, "train": 400, "valid": 200, "test": 200}
    data = build("memorize", options, batch=4, seed=1, data=None)
    grid = Grid((1.0,), (0.2,), (5.0,), (1, 2), (1000, 1500))
    training = Training(max_epochs=1, batch=4, steps=10)
    parents = [zoo.load(name) for name in ("lstm", "gru", "clockwork", "mut1")]
    for k in range(1, count + 1):
        rng = np.random.default_rng([7, k])
        cell = mutate(
            parents[k % len(parents)], rng, MutationSpec(size="edits"), Limits(), name=f"mutant_{k}"
        )[0]
        functional_fingerprint(cell)
        evaluate(cell, data, grid, range(4), training, seed=k)
        del cell
        if k % 10 == 0:
            gc.collect()
            print(json.dumps({"cells": k, "bytes": taken(), "kernels": loaded()}), flush=True)


def taken() -> int:
    """Bytes of memory that this process has in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def loaded() -> int:
    """How many compiled kernels are mapped."""
    folder = f"{cache.opened().path}/"
    maps = (line.partition(folder)[2].strip() for line in Path("/proc/self/maps").read_text().splitlines())
    return len({name for name in maps if name})


if __name__ == "__main__":
    main(int(sys.argv[1]))
