"""`cs.search` and `cs.leaderboard`."""

import os
from collections.abc import Sequence
from pathlib import Path

from cellsearch.api.board import Board
from cellsearch.api.progress import Show, of_search
from cellsearch.errors import UsageError
from cellsearch.study import lookup, studies
from cellsearch.study.leaderboard import board
from cellsearch.study.manage import commands
from cellsearch.study.space import Space, load_space
from cellsearch.study.studies import RESULTS, Study
from cellsearch.study.workers.evaluator import TorchEvaluator
from cellsearch.study.workers.run import Options
from cellsearch.study.workers.run import search as run_search
from cellsearch.train.resources import devices


def search(
    space: Space | str | os.PathLike[str],
    name: str | None = None,
    *,
    trials: int | None = None,
    proposals: int | None = None,
    seconds: float | None = None,
    workers: int = 1,
    seed: int | None = None,
    device: str = "cpu",
    data: str | None = None,
    storage: str | None = None,
    results: str | os.PathLike[str] = RESULTS,
    overrides: Sequence[str] = (),
    text: str | os.PathLike[str] | None = None,
    progress: Show | None = None,
) -> Board:
    """Start or continue the search `name` (default: name of the space), and return its leaderboard.

    `space` is the name of a space or of an existing search, a YAML file or a `Space`; `trials`, `proposals`
    and `seconds` are totals; `overrides` change the space, as in "tasks.0.options.train=1000"; `text` is a
    UTF-8 file that replaces its tasks; `progress` is called after each poll, and None shows it in a notebook.
    `workers` is the number of processes per device; `device` is one device, a comma-separated list, or "all":
    each GPU. Raises CellsearchError if it cannot start or continue, and KeyboardInterrupt if a signal ends
    it.

        >>> board = cs.search("quick", workers=2)                       # doctest: +SKIP
        >>> board                                                       # doctest: +SKIP
        <Board quick: 9 cells, first m31 with 1.021>
        >>> cs.search("quick", trials=80, progress=print)               # doctest: +SKIP
    """
    own = None if text is None else os.fspath(text)
    if isinstance(space, Space) and own is not None:
        raise UsageError("`text` replaces the tasks of a space given by name or file, not of a Space object")
    if isinstance(space, str):
        chosen, name = commands.meant(space, name, overrides, storage, Path(results), own)
    else:
        chosen = (
            space
            if isinstance(space, Space)
            else load_space(space, overrides, own, lookup.seeds(storage, Path(results)))
        )
    options = Options(
        storage=storage, workers=workers, devices=devices.chosen(device.split(",")), data=data, trials=trials,
        proposals=proposals, seconds=seconds, results=Path(results),
    )  # fmt: skip
    if run(chosen, name or chosen.name, options, seed, of_search(progress)):
        raise KeyboardInterrupt
    return leaderboard(name or chosen.name, storage=storage, results=results)


def run(space: Space, name: str, options: Options, seed: int | None, progress: Show | None) -> int:
    """`run.search` on real data: its exit code."""

    def digests(chosen: int) -> dict[str, str]:
        return dict(TorchEvaluator(space, chosen, Path(options.data) if options.data else None).digests())

    return run_search(space, name, digests, options, seed, progress)


def leaderboard(
    name: str | None = None,
    *,
    storage: str | None = None,
    results: str | os.PathLike[str] = RESULTS,
    every: bool = False,
) -> Board:
    """The current leaderboard of a search: a sequence of rows, best first, which a notebook shows as a table.

    `name` None is the newest search in `results`. With `every` all cells, including filtered ones. Raises
    CellsearchError if the search is missing or unreadable.

        >>> board = cs.leaderboard("quick")
        >>> board[0].name, board[0].score, board[0].cell            # doctest: +ELLIPSIS
        ('...', ..., <Cell ...>)
        >>> [row.name for row in board if row.seed]
        ['gru', 'lstm']
        >>> table = board.frame()                                   # where pandas is installed
        >>> len(table) == len(board), float(table.score[0]) == board[0].score
        (True, True)
    """
    study = studies.opened(name or studies.newest(Path(results)), storage, Path(results))
    try:
        return board_of(study, every)
    finally:
        study.store.engine.dispose()  # close connections: a server allows few, and callers may poll


def board_of(study: Study, every: bool = False) -> Board:
    """The board of a study that is open."""
    found = board.trusted(study.store, study.space)
    rows = board.leaderboard(study.store, study.space, every, found)
    return Board(study.facts.name, study.space.baseline, tuple(rows), found.band)
