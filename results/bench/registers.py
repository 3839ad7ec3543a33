"""Registers, spills and seconds of compiling of the Triton kernels of the zoo and of mutants, for a GPU that
need not be there:

    python results/bench/registers.py results/bench/registers-zoo.json --every 2
    python results/bench/registers.py results/bench/registers-mutants.json --mutants 200 --every 8

Texts that occur more than once count once. Seconds are CPU time of this process and of what it starts, with
an empty cache, in the order in which the cells come; float32, compute capability 9.0, H a multiple of 16.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import numpy as np

from cellsearch.compiler.engines.triton import ahead, resources, source, toolchain
from cellsearch.compiler.engines.triton.loop import OPTIONS, tile
from cellsearch.compiler.engines.triton.writer import strides
from cellsearch.compiler.plan.schedule import plan
from cellsearch.dsl import zoo
from cellsearch.dsl.graph import Cell
from cellsearch.study.mutation.mutate import mutate
from cellsearch.study.space.load import load_space

HIDDEN, CAPABILITY = 64, 90


def mutants(count: int) -> list[Cell]:
    """Children of the seeds of `jozefowicz2015`, every other one, and of any cell before them."""
    space, found = load_space("jozefowicz2015"), []
    parents = [zoo.load(name) for name in space.seeds]
    for k in range(count):
        rng = np.random.default_rng([0, k])
        pool = [*parents, *found]
        parent = pool[int(rng.integers(len(pool)))] if k % 2 else parents[k // 2 % len(parents)]
        found.append(mutate(parent, rng, space.mutation, space.limits)[0])
    return found


def seconds() -> float:
    """CPU time of this process and of those it has waited for."""
    mine, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return mine.ru_utime + mine.ru_stime + others.ru_utime + others.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--mutants", type=int, default=0)
    parser.add_argument("--every", type=int, default=1, help="compile every n-th text")
    args = parser.parse_args()
    cells = [zoo.load(name) for name in zoo.names()] + mutants(args.mutants)
    functions = {c: source.source(plan(c), frozenset(), "float32").functions for c in cells}
    texts = Counter(f.text for found in functions.values() for f in found)
    about = {
        "cells": len(cells), "kernels": texts.total(), "texts": len(texts), "every": args.every,
        "triton": version("triton"), "capability": CAPABILITY, "hidden": HIDDEN, "dtype": "float32",
    }  # fmt: skip
    rows, seen = [], set()
    for cell, found in functions.items():
        for f in found:
            if f.text in seen:
                continue
            seen.add(f.text)
            if len(seen) % args.every:
                continue
            begun = seconds()
            kernel = toolchain.functions(f.text, False)[f.name]
            numbers = sum(len(strides(r)) for r in f.arrays) + len(f.slots) + 2 + (3 if f.steps else 4)
            height, units = tile(f, HIDDEN)
            reals = [ahead.torch.float32] * len(f.arrays)
            made = kernel.warmup(*reals, *[3] * numbers, HIDDEN, R=height, W=units, grid=(1,), **OPTIONS)
            took = seconds() - begun
            r = resources.resources(made)
            rows.append({"cell": cell.name, "kernel": f.name, "seconds": round(took, 3), **vars(r)})
            print(rows[-1], file=sys.stderr, flush=True)
        args.file.write_text(json.dumps({"about": about, "kernels": rows}, indent=0) + "\n")
    return 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TRITON_CACHE_DIR"] = folder
        with ahead.compiling_for(CAPABILITY):
            sys.exit(main())
