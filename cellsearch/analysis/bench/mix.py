"""A realistic workload of a search: settings of its grid in populations of different layers and widths, in
sequence; compared with the same settings one by one, and the bare matrix products.

Gives a row per group and contestant, and totals over all groups.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cellsearch.analysis.bench import limits
from cellsearch.analysis.bench.contestants import Contestant, members_alone, ours
from cellsearch.analysis.bench.measure import AGREEMENT, Say, prepare, using
from cellsearch.analysis.bench.rows import BYTES, Report, Row, Total, conditions, middle, of_work
from cellsearch.analysis.bench.work import Sizes, make
from cellsearch.compiler.run.layer import choose_engine
from cellsearch.dsl.graph import Cell
from cellsearch.train.resources import cost
from cellsearch.train.settings import Grid

SETTINGS = 20  # settings of a trial per task (Jozefowicz et al. 2015, section 3.1)


def mixed(
    cells: Sequence[Cell],
    grid: Grid,
    space: str,
    sizes: Sizes,
    *,
    device: str = "cpu",
    threads: int = 1,
    rounds: int = 9,
    say: Say = lambda _: None,
) -> Report:
    """Measure one window of every group, for each cell. Only steps, batch and vocabulary of `sizes`
    matter."""
    with using(device, threads):
        about = conditions(device, threads, rounds, sizes, AGREEMENT)
        about["mix"] = f"{min(SETTINGS, len(grid))} settings of the grid of {space}, drawn with the seed 0"
        found: list[Row] = []
        totals: list[Total] = []
        for cell in cells:
            of_cell, in_all = _mix(cell, grid, space, sizes, device, threads, rounds, about, say)
            found += of_cell
            totals += in_all
        return Report(about, found, totals)


def groups(cell: Cell, grid: Grid, sizes: Sizes, seed: int = 0) -> list[Sizes]:
    """The populations of `SETTINGS` settings of the grid, or of the whole grid if it has fewer."""
    drawn = np.random.default_rng(seed).choice(len(grid), min(SETTINGS, len(grid)), replace=False)
    found: dict[tuple[int, int], int] = {}
    for index in sorted(drawn.tolist()):
        setting = grid[index]
        hidden = cost.width(cell, sizes.vocabulary, setting.layers, setting.parameters)
        found[setting.layers, hidden] = found.get((setting.layers, hidden), 0) + 1
    return [
        replace(sizes, layers=layers, hidden=hidden, population=count)
        for (layers, hidden), count in sorted(found.items())
    ]


def _mix(
    cell: Cell,
    grid: Grid,
    space: str,
    sizes: Sizes,
    device: str,
    threads: int,
    rounds: int,
    about: Mapping[str, Any],
    say: Say,
) -> tuple[list[Row], list[Total]]:
    works = [make(cell, size, device) for size in groups(cell, grid, sizes)]
    people: list[Contestant] = [ours(choose_engine("auto", works[0].rows)), *members_alone(cell.name)]
    ready = [prepare(work, people, say) for work in works]
    say(f"{cell.name}: measuring {len(works)} groups")
    measured = [[group.once() for group in ready] for _ in range(rounds)]
    found: list[Row] = []
    for k, group in enumerate(ready):
        found += of_work(
            group.work, threads, [groups[k] for groups in measured], group.prepared, group.by_symbol, about
        )
    members = sum(work.sizes.population for work in works)
    sums = {what: [sum(g[what] for g in groups) for groups in measured] for what in ready[0].steps}
    sums[BYTES] = [sum(limits.traffic(work) for work in works) / about["copy_bytes_per_s"]]
    ours_s = middle(next(iter(sums.values())))[0]
    totals = []
    for what, seconds in sums.items():
        median, spread = middle(seconds)
        totals.append(
            Total(
                what, cell.name, space, device, threads, members, len(works), sizes.steps, sizes.batch,
                median, spread, members / median, median / ours_s,
            )
        )  # fmt: skip
    return found, totals
