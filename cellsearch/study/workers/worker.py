"""One worker: takes trials, decides, evaluates and records stage by stage, completes, and takes the next.
On a CPU it runs one trial at a time, on a GPU a cohort. All state of a worker is recorded: it may be killed
at any time, and the adopter of its trial continues after the last recorded stage.

Randomness of a trial comes from (study seed, trial number, purpose), that of a training run from (study seed,
cell, task, setting).
"""

import random
import time
from collections.abc import Callable, Sequence

from cellsearch.errors import CellsearchError, RunError, printable
from cellsearch.study.leaderboard.trust import recorded_band
from cellsearch.study.space import Space, with_cells
from cellsearch.study.storage import endings, queue
from cellsearch.study.storage.driver import open_driver
from cellsearch.study.storage.heartbeat import Heart, register
from cellsearch.study.storage.pruner import StagePruner
from cellsearch.study.storage.queue import Idle
from cellsearch.study.storage.rdb import compatible
from cellsearch.study.storage.sampler import MutationSampler
from cellsearch.study.strategies import Propose
from cellsearch.study.tables import cellrecords
from cellsearch.study.tables.costs import Costs
from cellsearch.study.tables.outbox import Outbox
from cellsearch.study.tables.records import facts
from cellsearch.study.tables.study_facts import Facts
from cellsearch.study.tables.table_view import Offered, TableView
from cellsearch.study.tables.transactions import Store, Superseded, reading
from cellsearch.study.tables.work_items import Item
from cellsearch.study.workers.cohorts import rounds
from cellsearch.study.workers.cohorts.training import Trainer
from cellsearch.study.workers.evaluator import Evaluator
from cellsearch.study.workers.retry import patiently
from cellsearch.study.workers.trial.runner import TrialRunner

WAIT_SECONDS = (0.2, 10.0)  # interval of polls for a trial during the baseline: first, maximum
CRASHES = 3  # exceptions in a row after which a worker exits: the process itself may be broken


def work(
    store: Store,
    space: Space,
    evaluator: Evaluator,
    propose: Propose,
    heart: Heart,
    crashes_allowed: int = CRASHES,
    outbox: Outbox | None = None,
    offered: Offered | None = None,
    cohort: int = 1,
) -> None:
    """Works on trials until none is left, on `cohort` at once. Stages that cannot be recorded are kept in
    `outbox`. `offered` restricts the settings of a cell, for an evaluator that has no others; None: all. A
    user-facing error ends the worker, except for an unusable cell, which is a failed trial. Any other
    exception releases the trial, like a crash of the worker; the last of `crashes_allowed` in a row is
    raised. The first one releases all trials: any may be the cause.
    """
    me, failures, patience = heart.worker.id, space.strategy.failures, space.budget.patience
    known = patiently(lambda: facts(store), store.timing)
    check_data(known, evaluator)
    costs = Costs(store, space.strategy.cost, space.limits.width)

    def look() -> TableView:
        nonlocal known
        if known.baseline is None:  # constant once the units are frozen
            known = facts(store)
        return TableView(store, space, known, costs, seeds, offered, lambda: recorded_band(store, known, own))

    seeds = cellrecords.recorded_cells(store, seeds=True)
    own = [s.fingerprint for s in sorted(seeds, key=lambda seed: seed.name != space.baseline)]
    recorded = with_cells(space, {seed.name: seed.text for seed in seeds})  # files may have been deleted
    sampler = MutationSampler(recorded, seed=known.seed, propose=propose)
    patiently(lambda: check_optuna(store), store.timing)
    driver = patiently(lambda: open_driver(store, me, sampler, StagePruner(space)), store.timing)
    runner = TrialRunner(driver, sampler, space, evaluator, heart, look, outbox, offered, cohort > 1)
    trainer = Trainer(evaluator, heart, space.budget.stage_hours, runner.give_up)
    crashes = 0

    def lost(error: Exception, item: Item) -> None:
        nonlocal crashes
        if isinstance(error, Superseded):  # this worker was silent for too long: another one owns the trial
            patiently(lambda: register(store, heart.worker), store.timing)
            return
        if isinstance(error, CellsearchError):
            raise error
        crashes += 1
        cause = printable(f"{type(error).__name__}: {error}", 1_000)
        among = [item] if crashes_allowed > 1 else None
        endings.release(store, [me], me, crash=cause, failures=failures, among=among)
        if crashes >= crashes_allowed:
            raise error

    def put_back(others: Sequence[Item]) -> None:
        endings.release(store, [me], me, failures=failures, among=others)

    while True:
        heart.doing = "taking the next trial" if cohort == 1 else "taking the next trials"
        taken = patiently(lambda: queue.take(driver, cohort, patience), store.timing)
        if taken is Idle.DONE:
            return
        if isinstance(taken, Idle):
            heart.doing = "waiting for other workers"
            wait(store, me, patience)
            continue
        before = crashes
        if cohort == 1:
            for item in taken:
                try:
                    patiently(lambda: rounds.alone(runner.walk(item), trainer), store.timing)  # noqa: B023
                except Exception as error:
                    lost(error, item)
        else:
            _together(lambda: queue.take(driver, cohort, patience), taken, runner, trainer, put_back, lost)
        crashes = 0 if crashes == before else crashes


def _together(
    take: Callable[[], list[Item] | Idle],
    taken: list[Item] | Idle,
    runner: TrialRunner,
    trainer: Trainer,
    put_back: Callable[[Sequence[Item]], None],
    lost: rounds.Lost,
) -> None:
    """The work on a cohort. After a database outage it continues from the records."""
    first = [taken]

    def work() -> None:
        found = first.pop() if first else take()
        if not isinstance(found, Idle):
            rounds.together(found, runner.walk, trainer, put_back, lost)

    patiently(work, runner.driver.store.timing)


def check_optuna(store: Store) -> None:
    """Refuses tables of another version of Optuna."""
    with reading(store.engine, store.url) as connection:
        compatible(connection, store.url)


def wait(store: Store, worker: str, patience: int | None = None) -> None:
    """Waits until a trial may be available. The polling interval grows: a thousand workers may wait."""
    pause, most = WAIT_SECONDS
    while True:
        time.sleep(pause * random.uniform(0.75, 1.25))
        if not patiently(lambda: queue.waiting(store, worker, patience), store.timing):
            return
        pause = min(1.5 * pause, most)


def check_data(known: Facts, evaluator: Evaluator) -> None:
    """Raises an error if the data differs from that of the study."""
    for task, digest in evaluator.digests().items():
        if known.data.get(task) != digest:
            raise RunError(
                f"the data of {task} on this machine differs from the data of the study {known.name!r} "
                f"({digest[:12]}, not {known.data.get(task, 'none')[:12]})\n"
                "copy that data here (`--data DIR`), or start a study of another --name"
            )
