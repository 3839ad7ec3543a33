"""The number of trials that a worker runs at once.

On a CPU one: it fills a core. On a GPU as many as fill it, estimated from a typical cell of the space, the
baseline: by the work of the first stage of a proposal, and by the memory of the largest stage. A space may
fix the number (`budget.cohort`). The first worker on a GPU records the size; others, and later searches on
the study, use the recorded one, so that the search does not depend on free memory.
"""

from collections.abc import Mapping

from cellsearch.study.space import Space, check_seeds
from cellsearch.study.space.model import FILTER
from cellsearch.study.tables import records
from cellsearch.study.tables.transactions import Store

#: Members times units per layer that fill a GPU: 256 members of 64 units. A smaller step is bound by kernel
#: launches. Predicted (results/bench/gpu.md), not yet measured on a device.
FULL = 256 * 64

#: Maximum trials of a cohort: each has its own recorded steps and their memory. Not yet measured either.
MOST = 64


def chosen(
    store: Store, space: Space, device: str, room: float | None, vocabularies: Mapping[str, int]
) -> int:
    """The size for a worker on `device`, recorded in the study if it is more than one. `room` is the memory
    for trainings there, in bytes; `vocabularies` has the number of symbols of each stage.
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
    # imported here: it loads torch, which a worker on a CPU does not need yet
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
