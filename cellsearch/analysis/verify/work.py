"""A unit of training of a verification: a cell on a task, the repeats that one look adds, as one population.

Initial weights have fresh seeds. A task that generates its data has new data in each round; a task that reads
a file has the same. The weights of the epoch with the best validation accuracy are scored on the test part,
which was not used for any choice.
"""

import hashlib
import time
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from cellsearch.dsl.text import parse
from cellsearch.study.scoring.verdicts import planned
from cellsearch.study.space import TaskStage, parse_space
from cellsearch.study.tables.repeats import Repeat, Round
from cellsearch.tasks import Dataset, build
from cellsearch.train.settings import keys


@dataclass(frozen=True, slots=True)
class Place:
    """The search, and the device of its verification."""

    space: str  # YAML text
    seed: int  # of the study
    data: str | None = None  # directory
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class Work:
    """A unit of training."""

    fingerprint: str
    text: str  # of the cell
    task: str  # name of the stage
    setting: str  # its values as text
    look: int
    base: bool  # the baseline has more repeats

    def seeds(self, study: int) -> tuple[int, ...]:
        """A seed of initial weights for each repeat, unique to this work."""
        about = f"verify {study} {self.fingerprint} {self.task} {self.look}"
        return tuple(_number(f"{about} {k}") for k in range(planned(self.look, self.base)))


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1


def data_seed(study: int, look: int) -> int:
    """The seed of the data of a round, different from that of any search."""
    return _number(f"verify {study} data {look}")


@lru_cache(maxsize=8)  # a round has one data set per task
def _dataset(place: Place, task: str, look: int) -> Dataset:
    stage = _stage(place, task)
    folder = Path(place.data) if place.data else None
    return build(
        stage.task, stage.options, batch=stage.training.batch, seed=data_seed(place.seed, look), data=folder
    )


def _stage(place: Place, task: str) -> TaskStage:
    return next(stage for stage in parse_space(place.space).tasks if stage.name == task)


def train(place: Place, work: Work) -> Round:
    """Trains the repeats of a work, all together as far as memory allows."""
    # here: these load torch
    from cellsearch.train.final.fit import Job, fit, joined, split
    from cellsearch.train.resources import cost
    from cellsearch.train.resources.threads import one_thread

    one_thread()
    begun = time.monotonic()
    stage, dataset, cell = _stage(place, work.task), _dataset(place, work.task, work.look), parse(work.text)
    setting = stage.grid[keys(stage.grid)[work.setting]]
    hidden = cost.width(cell, dataset.vocabulary, setting.layers, setting.parameters)
    training = replace(stage.training, rungs=())  # those compare settings; here is only one
    job = Job(cell, dataset, setting, hidden, training, work.seeds(place.seed))
    bound = 1e9 * parse_space(place.space).budget.memory_gb
    scores = joined(job, [fit(part, device=place.device) for part in split(job, bound)]).scores
    repeats = tuple(
        Repeat(
            s.seed, s.status.value, s.accuracy, s.loss, s.test_accuracy, s.test_loss, s.epochs, s.trained,
            s.cause,
        )
        for s in scores
    )  # fmt: skip
    seconds = time.monotonic() - begun
    return Round(work.fingerprint, work.task, work.look, work.setting, dataset.digest, repeats, seconds)
