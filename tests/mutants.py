"""Mutants for the tests of everything that takes a cell: parser, compiler, exports."""

from dataclasses import replace
from functools import cache

import numpy as np

from cellsearch.dsl import zoo
from cellsearch.dsl.graph import Cell
from cellsearch.study.mutation.mutate import mutate
from cellsearch.study.mutation.spec import Limits, MutationSpec
from cellsearch.study.mutation.table import MUTATIONS


@cache
def seeds() -> tuple[Cell, ...]:
    """The cells of the zoo that can have children within the usual limits: a child can be smaller."""
    cells = map(zoo.load, zoo.names())
    return tuple(cell for cell in cells if len(cell.nodes) <= 1.5 * Limits().nodes)


@cache
def mutants(count: int, seed: int = 0, rows: str = "paper") -> tuple[Cell, ...]:
    """`count` cells: the first are children of the zoo's cells, the others children of those before them.
    Half are made with the paper's strength p, half with 1 to 3 edits; by the rows of the paper, or by "all"."""
    parents = seeds()
    found: list[Cell] = []
    for k in range(count):
        rng = np.random.default_rng([seed, k])
        earlier = found if k % 2 else [*parents]
        parent = earlier[int(rng.integers(len(earlier)))]
        spec = MutationSpec(size="strength" if k % 4 >= 2 else "edits")
        if rows == "all":
            spec = replace(spec, weights={m.name: 1.0 for m in MUTATIONS})
        found.append(mutate(parent, rng, spec, Limits(), name=f"mutant_{k}")[0])
    return tuple(found)
