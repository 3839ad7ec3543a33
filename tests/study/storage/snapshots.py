"""All that a database holds of a study: our tables and Optuna's rows, without the times."""

from typing import Any

import optuna
from sqlalchemy import select

from cellsearch.study.storage.attributes import RESULT
from cellsearch.study.tables import schema, transactions
from cellsearch.study.tables.transactions import Store

TIMES = ("seconds", "uuid")
TABLES = (
    schema.studies, schema.cells, schema.functions, schema.equivalents, schema.items, schema.stages, schema.claims,
)  # fmt: skip


def plain(store: Store) -> optuna.Study:
    """The study as any client of Optuna opens it."""
    return optuna.load_study(study_name=store.name, storage=store.url)


def rows(store: Store) -> dict[str, list[dict[str, Any]]]:
    """Our tables."""
    found = {}
    with transactions.reading(store.engine, store.url) as connection:
        for table in TABLES:
            mine = (table.c.id if table is schema.studies else table.c.study) == store.study
            kept = [dict(row._mapping) for row in connection.execute(select(table).where(mine))]
            found[table.name] = sorted(
                ({name: value for name, value in row.items() if name not in TIMES} for row in kept), key=repr
            )
    return found


def trials(store: Store) -> list[dict[str, Any]]:
    """Optuna's trials."""
    study = plain(store)
    return [
        {
            "number": trial.number, "id": trial._trial_id, "state": trial.state.name, "values": trial.values,
            "params": trial.params, "distributions": trial.distributions, "system": trial.system_attrs,
            "reports": {step: repr(value) for step, value in trial.intermediate_values.items()},
        }
        | {name: without_seconds(value) for name, value in trial.user_attrs.items()}
        for trial in study.trials
    ]  # fmt: skip


def without_seconds(value: Any) -> Any:
    return {k: v for k, v in value.items() if k != "seconds"} if isinstance(value, dict) else value


def result_of(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    """How a trial ended."""
    return dict(trial.user_attrs[RESULT])


def snapshot(store: Store) -> dict[str, Any]:
    """Both."""
    return rows(store) | {"optuna": trials(store)}
