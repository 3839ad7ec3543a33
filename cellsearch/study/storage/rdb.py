"""Optuna's storage on the engine of a study, with two hooks in its own transactions.

- `check_trial_is_updatable` runs before every write to a trial. Here it also checks the owner of the trial's
work item: a late write of a worker that lost its trial is refused (`Superseded`).
- `_get_prepared_new_trial` creates a trial while the row of the study is locked. Here it also counts, refuses
trials beyond the target (`Full`), and inserts the work item, so that totals are exact.

`joined` lets calls of Optuna and statements of ours be one transaction: both commit, or neither does.

`Direct` hands the storage to Optuna. `optuna.create_study` would put a cache in front of an `RDBStorage` that
keeps every trial in memory; in front of a plain `BaseStorage` it puts none.
"""

import threading
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.distributions import distribution_to_json
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _create_scoped_session, _VersionManager
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, Engine, delete, false, func, insert, inspect, select, update
from sqlalchemy.orm import Session

from cellsearch.errors import RunError
from cellsearch.study.states import OF_TRIALS, Ending, Kind
from cellsearch.study.storage.attributes import Distributions
from cellsearch.study.system.timing import TIMING
from cellsearch.study.tables import schema, transactions
from cellsearch.study.tables.database import shown
from cellsearch.study.tables.queries import stale
from cellsearch.study.tables.schema import items, optuna_trials, studies
from cellsearch.study.tables.transactions import Full, Store, Superseded


class Sessions(threading.local):
    """The sessions of each thread: on a connection in a transaction, else on the engine. One call of Optuna
    uses one session throughout, so that the check of the owner is part of the write."""

    def __init__(self, engine: Engine) -> None:
        self.own = Session(engine)  # Optuna closes it after each use; it begins again then
        self.joined: Session | None = None

    def __call__(self) -> Session:
        return self.joined if self.joined is not None else self.own

    def remove(self) -> None:
        """Sessions are closed after each use."""


