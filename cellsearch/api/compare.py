"""`cs.compare`."""

import os
from collections.abc import Sequence
from pathlib import Path

from cellsearch.analysis.compare import judge
from cellsearch.analysis.compare.run import Asked, Comparison, Tell, plan
from cellsearch.analysis.compare.work import Place
from cellsearch.analysis.training.model import MEMORY
from cellsearch.api import progress as shown
from cellsearch.dsl.graph import Cell
from cellsearch.report.comparison.write import compared
from cellsearch.study.lookup import RESULTS, Found, find_cell
from cellsearch.train.resources import devices


def compare(
    cells: Sequence[Cell | str],
    task: str | Sequence[str] | None = None,
    *,
    baseline: str | None = None,
    settings: int = 40,
    share: float = judge.SHARE,
    margin: float = judge.MARGIN,
    draws: Sequence[str] = (),
    space: str | None = None,
    overrides: Sequence[str] = (),
    epochs: int | None = None,
    seed: int = 1,
    out: str | os.PathLike[str] | None = None,
    data: str | os.PathLike[str] | None = None,
    storage: str | None = None,
    results: str | os.PathLike[str] = RESULTS,
    workers: int = 1,
    device: str = "cpu",
    memory: float = MEMORY,
    progress: Tell | None = None,
) -> Comparison:
    """Train every cell with the same random settings; say which cells hurt or help beside the baseline.

    `cells` are cells, zoo names, `.cell` files or "quick:1"; the first is the `baseline`, or the one of that
    name. `task` is a task or several, of `space` where one is named. Each cell gets `settings` settings of
    each task, the same for all: `draws` ("learning_rate=0.05..2", "layers=1,2") change the ranges. The best
    `share` of each by validation accuracy is compared on the test part; a cell that is worse by less than
    `margin` of the baseline does not hurt. `overrides` ("options.train=100000") and `epochs` change the
    tasks, `workers` is the number of processes. `progress` is called with each `Step`; None shows it in a
    notebook.

    A page, a figure and the values go into `out` (results/compare/TASK). What is recorded there is not
    trained again, so that the same call goes on after a kill, and a larger number of settings trains the
    new ones alone.

    Raises CellsearchError where something is missing or wrong.

        >>> found = cs.compare(["lstm", "gru", "mut1"], "xml", settings=100)    # doctest: +SKIP
        >>> [(row.cell.name, row.judged.statement) for row in found.tasks[0].rows]    # doctest: +SKIP
        [('lstm', 'baseline'), ('gru', 'helps'), ('mut1', 'cannot be told')]
    """
    known = [
        Found(cell, "") if isinstance(cell, Cell) else find_cell(cell, storage, results=Path(results))
        for cell in cells
    ]
    (chosen,) = devices.chosen([device])
    devices.check(chosen)
    tasks = () if task is None else (task,) if isinstance(task, str) else tuple(task)
    asked = Asked(tasks, baseline, settings, share, margin, space, tuple(draws), tuple(overrides), epochs)
    made = plan(known, asked, Place(seed, None if data is None else str(data), chosen, memory))
    folder = Path(results) / made.folder.relative_to("results") if out is None else Path(out)
    return compared(made, folder, workers=workers, tell=shown.of_comparison(progress))
