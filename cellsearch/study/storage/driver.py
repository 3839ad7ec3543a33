"""A process's handle of a study: Optuna's `Study` on the storage of `rdb`, and transactions for both.

A plain client of Optuna may end one of our trials, or delete the study. Our records stay authoritative: a
report after such an end is skipped, and a deleted study is an error.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import Trial, TrialState, create_trial
from sqlalchemy import Connection

from cellsearch.study.states import Ending
from cellsearch.study.storage.attributes import RESULT
from cellsearch.study.storage.rdb import CellStorage, deleted, direct
from cellsearch.study.tables import transactions
from cellsearch.study.tables.database import translated
from cellsearch.study.tables.transactions import Store

STATES: Mapping[str, TrialState] = {
    Ending.RANKED: TrialState.COMPLETE,
    Ending.FILTERED: TrialState.PRUNED,
    Ending.FAILED: TrialState.FAIL,
}


@dataclass(frozen=True, slots=True)
class Driver:
    """A study as handled by one process."""

    store: Store
    storage: CellStorage
    study: optuna.Study
    _asked: dict[int, Trial] = field(default_factory=dict, repr=False)  # None before they are looked up

    @property
    def owner(self) -> str:
        """Id of the process."""
        return self.storage.owner

    @contextmanager
    def apart(self) -> Iterator[Connection]:
        """`tables.apart`, and every call of Optuna in this thread is part of it."""
        with self._joined(transactions.apart(self.store)) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """`tables.writing`, likewise."""
        with self._joined(transactions.writing(self.store)) as connection:
            yield connection

    @contextmanager
    def _joined(self, transaction: AbstractContextManager[Connection]) -> Iterator[Connection]:
        with transaction as connection, self.storage.joined(connection):
            yield connection

    def ask(self) -> int:
        """The id of a new trial. Raises `Full` if the target is reached."""
        with translated(self.store.url), deleted(self.store):
            asked = self.study.ask()
        self._asked[asked._trial_id] = asked
        return asked._trial_id

    def trial(self, trial_id: int) -> Trial:
        """A trial of this study by its id, also one that another process has created."""
        if (asked := self._asked.pop(trial_id, None)) is not None:
            return asked
        with translated(self.store.url), deleted(self.store):
            return Trial(self.study, trial_id)

    def prunes(self, trial: Trial, step: int, value: float) -> bool:
        """The decision of the study's pruner after the report of `value` at `step`, as for
        `trial.should_prune()`; ignores changes by plain clients."""
        frozen = create_trial(
            state=TrialState.RUNNING, user_attrs=trial.user_attrs, intermediate_values={step: value}
        )
        return self.study.pruner.prune(self.study, frozen)


def open_driver(
    store: Store, owner: str, sampler: BaseSampler | None = None, pruner: BasePruner | None = None
) -> Driver:
    """The study of `store` for the process `owner`. Without a sampler it proposes nothing."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = CellStorage(store, owner)
    with translated(store.url), deleted(store):
        study = optuna.load_study(
            study_name=store.name, storage=direct(storage), sampler=sampler or RandomSampler(),
            pruner=pruner or NopPruner(),
        )  # fmt: skip
    return Driver(store, storage, study)


def report(trial: Trial, step: int, value: float) -> None:
    """Reports a stage, once."""
    with suppress(UpdateFinishedTrialError):
        trial.storage.set_trial_intermediate_value(trial._trial_id, step, value)


def tell(trial: Trial, outcome: str, score: float | None, result: dict[str, Any]) -> None:
    """Ends a trial, with `result` as its attribute."""
    state = STATES[outcome]
    with suppress(UpdateFinishedTrialError):
        trial.set_user_attr(RESULT, {key: value for key, value in result.items() if value not in ("", None)})
        value = score if state == TrialState.COMPLETE else None
        trial.study.tell(trial, value, state=state, skip_if_finished=True)
