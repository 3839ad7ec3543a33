"""`cs.train`."""

import os
from collections.abc import Sequence
from pathlib import Path

from cellsearch.analysis.training.model import MEMORY, Model, Progress, trained
from cellsearch.analysis.training.plan import Wanted, plan
from cellsearch.api.progress import of_training
from cellsearch.dsl.graph import Cell
from cellsearch.study.lookup import RESULTS, Found, find_cell
from cellsearch.train.resources import devices


def train(
    cell: Cell | str,
    task: str | None = None,
    *,
    setting: str | None = None,
    seeds: int = 3,
    out: str | os.PathLike[str] | None = None,
    hidden: int | None = None,
    layers: int | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    space: str | None = None,
    overrides: Sequence[str] = (),
    data: str | os.PathLike[str] | None = None,
    storage: str | None = None,
    results: str | os.PathLike[str] = RESULTS,
    device: str = "cpu",
    memory: float = MEMORY,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Model:
    """Train a cell on a task and save the model: a folder with model.py, which needs only PyTorch, its
    weights, config.json and a model card.

    `cell` is a cell, a zoo name, a `.cell` file, "quick:1" or the first letters of a fingerprint. A found
    cell has the tasks, the data and the best setting of its search, whose recorded validation accuracy is
    reproduced; any other one the `task` of that name, or of a `space`. `setting`
    ("learning_rate=0.5,layers=2"), `layers`, `hidden` (units of a layer), `epochs` (at most) and `overrides`
    ("options.train=100000") change it. `seeds` are trained as one population; the best on the validation
    part is kept. After a kill the same call resumes; an existing model is read. `memory` is in gigabytes, for
    the seeds that train at once. `progress` is called after every epoch with what is trained, epochs done,
    seeds in training and the best validation accuracy; None shows it in a notebook.

    Raises CellsearchError if something is missing, if every seed diverges, or if another model is in the
    folder (`overwrite` replaces it).

        >>> model = cs.train("quick:1", "arithmetic")                   # doctest: +SKIP
        >>> model.folder, model.accuracy, model.test_accuracy           # doctest: +SKIP
        (PosixPath('results/quick/models/m31-arithmetic'), 0.9312, 0.9287)
        >>> cs.train("gru", "xml", setting="learning_rate=0.5", seeds=1, out="my_model")    # doctest: +SKIP
    """
    places = Path(results)
    found = Found(cell, "") if isinstance(cell, Cell) else find_cell(cell, storage, results=places)
    wanted = Wanted(task, setting, seeds, seed, hidden, layers, epochs, space, tuple(overrides))
    (chosen,) = devices.chosen([device])
    devices.check(chosen)
    made = plan(found, wanted, None if data is None else Path(data))
    folder = made.folder if found.study is None else places / made.folder.relative_to("results")
    return trained(
        made, Path(out) if out is not None else folder, device=chosen, memory=memory, overwrite=overwrite,
        progress=of_training(progress),
    )  # fmt: skip
