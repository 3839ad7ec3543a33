"""CPU seconds before the first step of a cell: a separate process per contestant and cell,
`python -m cellsearch.analysis.bench.cpu.compiling WHO CELL`.

A search trains thousands of cells once each, so compile time matters as much as the speed of a step. Caches
start empty; compiler subprocesses are counted. Another cell is compiled first, to exclude shared costs
(imports, the library of products). The cost of a step is subtracted.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch

from cellsearch.analysis.bench import jax
from cellsearch.analysis.bench.contestants import Contestant, exported, in_jax, one_by_one, ours
from cellsearch.analysis.bench.measure import cpu_seconds
from cellsearch.analysis.bench.work import Sizes, make
from cellsearch.compiler.engines.native import toolchain
from cellsearch.dsl import zoo
from cellsearch.dsl.graph import Cell

OURS, COMPILED = "cellsearch (native)", "torch.compile of the exported module"
FIRST = "gru"  # the cell compiled first
OTHER = Sizes(population=5, hidden=80, layers=2)  # the second shape of the same cell
STEPS = 3  # the shortest is subtracted


@dataclass(frozen=True)
class Compiled:
    """CPU seconds of a contestant before its first step of a cell."""

    what: str
    cell: str
    H: int
    new_cell_s: float
    other_shape_s: float  # the same cell with other K, H and layers


def everyone() -> list[str]:
    """The installed contestants that compile."""
    found = [OURS] if toolchain.compiler() else []
    return [*found, *([contestant.what for contestant in in_jax()] if jax.installed() else []), COMPILED]


def measured(what: str, cell: str, timeout: float = 900) -> Compiled:
    """The CPU seconds of a contestant for a cell of the zoo, in a process without caches."""
    with tempfile.TemporaryDirectory() as folder:
        own = {"CELLSEARCH_CACHE": folder, "TORCHINDUCTOR_CACHE_DIR": f"{folder}/inductor"}
        own |= {"TORCHINDUCTOR_COMPILE_THREADS": "1", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, "-m", __spec__.name, what, cell], env={**os.environ, **own},
            stdout=subprocess.PIPE, text=True, timeout=timeout, check=True,
        )  # fmt: skip
    return Compiled(**json.loads(done.stdout.splitlines()[-1]))


def _contestant(what: str) -> Contestant:
    if what == OURS:
        return ours("native")
    if what == COMPILED:
        return one_by_one(what, exported, compiled=True)
    return next(contestant for contestant in in_jax() if contestant.what == what)


def _spent(contestant: Contestant, cell: Cell, sizes: Sizes) -> float:
    """CPU seconds until the second step, without the steps themselves."""
    work = make(cell, sizes, "cpu")
    begun = cpu_seconds()
    step = contestant.ready(work)
    step()
    first = cpu_seconds() - begun
    steps = [_cost(step) for _ in range(STEPS)]
    done = 2 if contestant.what == COMPILED else 1  # `one_by_one` takes a trial step itself
    return max(0.0, first - done * min(steps))


def _cost(step: Callable[[], object]) -> float:
    begun = cpu_seconds()
    step()
    return cpu_seconds() - begun


def main(what: str, name: str) -> None:
    """Measures, and prints one line of JSON."""
    torch.set_num_threads(1)
    contestant = _contestant(what)
    alone = what == COMPILED  # it trains member by member
    sizes, other = (Sizes(1), Sizes(1, hidden=80)) if alone else (Sizes(), OTHER)
    _spent(contestant, zoo.load(FIRST), Sizes(1, steps=2))
    new, again = (_spent(contestant, zoo.load(name), s) for s in (sizes, other))
    print(json.dumps(asdict(Compiled(what, name, sizes.hidden, new, again))))


if __name__ == "__main__":
    main(*sys.argv[1:])