class CellStorage(RDBStorage):
    """The storage of one study for the process `owner`."""

    def __init__(self, store: Store, owner: str) -> None:
        # Without the initialiser of RDBStorage, which makes an engine of its own: one engine is one
        # connection a process.
        self.store, self.owner = store, owner
        self.engine, self.url, self.engine_kwargs = store.engine, store.url, {}
        self.skip_compatibility_check = True
        self.heartbeat_interval = self.grace_period = None
        self.heartbeat_stale_trial_callback = self.failed_trial_callback = None
        self.sessions = Sessions(store.engine)
        self.scoped_session = self.sessions  # type: ignore[assignment]
        self.planned: Sequence[dict[str, Any]] = ()  # items of a trial that is created by a plan
        self.patience: int | None = None  # of the space: see `complete`

    @contextmanager
    def joined(self, connection: Connection) -> Iterator[None]:
        """Makes every call of this storage in this thread part of the transaction of `connection`."""
        with (
            deleted(self.store),
            Session(connection, join_transaction_mode="create_savepoint") as session,
        ):
            self.sessions.joined = session
            try:
                yield
            finally:
                self.sessions.joined = None

    def check_trial_is_updatable(self, trial_id: int, trial_state: TrialState) -> None:
        here = (items.c.trial_id == trial_id, items.c.study == self.store.study)
        theirs = (
            select(optuna_trials.c.study_id).where(optuna_trials.c.trial_id == trial_id).scalar_subquery()
        )
        ours = (theirs == schema.bound(self.store.study)).label("ours")
        rows = self.sessions().execute(select(items.c.owner, items.c.outcome, ours).where(*here)).all()
        if rows and not rows[0].ours:
            raise transactions.gone(self.store)
        if rows and not any(row.owner == self.owner and not row.outcome for row in rows):
            raise Superseded(f"trial {trial_id}")
        super().check_trial_is_updatable(trial_id, trial_state)  # last: its error may be passed over

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Overrides Optuna: no trial is ever waiting. `ask` would search all trials, and could return a trial
        enqueued by a plain client, which has no work item."""
        if states == (TrialState.WAITING,):
            return []
        return super().get_all_trials(study_id, deepcopy, states)

    def set_trial_params(self, trial_id: int, params: Mapping[str, int], ranges: Distributions) -> None:
        """Inserts all parameters of a new trial in one statement; `set_trial_param` needs three each."""
        with self.sessions() as session:
            trial: Any = models.TrialModel.find_or_raise_by_id(trial_id, session)
            self.check_trial_is_updatable(trial_id, trial.state)
            rows = [
                {
                    "trial_id": trial_id, "param_name": name, "param_value": float(value),
                    "distribution_json": distribution_to_json(ranges[name]),
                }
                for name, value in params.items()
            ]  # fmt: skip
            session.execute(insert(models.TrialParamModel), rows)
            session.commit()

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """As in Optuna, but without retries: an error ends the enclosing transaction, and its caller retries.
        It locks the row of the study, so on its own it is a bounded transaction."""
        if self.sessions.joined is None:
            with transactions.apart(self.store) as connection, self.joined(connection):
                return self.create_new_trial(study_id, template_trial)
        with _create_scoped_session(self.scoped_session) as session:
            models.StudyModel.find_or_raise_by_id(study_id, session, for_update=True)
            return int(self._get_prepared_new_trial(study_id, template_trial, session).trial_id)

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        changed = super().set_trial_state_values(trial_id, state, values)
        if state.is_finished():  # the clock was set back, or is that of another host
            rows: Any = models.TrialModel.__table__
            early = (rows.c.trial_id == trial_id, rows.c.datetime_complete < rows.c.datetime_start)
            with self.sessions() as session:
                session.execute(update(rows).where(*early).values(datetime_complete=rows.c.datetime_start))
                session.commit()
        return changed

    def _get_prepared_new_trial(
        self, study_id: int, template_trial: FrozenTrial | None, session: Session
    ) -> models.TrialModel:
        if session.execute(select(schema.bound(self.store.study))).scalar() != study_id:
            raise transactions.gone(self.store)
        if not self.planned and not has_room(session, self.store.study, self.patience):
            raise Full
        trial = super()._get_prepared_new_trial(study_id, template_trial, session)
        row = {"study": self.store.study, "trial": trial.number, "trial_id": trial.trial_id}
        new = self.planned or [{"piece": 0, "owner": self.owner}]
        session.execute(insert(items), [row | item for item in new])
        return trial


@contextmanager
def deleted(store: Store) -> Iterator[None]:
    """Converts Optuna's error for a deleted row to a RunError, and unwraps errors of drivers."""
    try:
        yield
    except StorageInternalError as error:
        raise error.__cause__ or error from error
    except KeyError as error:
        if error.args[:1] != (models.NOT_FOUND_MSG,):
            raise
        raise transactions.gone(store) from error


def totals(study: int) -> tuple[Any, ...]:
    """Columns of a query of `studies`: the targets of a study, and its items that count towards them."""
    mine = (items.c.study == study,)

    def number(name: str, *which: Any) -> Any:
        return select(func.count()).select_from(items).where(*mine, *which).scalar_subquery().label(name)

    return (
        studies.c.trials,
        studies.c.proposals,
        number("made", items.c.kind.in_(OF_TRIALS)),
        number("proposed", items.c.kind == Kind.PROPOSE),
        number("undecided", items.c.kind == Kind.UNDECIDED, items.c.outcome == Ending.OPEN),
    )


def complete(study: int, patience: int | None) -> Any:
    """A column of a query of `studies`: whether the last `patience` proposals, including running ones,
    brought no better score. No cost without a limit."""
    if patience is None:
        return false()
    open_ = (items.c.study == study, items.c.outcome == Ending.OPEN)
    running = select(func.count()).where(*open_, items.c.kind.in_((Kind.PROPOSE, Kind.UNDECIDED)))
    return stale(study) + running.scalar_subquery() >= patience


def has_room(session: Session | Connection, study: int, patience: int | None = None) -> bool:
    """Whether another trial may be created now."""
    query = select(*totals(study), complete(study, patience).label("complete")).where(studies.c.id == study)
    known = session.execute(query).one()
    return room(known) and not known.complete


