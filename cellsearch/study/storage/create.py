"""Create a study in one transaction: Optuna's study with a running trial for each seed, and our tables beside
it.

Each seed is one trial, numbered 0, 1, …; its work items are pieces of the grid of one task each, and one that
completes the trial.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from optuna.exceptions import DuplicatedStudyError
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import Connection, insert

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.text import parse
from cellsearch.errors import RunError
from cellsearch.study.space import Space
from cellsearch.study.states import Kind
from cellsearch.study.storage.attributes import RECORD, distributions, record_of, structure, within
from cellsearch.study.storage.pruner import steps
from cellsearch.study.storage.rdb import CellStorage, delete_trials, prepare
from cellsearch.study.system.timing import TIMING, Timing
from cellsearch.study.tables import database, schema, transactions
from cellsearch.study.tables.study_facts import Identity, Seed, Target
from cellsearch.study.tables.transactions import Store
from cellsearch.train.settings import keys


def create(
    url: str,
    name: str,
    space: Space,
    identity: Identity,
    program: str,
    target: Target,
    seeds: Sequence[Seed],
    timing: Timing = TIMING,
) -> Store:
    """A new study; a piece of a seed is `strategy.settings` settings of one task. Raises RunError if a study
    of that name exists."""
    engine = database.connect(url, busy=timing.busy)
    prepare(engine, url, timing.busy)
    store = Store(engine, url, 0, name, timing)
    storage = CellStorage(store, "")
    with transactions.apart(store) as connection, storage.joined(connection):
        study = bind(connection, storage, space, identity, program, target)
        plan(connection, storage, study, space, seeds)
    return study[0]


Bound = tuple[Store, int]  # a study, and Optuna's id of it


def bind(
    connection: Connection,
    storage: CellStorage,
    space: Space,
    identity: Identity,
    program: str,
    target: Target,
    **more: Any,
) -> Bound:
    """A study of Optuna, and the row of ours that belongs to it."""
    store, own = storage.store, str(uuid.uuid4())
    try:
        study_id = storage.create_new_study([StudyDirection.MAXIMIZE], store.name)
    except DuplicatedStudyError as error:
        raise RunError(
            f"{database.shown(store.url)}: Optuna already has a study {store.name!r}\n"
            "run the command again if a search was just started there, or choose another --name"
        ) from error
    # Optuna reuses ids, and a trial created during the deletion of its study may be left over
    delete_trials(connection, study_id)
    for key, value in about(space, identity, own).items():
        storage.set_study_user_attr(study_id, key, value)
    storage.set_study_system_attr(study_id, "study:metric_names", ["score"])
    row = {"uuid": own, "space": identity.space, "numerics": identity.numerics, "program": program}
    row |= {"seed": identity.seed, "data": json.dumps(dict(identity.data)), **more}
    row |= {"trials": target.trials, "proposals": target.proposals}
    made = connection.execute(insert(schema.studies).values(row)).inserted_primary_key
    assert made is not None
    bound = replace(store, study=int(made[0]))
    storage.store = bound
    return bound, study_id


def about(space: Space, identity: Identity, own: str) -> dict[str, Any]:
    """The attributes of the study, for readers of Optuna's tables."""
    filter = f"; in the filter 1, and {space.filter.accuracy:g} is required" if space.filter else ""
    return {
        schema.STUDY_KEY: own,
        "value": f"least ratio of the best accuracy of the cell to that of {space.baseline}, over all tasks",
        "reports": "best accuracy of the cell so far on the stage, divided by the unit of that: the best of "
        f"{space.baseline} on a task{filter}",
        "steps": {str(step): stage for stage, step in steps(space).items()},
        "space": space.name,
        "seed": identity.seed,
    }


def plan(
    connection: Connection, storage: CellStorage, study: Bound, space: Space, seeds: Sequence[Seed]
) -> None:
    """The trials of the seeds, with their items and claims."""
    store, study_id = study
    parsed = [parse(seed.text) for seed in seeds]
    ranges = distributions(space.limits, parsed)
    cells: list[dict[str, Any]] = []
    functions: list[dict[str, Any]] = []
    claims: list[dict[str, Any]] = []
    for seed, cell in zip(seeds, parsed, strict=True):
        pieces = pieces_of(space)
        items = [{"piece": k, "kind": Kind.BASELINE, "task": task} for k, (task, _) in enumerate(pieces)]
        items.append({"piece": len(items), "kind": Kind.SEED, "task": ""})
        storage.planned = [item | {"fingerprint": seed.fingerprint, "owner": ""} for item in items]
        made = storage.create_new_trial(study_id, of_seed(seed, cell, ranges))
        number = storage.get_trial_number_from_id(made)
        mine = {"study": store.study, "fingerprint": seed.fingerprint, "trial": number}
        cells.append(mine | {"name": seed.name, "text": seed.text, "seed": True})
        functions.append({"study": store.study, "function": seed.function, "fingerprint": seed.fingerprint})
        claims += [
            mine | {"task": task, "setting": setting, "piece": piece, "place": place}
            for piece, (task, settings) in enumerate(pieces)
            for place, setting in enumerate(settings)
        ]
    storage.planned = ()
    connection.execute(insert(schema.cells), cells)
    connection.execute(insert(schema.functions), functions)
    connection.execute(insert(schema.claims), claims)


def pieces_of(space: Space) -> list[tuple[str, list[str]]]:
    """The grid of every task in pieces of `strategy.settings` settings: task and settings."""
    chunk = space.strategy.settings
    grids: Mapping[str, list[str]] = {task.name: list(keys(task.grid)) for task in space.tasks}
    return [
        (task, settings[start : start + chunk])
        for task, settings in grids.items()
        for start in range(0, len(settings), chunk)
    ]


def of_seed(seed: Seed, cell: Cell, ranges: Any) -> FrozenTrial:
    """The trial of a seed, running."""
    params = within(structure(cell), ranges)
    return create_trial(
        state=TrialState.RUNNING,
        params=params,
        distributions={name: ranges[name] for name in params},
        user_attrs={RECORD: record_of(Kind.SEED, cell, seed.fingerprint)},
    )
