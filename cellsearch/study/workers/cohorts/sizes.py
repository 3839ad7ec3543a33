"""How many trials a worker has at once.

On a CPU one: a core is full with it. On a GPU as many as fill it, which a typical cell of the space says, the
baseline: by the work of the stage that a proposal begins with, and by the memory of the stage that takes
most. A space may fix the number (`budget.cohort`).

The first worker on a GPU records the size; others, and later searches on the study, take the recorded one, so
that another amount of free memory does not make another search.
"""

from collections.abc import Mapping

from cellsearch.study.space import Space, check_seeds
from cellsearch.study.space.model import FILTER
from cellsearch.study.tables import records
from cellsearch.study.tables.transactions import Store

#: Members times units of a layer that fill a GPU: 256 members of 64 units. A step of fewer is bound by the
#: time to start its kernels. Predicted (results/bench/gpu.md), to be measured on a device.
FULL = 256 * 64

#: Trials of a cohort at most: each has recorded steps of its own, and memory for them. To be measured too.
MOST = 64


def chosen(
    store: Store, space: Space, device: str, room: float | None, vocabularies: Mapping[str, int]
) -> int:
    """The size for a worker on `device`, recorded in the study where it is more than one trial.

    `room` is the memory that trainings may take there, in bytes; `vocabularies` has the number of symbols of
    each stage.
    """
    if space.budget.cohort is not None:
        size = space.budget.cohort
    elif device == "cpu":
        return 1
    else:
        size = next(reversed(records.cohorts(store)), 0) or predicted(space, room, vocabularies)
    if size > 1 or device != "cpu":
        records.note_cohort(store, size)
    return size


def predicted(space: Space, room: float | None, vocabularies: Mapping[str, int]) -> int:
    """The number of proposals that fill a GPU, from 1 to `MOST`."""
    # here: it loads torch, which a worker on a CPU does not need yet
    from cellsearch.train.resources.filling import of_stage

    cell = check_seeds(space)[space.baseline]
    settings = space.strategy.settings
    found = {
        task.name: of_stage(cell, vocabularies[task.name], task.grid, task.training, settings)
        for task in space.tasks
    }
    first = next(iter(found.values()))
    if (sieve := space.filter) is not None:
        first = of_stage(cell, vocabularies[FILTER], sieve.grid, sieve.training, sieve.settings)
    by_work = -(-FULL // max(1, round(first.work)))
    largest = max(first.memory, *(stage.memory for stage in found.values()))
    by_memory = MOST if room is None else int(room // largest)
    return max(1, min(by_work, by_memory, MOST))
