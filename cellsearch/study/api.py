"""The search from Python: what `cellsearch search` and `leaderboard` do, with values instead of text."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from cellsearch.errors import UsageError
from cellsearch.study import lookup, studies
from cellsearch.study.leaderboard import board
from cellsearch.study.leaderboard.board import Row
from cellsearch.study.leaderboard.progress import Progress
from cellsearch.study.manage import commands
from cellsearch.study.space import Space, load_space
from cellsearch.study.studies import RESULTS
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
    progress: Callable[[Progress], None] | None = None,
) -> list[Row]:
    """Starts or continues the search `name` (default: that of the space), and returns its leaderboard.

    `space` is a name (also that of a search that is there), a YAML file or a `Space`; `trials`, `proposals`
    and `seconds` are totals, not more; `overrides` change the space, as in "tasks.0.options.train=1000";
    `text` is a UTF-8 file that takes the place of its tasks; `progress` is called with every look at the
    search. `workers` is the number of processes on each device; `device` is one, or several with
    commas between them, or "all": each GPU. Raises CellsearchError where it cannot start or go on, and
    KeyboardInterrupt where a signal ends it before it is done.
    """
    own = None if text is None else os.fspath(text)
    if isinstance(space, Space) and own is not None:
        raise UsageError("a text takes the place of tasks in a space by name or file, not in a Space")
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
    if run(chosen, name or chosen.name, options, seed, progress):
        raise KeyboardInterrupt
    return leaderboard(name or chosen.name, storage=storage, results=results)


def run(
    space: Space, name: str, options: Options, seed: int | None, progress: Callable[[Progress], None] | None
) -> int:
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
) -> list[Row]:
    """The leaderboard of a search as it stands (of the newest in `results` where None), best first; with
    `every` all cells, those that were filtered too."""
    study = studies.opened(name or studies.newest(Path(results)), storage, Path(results))
    try:
        return board.leaderboard(study.store, study.space, every)
    finally:
        study.store.engine.dispose()  # a server allows few connections, and this may be called often
