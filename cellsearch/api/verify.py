"""`cs.verify`."""

import os
from dataclasses import replace
from pathlib import Path

from cellsearch.analysis.verify.run import Tell, verify_study
from cellsearch.analysis.verify.work import Place
from cellsearch.api import progress as shown
from cellsearch.api.board import Board
from cellsearch.api.search import board_of
from cellsearch.study import studies


def verify(
    name: str,
    rows: int = 5,
    repeats: int = 8,
    *,
    workers: int = 1,
    device: str = "cpu",
    data: str | None = None,
    storage: str | None = None,
    results: str | os.PathLike[str] = studies.RESULTS,
    progress: Tell | None = None,
) -> Board:
    """Train the first `rows` cells of the search `name` and its baseline again, and return their rows with
    a `verdict` each: above, level with or below the baseline, on the test part.

    `repeats` is the maximum number of trainings of each cell on each task: 4, 8, 16, 32, 64 or 128; a cell
    with an early verdict is not trained further. Recorded repeats are not trained again, so the same call
    resumes an interrupted verification, and a larger number extends a finished one. `workers` is the number
    of processes. `progress` is called with each `Step`; None shows it in a notebook. Raises CellsearchError
    if the search cannot be verified.

        >>> board = cs.verify("quick", rows=3, workers=2)               # doctest: +SKIP
        >>> [(row.name, row.verdict.call) for row in board]             # doctest: +SKIP
        [('m12', 'above'), ('m31', 'level'), ('m7', 'level')]
    """
    study = studies.opened(name, storage, Path(results))
    try:
        place = Place(study.facts.space, study.facts.seed, data, device)
        found = verify_study(
            study, rows, repeats, place=place, workers=workers, tell=shown.of_verification(progress)
        )
        return replace(board_of(study), rows=tuple(found))
    finally:
        study.store.engine.dispose()
