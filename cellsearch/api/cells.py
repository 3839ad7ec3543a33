"""`cs.mutate`."""

import numpy as np

from cellsearch.dsl.graph import Cell
from cellsearch.study.mutation.mutate import breed
from cellsearch.study.mutation.spec import Limits, MutationSpec
from cellsearch.study.space import Space, load_space


def mutate(
    cell: Cell, seed: int | np.random.Generator, space: Space | str | None = None, name: str = "child"
) -> Cell:
    """A random mutant of `cell`, called `name`; the same for the same `seed`.

    `space` is a search space (a name, a YAML file, or a `Space`), of which `mutation` and `limits` count;
    None: their defaults, the six transformations of Jozefowicz, Zaremba and Sutskever (2015, section 3.2).
    A mutant is another function than its parent, its output depends on x, and it can depend on x of any
    earlier step. Raises CellError where no mutant is accepted.

        >>> child = cs.mutate(cs.load("lstm"), seed=1)
        >>> child == cs.mutate(cs.load("lstm"), seed=1), child == cs.mutate(cs.load("lstm"), seed=2)
        (True, False)
    """
    found = load_space(space) if isinstance(space, str) else space
    mutation, limits = (found.mutation, found.limits) if found else (MutationSpec(), Limits())
    return breed(cell, np.random.default_rng(seed), mutation, limits, name).cell
