"""The mirror of a study in Optuna, for its dashboard and its users.

One trial for each finished proposal or refinement, written once and whole: COMPLETE with the score of the
cell so far, PRUNED where it was filtered, FAIL with its cause. Nothing is ever read back from it but the
slots that are there. A slot is `due`, then `writing`, then `done`; what a dead process left at `writing` is
looked up before it is written again.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from sqlalchemy import Row, column, select, table, update

from cellsearch.dsl.text import parse
from cellsearch.errors import RunError
from cellsearch.search import cellrecords, queries, sqlite_files
from cellsearch.search.database import driven, engine_options, said, shown
from cellsearch.search.failpoint import failpoint
from cellsearch.search.records import Facts
from cellsearch.search.schema import Store, reading, slots, writing
from cellsearch.search.space import Space, parse_space
from cellsearch.search.study import trials
from cellsearch.search.study.trials import Finished


@contextmanager
def explained(store: Store, what: str) -> Iterator[None]:
    """Turns whatever Optuna raises into a RunError: the mirror is no source of anything, and the search goes
    on."""
    try:
        yield
    except Exception as error:
        raise RunError(f"{shown(store.url)}: Optuna cannot {what}: {said(store.url, error)}") from error


def open_mirror(store: Store) -> optuna.Study:
    """The Optuna study of the same name in the same database."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with explained(store, f"open its study {store.name!r} there"):
        url = driven(store.url).render_as_string(hide_password=False)
        storage = optuna.storages.RDBStorage(url, engine_kwargs=engine_options(store.url))
        sqlite_files.watch(storage.engine)
        mirror = optuna.create_study(
            storage=storage, study_name=store.name, direction="maximize", load_if_exists=True
        )
        if mirror.metric_names is None:
            with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
                mirror.set_metric_names(["score"])
        return mirror


def heal(store: Store, mirror: optuna.Study, living: Sequence[str]) -> int:
    """Settles what dead processes left at `writing`; tells how many slots that were."""
    with reading(store.engine, store.url) as connection:
        rows = connection.execute(
            select(slots.c.number).where(
                slots.c.study == store.study,
                slots.c.mirror == "writing",
                slots.c.mirrored_by.not_in(list(living)),
            )
        ).all()
    if not rows:
        return 0
    there = slots_there(store, mirror, [row.number for row in rows])
    with writing(store) as connection:
        for row in rows:
            state = "done" if row.number in there else "due"
            here = (slots.c.study == store.study, slots.c.number == row.number)
            connection.execute(update(slots).where(*here).values(mirror=state, mirrored_by=""))
    return len(rows)


def slots_there(store: Store, mirror: optuna.Study, among: Sequence[int]) -> set[int]:
    """Which of these slots have a trial. Optuna itself would read all of its trials first, and keep them."""
    trial, param, study = (
        table("trials", column("trial_id"), column("study_id")),
        table("trial_params", column("trial_id"), column("param_name"), column("param_value")),
        table("studies", column("study_id"), column("study_name")),
    )
    query = (
        select(param.c.param_value)
        .join(trial, trial.c.trial_id == param.c.trial_id)
        .join(study, study.c.study_id == trial.c.study_id)
        .where(study.c.study_name == mirror.study_name, param.c.param_name == "slot")
        .where(param.c.param_value.in_(list(among)))
    )
    with reading(store.engine, store.url) as connection:
        return {int(row.param_value) for row in connection.execute(query)}


def write_due(store: Store, mirror: optuna.Study, known: Facts, by: str, limit: int = 50) -> int:
    """Writes up to `limit` trials that are due, in the order of their slots; tells how many.

    Where Optuna refuses, the slots stay at `writing`: call `heal` before the next attempt.
    """
    due = (slots.c.study == store.study, slots.c.mirror == "due")
    with reading(store.engine, store.url) as connection:  # most looks find nothing, and then lock nothing
        if connection.execute(select(slots.c.number).where(*due).limit(1)).first() is None:
            return 0
    with writing(store) as connection:
        rows = connection.execute(select(slots).where(*due).order_by(slots.c.number).limit(limit)).all()
        mine = (slots.c.study == store.study, slots.c.number.in_([row.number for row in rows]))
        connection.execute(update(slots).where(*mine).values(mirror="writing", mirrored_by=by))
    space = parse_space(known.space)
    with explained(store, "write to its study"):
        missing = about(known, space).items() - mirror.user_attrs.items()
        for key, value in sorted(missing):
            mirror.set_user_attr(key, value)
    seeds = [parse(seed.text) for seed in cellrecords.recorded_cells(store, seeds=True)]
    last = max([known.baseline_slots + known.trials, *(row.number for row in rows)])
    ranges = trials.distributions(space.limits, seeds, last)
    for finished in finished_of(store, known, rows):
        failpoint("before-mirror")
        with explained(store, "write to its study"):
            mirror.add_trial(trials.trial_of(finished, ranges, space.limits.width, datetime.now()))
        failpoint("after-mirror")
        with writing(store) as connection:
            here = (slots.c.study == store.study, slots.c.number == finished.number)
            connection.execute(update(slots).where(*here).values(mirror="done"))
    return len(rows)


def about(known: Facts, space: Space) -> dict[str, str]:
    """What a reader of the study has to know, by the names of its attributes."""
    steps = ", ".join(f"{step}: {task}" for step, task in enumerate(known.units))
    return {
        "value": f"least ratio of the best accuracy of the cell to that of {space.baseline}, over all tasks",
        "intermediate values": f"that ratio for each task, of the trial itself ({steps})",
        "space": space.name,
        "seed": str(known.seed),
    }


def finished_of(store: Store, known: Facts, rows: Sequence[Row[Any]]) -> list[Finished]:
    """Slots that have ended with what is recorded about them."""
    numbers = [row.number for row in rows]
    marks = {mark for row in rows for mark in (row.fingerprint, row.parent) if mark}
    cells = {record.fingerprint: record for record in cellrecords.recorded_cells(store, sorted(marks))}
    made = {record.slot: record for record in cells.values() if not record.seed}
    made |= {record.slot: record for record in cellrecords.twins_in(store, numbers)}
    steps = {task: step for step, task in enumerate(known.units)}
    ratios: dict[int, dict[int, float]] = {number: {} for number in numbers}
    for stage in queries.stages_in(store, numbers):
        if stage.task in steps and stage.accuracy is not None:
            ratios[stage.slot][steps[stage.task]] = stage.accuracy / known.units[stage.task]
    return [
        Finished(
            row.number, row.kind, row.outcome, row.task, row.cause, row.score, row.seconds,
            cells.get(row.fingerprint), cells.get(row.parent), made.get(row.number), ratios[row.number],
        )
        for row in rows
    ]  # fmt: skip