def room(known: Any) -> bool:
    """Whether the targets allow another trial, by a row of `totals`. An undecided one may become a proposal,
    so it counts as one."""
    trials = known.trials is None or known.made < known.trials
    return trials and (known.proposals is None or known.proposed + known.undecided < known.proposals)


def _delegate(name: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(self.storage, name)(*args, **kwargs)

    return method


_PASSED_ON = (
    *sorted(BaseStorage.__abstractmethods__), "get_best_trial", "get_n_trials", "get_trial_params",
    "get_trial_id_from_study_id_trial_number", "get_trial_number_from_id", "check_trial_is_updatable",
    "set_trial_params",
)  # fmt: skip


def direct(storage: RDBStorage) -> BaseStorage:
    """`storage` as a `BaseStorage`, for which Optuna adds no cache."""
    found: BaseStorage = type("Direct", (BaseStorage,), {name: _delegate(name) for name in _PASSED_ON})()
    found.storage = storage  # type: ignore[attr-defined]
    return found


def delete_trials(connection: Connection, study_id: int) -> None:
    """Deletes all trials of Optuna with this study id, and orphaned rows."""
    others = select(optuna_trials.c.trial_id).where(optuna_trials.c.study_id != study_id)
    for table in models.BaseModel.metadata.tables.values():
        if "trial_id" in table.c and table.name != optuna_trials.name:
            connection.execute(delete(table).where(table.c.trial_id.not_in(others)))
    connection.execute(delete(optuna_trials).where(optuna_trials.c.study_id == study_id))


def remove(store: Store) -> None:
    """Deletes a study with all its rows, ours and Optuna's, in one transaction. Raises RunError if it does
    not exist."""
    with transactions.writing(store) as connection:
        study_id = connection.execute(select(schema.bound(store.study))).scalar()
        if study_id is None:
            raise transactions.gone(store)
        there = set(inspect(connection).get_table_names())
        for ours in (table for table in schema.OURS if table.name in there):
            key = ours.c.id if ours is studies else ours.c.study
            connection.execute(delete(ours).where(key == store.study))
        delete_trials(connection, study_id)
        for table in reversed(models.BaseModel.metadata.sorted_tables):
            if "study_id" in table.c:
                connection.execute(delete(table).where(table.c.study_id == study_id))


def prepare(engine: Engine, url: str, busy: float = TIMING.busy) -> None:
    """Creates missing tables, Optuna's and ours, in one transaction; Optuna alone would use several
    connections, and fail if two processes do it at the same time. Raises RunError if existing tables are of
    another version of Optuna."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    transactions.prepare(engine, url, lambda connection: _prepare(connection, url), busy)


def _prepare(connection: Connection, url: str) -> None:
    """Optuna's own initialisation of a storage."""
    models.BaseModel.metadata.create_all(connection)
    info: Any = models.VersionInfoModel.__table__
    schema = connection.execute(select(info.c.schema_version)).scalar()
    if schema is None:
        new = {"schema_version": models.SCHEMA_VERSION, "library_version": optuna.__version__}
        connection.execute(insert(info).values(version_info_id=1, **new))
    context, versions = _versions(connection, url)
    if context.get_current_revision() is None and schema in (None, models.SCHEMA_VERSION):
        context.stamp(versions._create_alembic_script(), versions.get_head_version())
    compatible(connection, url)


def compatible(connection: Connection, url: str) -> None:
    """Raises RunError if Optuna's tables are of another version of Optuna: nothing may be written to them."""
    context, versions = _versions(connection, url)
    if context.get_current_revision() != versions.get_head_version():
        raise RunError(
            f"{shown(url)}: its tables are of another version of Optuna than {optuna.__version__}\n"
            "upgrade it: optuna storage upgrade --storage URL"
        )


def _versions(connection: Connection, url: str) -> tuple[Any, _VersionManager]:
    # imported here: reading verbs do not need it
    from alembic.runtime.migration import MigrationContext

    versions = _VersionManager.__new__(_VersionManager)  # its initialiser writes, in several transactions
    versions.url = url
    return MigrationContext.configure(connection), versions
