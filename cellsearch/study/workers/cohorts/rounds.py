"""The trials of a cohort, stage by stage.

A cohort is the set of trials that a worker took in one transaction. All its trials decide first, in the order
of their numbers; rounds follow: every trial claims the settings of its next stage, these stages train side by
side, and each is recorded as soon as it ends. When all have ended, the trials continue in the order of their
numbers: each is completed, or claims its next stage. So decisions, claims and reports depend only on records,
not on the speed of trainings or the time of a kill: an adopter skips the recorded stages, and waits at the
same points.

The crash of a process with several trials does not identify the cause. Such trials train one by one, while
the worker has released the others: the next crash identifies its trial. A trial that was still undecided
after `RETRIES` crashes runs alone.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

from cellsearch.study.storage.endings import RETRIES
from cellsearch.study.tables.work_items import Item
from cellsearch.study.workers.cohorts.training import Trainer
from cellsearch.study.workers.trial.walk import Claimed, Trained, Walk

#: Handles an exception of a trial; reraises it if the worker must end.
Lost = Callable[[Exception, Item], None]


def alone(walk: Walk, trainer: Trainer) -> None:
    """The work on one trial, from start to end."""
    wanted = _step(walk)
    while wanted is not ENDED:
        if not isinstance(wanted, Claimed):
            wanted = _step(walk)
            continue
        try:
            found: Trained | Exception = trainer.alone(wanted)
        except Exception as error:
            found = error
        wanted = _step(walk, found)


class _Ended:
    """The next request of a finished trial."""


ENDED = _Ended()


def _step(walk: Walk, found: Trained | Exception | None = None) -> Claimed | _Ended | None:
    """Resumes a trial with the result of its requested stage; returns its next request."""
    try:
        return walk.throw(found) if isinstance(found, Exception) else walk.send(found)
    except StopIteration:
        return ENDED


@dataclass(slots=True)
class _Run:
    """A running trial of a cohort."""

    item: Item
    walk: Walk
    suspect: bool  # a process crashed during its training, without a record since
    wants: Claimed | _Ended | None = None


def together(
    items: Sequence[Item],
    walk: Callable[[Item], Walk],
    trainer: Trainer,
    put_back: Callable[[Sequence[Item]], None],
    lost: Lost,
) -> None:
    """The work on the trials of a cohort, until all have ended; or until `put_back` has released all suspects
    of a crash except one, which trained alone. Then the worker takes them again."""
    one = next((item for item in items if item.attempts >= RETRIES and not item.kind), None)
    if one is not None:
        put_back([item for item in items if item is not one])
        items = [one]
    runs = [_Run(item, walk(item), item.attempts > 0) for item in items]

    def step(run: _Run, found: Trained | Exception | None = None) -> None:
        try:
            run.wants = _step(run.walk, found)
        except Exception as error:
            run.wants = ENDED
            lost(error, run.item)

    def all_on() -> None:
        for run in runs:
            step(run)
        runs[:] = [run for run in runs if run.wants is not ENDED]

    all_on()  # all have decided
    while runs:
        all_on()
        training = [run for run in runs if isinstance(run.wants, Claimed)]
        suspect = next((run for run in training if run.suspect), None)
        by_itself = suspect is not None and len(runs) > 1
        if suspect is not None and by_itself:
            put_back([run.item for run in runs if run is not suspect])
            training = [suspect]
        wanted = [run.wants for run in training if isinstance(run.wants, Claimed)]
        if wanted:
            with closing(trainer.together(wanted)) as ended:
                for k, found in ended:
                    step(training[k], found)
        if by_itself:
            return
        runs[:] = [run for run in runs if run.wants is not ENDED]
