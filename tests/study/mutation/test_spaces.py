"""What the bundled spaces propose: cells without dead states that read back, and edits as often as weights say."""

from collections import Counter

import numpy as np
import pytest

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.rewriting.reach import dead_states
from cellsearch.dsl.text import parse, show
from cellsearch.study.mutation.mutate import breed
from cellsearch.study.space import check_seeds, load_space, names


@pytest.mark.parametrize("count", [100, pytest.param(1_000, marks=pytest.mark.soak)])
@pytest.mark.parametrize("name", names())
def test_proposals_have_no_dead_states_and_are_cells(name: str, count: int) -> None:
    """Half of them are children of the seeds, half of earlier proposals."""
    space = load_space(name)
    seeds, found = list(check_seeds(space).values()), list[Cell]()
    edits: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for k in range(count):
        rng = np.random.default_rng([7, k])
        parents = found if found and k % 2 else seeds
        child = breed(parents[int(rng.integers(len(parents)))], rng, space.mutation, space.limits)
        assert not dead_states(child.cell), show(child.cell)
        assert parse(show(child.cell)) == child.cell
        found.append(child.cell)
        edits.update(edit.mutation for edit in child.edits)
        refused.update(dict(child.refused))
    weights = {row: weight for row, weight in space.mutation.weights.items() if weight}
    assert edits.keys() <= weights.keys()
    assert count < 1_000 or edits.keys() == weights.keys()
    print(f"\n{name}: {count:,} proposals; refused before: {dict(refused)}")
    for row, times in edits.most_common():
        print(f"    {row:18} {times / edits.total():6.1%}   weight {weights[row]:g}")
