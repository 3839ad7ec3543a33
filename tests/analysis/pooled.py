"""Works of a verification in processes of their own. `Place.data` is a folder through which they meet."""

import os
import time
from pathlib import Path

from cellsearch.analysis.verify.work import Place, Work, data_seed
from cellsearch.study.tables.repeats import Repeat, Round
from tests.study.scripted import uniform


def looked_up(place: Place, work: Work) -> Round:
    """Accuracies that follow from the work alone."""
    found = []
    for seed in work.seeds(place.seed):
        accuracy = 0.6 * (0.98 + 0.04 * uniform(seed, work.task))
        found.append(Repeat(seed, "done", accuracy, 1.0, accuracy - 0.01, 1.1, 3, 5))
    digest = f"{data_seed(place.seed, work.look):064x}"
    return Round(work.fingerprint, work.task, work.look, work.setting, digest, tuple(found), 0.1)


def side_by_side(place: Place, work: Work) -> Round:
    """The same, once two processes are at work."""
    assert place.data is not None
    folder = Path(place.data)
    (folder / str(os.getpid())).touch()
    end = time.monotonic() + 120
    while sum(1 for _ in folder.iterdir()) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    return looked_up(place, work)


def killed(place: Place, work: Work) -> Round:
    """The same, but the process is gone at the second task."""
    if work.task == "xml":
        os._exit(9)
    return looked_up(place, work)
