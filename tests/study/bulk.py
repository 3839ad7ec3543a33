"""A long study without a search: its rows are made directly, in our tables and in Optuna's."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from optuna.distributions import distribution_to_json
from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy import Connection, Table, insert, select

from cellsearch.dsl.text import parse, show
from cellsearch.dsl.zoo import load
from cellsearch.study.mutation.sizes import MEASURES
from cellsearch.study.mutation.spec import Limits
from cellsearch.study.space import Space
from cellsearch.study.storage.attributes import RECORD, RESULT, distributions, record_of, structure, within
from cellsearch.study.tables import records, schema, transactions
from cellsearch.study.tables.study_facts import Target
from cellsearch.study.tables.transactions import Store
from cellsearch.train.outcome import Outcome
from tests.study.scripted import KEYS, SEEDS, Scripted, new_study, one_of, work

CHUNK = 5_000  # trials that are inserted together
TEXT = show(replace(load("lstm"), name="m", description=""))  # of the size that most mutants have


def long_study(folder: Path, space: Space, count: int) -> Store:
    """A study with its baseline done and `count` proposals: one in ten has passed the filter and is ranked."""
    store = new_study(folder, space, trials=0)
    work(store, space, Scripted(), one_of(1))
    with transactions.writing(store) as connection:
        for first in range(0, count, CHUNK):
            insert_trials(connection, store, space, range(first, min(first + CHUNK, count)))
    records.extend(store, Target(count + 1_000))
    return store


def insert_trials(connection: Connection, store: Store, space: Space, numbers: range) -> None:
    """The proposals of these numbers, counted from 0, each of a cell of its own."""
    study = connection.execute(
        select(models.StudyModel.study_id).filter_by(study_name=store.name)
    ).scalar_one()
    found: dict[Table, list[dict[str, Any]]] = {}
    for number in numbers:
        for table, row in rows_of(store.study, study, space, number):
            found.setdefault(table, []).append(row)
    for table, rows in found.items():
        connection.execute(insert(table), rows)


def rows_of(ours: int, theirs: int, space: Space, number: int) -> Iterator[tuple[Table, dict[str, Any]]]:
    """All rows of one proposal."""
    rng = np.random.default_rng(number)
    ranked = number % 10 == 0
    trial, mark, parent = len(SEEDS) + number, f"{number:064x}", SEEDS["gru"]
    trial_id = trial + 1
    here = {"study": ours, "trial": trial, "piece": 0}
    ratios = (
        {0: 0.97, 1: float(rng.uniform(0.95, 1.1)), 2: float(rng.uniform(0.95, 1.1))} if ranked else {0: 0.5}
    )
    score = min(ratios[1], ratios[2]) if ranked else None
    outcome = "ranked" if ranked else "filtered"
    cell = {"study": ours, "fingerprint": mark, "name": f"m{number}", "text": TEXT, "parent": parent}
    yield schema.cells, cell | {"edits": "[]", "trial": trial, "seed": False, "score": score}
    function = {"study": ours, "function": f"f{number:063x}", "fingerprint": mark}
    yield schema.functions, function
    item = here | {"trial_id": trial_id, "kind": "propose", "fingerprint": mark, "parent": parent}
    yield schema.items, item | {
        "outcome": outcome, "score": score, "task": "" if ranked else "filter", "seconds": 1.0,
    }  # fmt: skip
    if ranked:
        counts = dict.fromkeys(MEASURES, 7 * number % 100 + 3)
        yield schema.sizes, {"study": ours, "fingerprint": mark, "width": space.limits.width} | counts
    for step, ratio in ratios.items():
        yield from stage_of(
            here, mark, ("filter", "arithmetic", "xml")[step], 0.8 * ratio if step else ratio, number
        )
    yield from optuna_rows(theirs, trial_id, trial, mark, outcome, score, ratios)


def stage_of(
    here: Mapping[str, Any], mark: str, task: str, accuracy: float, number: int
) -> Iterator[tuple[Table, dict[str, Any]]]:
    """A recorded stage and its claims."""
    count = 1 if task == "filter" else 4
    outcomes = [asdict(Outcome(KEYS[k], "done", accuracy, 1.0, 9, 8, 100)) for k in range(count)]
    key = {**here, "task": task, "fingerprint": mark}
    yield schema.stages, key | {
        "outcomes": json.dumps(outcomes), "settings": count, "trained": count, "accuracy": accuracy, "loss": 1.0,
        "setting": KEYS[0], "parameters": 100 + number % 7, "hidden": 8, "seconds": 1.0,
    }  # fmt: skip
    for k in range(count):
        yield schema.claims, key | {"setting": KEYS[k], "place": k}


def _table(model: Any) -> Table:
    return model.__table__  # type: ignore[no-any-return]


RANGES = distributions(Limits(), [load(name) for name in SEEDS])
PARAMS = within(structure(parse(TEXT)), RANGES)
BOUNDS = {name: distribution_to_json(bounds) for name, bounds in RANGES.items()}
RECORDED = record_of("propose", parse(TEXT), "", parent=SEEDS["gru"])
STATES = {"ranked": TrialState.COMPLETE, "filtered": TrialState.PRUNED}
BEGAN = datetime(2026, 1, 1)


def optuna_rows(
    theirs: int,
    trial_id: int,
    number: int,
    mark: str,
    outcome: str,
    score: float | None,
    ratios: Mapping[int, float],
) -> Iterator[tuple[Table, dict[str, Any]]]:
    """The rows of Optuna."""
    yield _table(models.TrialModel), {
        "trial_id": trial_id, "number": number, "study_id": theirs, "state": STATES[outcome],
        "datetime_start": BEGAN, "datetime_complete": BEGAN + timedelta(seconds=1),
    }  # fmt: skip
    for name, value in PARAMS.items():
        yield _table(models.TrialParamModel), {
            "trial_id": trial_id, "param_name": name, "param_value": value, "distribution_json": BOUNDS[name],
        }  # fmt: skip
    for step, ratio in ratios.items():
        yield _table(models.TrialIntermediateValueModel), {
            "trial_id": trial_id, "step": step, "intermediate_value": ratio,
            "intermediate_value_type": models.TrialIntermediateValueModel.TrialIntermediateValueType.FINITE,
        }  # fmt: skip
    value = score if score is not None else ratios[max(ratios)]
    yield _table(models.TrialValueModel), {
        "trial_id": trial_id, "objective": 0, "value": value,
        "value_type": models.TrialValueModel.TrialValueType.FINITE,
    }  # fmt: skip
    for key, values in (
        (RECORD, RECORDED | {"fingerprint": mark}),
        (RESULT, {"outcome": outcome, "seconds": 1.0}),
    ):
        yield _table(models.TrialUserAttributeModel), {
            "trial_id": trial_id, "key": key, "value_json": json.dumps(values),
        }  # fmt: skip
