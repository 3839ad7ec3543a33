"""From schema 1, in which a search ran on slots and copied its trials to Optuna, to schema 2.

A slot of the baseline becomes a piece of the trial of its seed; any other slot becomes a trial, in order. A
study with the trials themselves replaces the study with the copies; the times of the copies are kept. Reports
are computed from the recorded stages, in the order of the trials. The recorded numerics are kept: a study
with other numerics than this program can be read, not continued.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import Connection, MetaData, Row, delete, insert, inspect, select

from cellsearch.dsl.text import parse
from cellsearch.errors import RunError
from cellsearch.study.space import Space, grids, parse_space
from cellsearch.study.storage.attributes import (
    RECORD,
    RESULT,
    Distributions,
    distributions,
    record_of,
    structure,
    within,
)
from cellsearch.study.storage.create import bind
from cellsearch.study.storage.driver import STATES
from cellsearch.study.storage.pruner import steps
from cellsearch.study.storage.rdb import CellStorage, delete_trials
from cellsearch.study.system import processes
from cellsearch.study.tables import schema
from cellsearch.study.tables.study_facts import Identity, Target
from cellsearch.study.tables.transactions import Store
from cellsearch.train.settings import keys

OLD = (
    "studies", "cells", "functions", "twins", "slots", "stages", "claims", "sizes", "workers"
)  # fmt: skip
Rows = list[Row[Any]]


@dataclass
class Old:
    """A study in schema 1, and the targets of its slots."""

    study: Row[Any]
    rows: Mapping[str, Rows]  # table -> its rows of the study
    space: Space
    times: Mapping[int, tuple[datetime | None, datetime | None]]  # slot -> start and end of its copy
    places: dict[int, tuple[int, int]] = field(default_factory=dict)  # slot -> trial and piece

    def __post_init__(self) -> None:
        slots = self.rows["slots"]
        seeds: dict[str, list[int]] = {}
        for slot in slots:
            if slot.kind == "baseline":
                seeds.setdefault(slot.fingerprint, []).append(slot.number)
        for number, pieces in enumerate(seeds.values()):
            self.places |= {slot: (number, piece) for piece, slot in enumerate(pieces)}
        others = [slot.number for slot in slots if slot.kind != "baseline"]
        self.places |= {slot: (len(seeds) + k, 0) for k, slot in enumerate(others)}

    def at(self, slot: int) -> dict[str, int]:
        """The target of a slot, as columns."""
        trial, piece = self.places[slot]
        return {"trial": trial, "piece": piece}

    def key(self, task: str, setting: int) -> str:
        """The text of a setting, which schema 1 stores as an index into the grid."""
        return list(keys(grids(self.space)[task]))[setting]


def migrate(connection: Connection, store: Store, tell: Callable[[str], None]) -> None:
    """All studies of a database, in the transaction of `connection`."""
    old = MetaData()
    there = [name for name in OLD if inspect(connection).has_table(f"cellsearch_{name}")]
    old.reflect(connection, only=[f"cellsearch_{name}" for name in there])
    of = {name: old.tables[f"cellsearch_{name}"] for name in there}
    for study in connection.execute(select(of["studies"]).order_by(of["studies"].c.id)).all():
        order = {"slots": "number", "stages": "slot", "claims": "place", "cells": "slot", "twins": "slot"}
        rows: dict[str, Rows] = {name: [] for name in OLD[1:]}
        for name in there[1:]:
            table = of[name]
            query = select(table).where(table.c.study == study.id)
            if name in order:
                query = query.order_by(table.c[order[name]])
            rows[name] = list(connection.execute(query).all())
        check_ended(study.name, rows["workers"])
        space = parse_space(study.space, f"{study.name}/space.yaml")
        copies = copies_of(connection, study.name)
        move(connection, store, Old(study, rows, space, copies))
        tell(f"{study.name}: {len(rows['slots'])} slots, {len(rows['stages'])} stages")
    old.drop_all(connection)


def check_ended(name: str, workers: Iterable[Row[Any]]) -> None:
    """Raises an error while a process of the search is alive on this machine."""
    here = processes.machine()
    for worker in workers:
        if worker.host == here and worker.started and processes.started(worker.pid) == worker.started:
            raise RunError(f"the search {name!r} is running (process {worker.pid}): end it first")


def copies_of(connection: Connection, name: str) -> dict[int, tuple[datetime | None, datetime | None]]:
    """Slot -> start and end of its copy in the study of Optuna, which is deleted."""
    known = models.StudyModel
    study = connection.execute(select(known.study_id).where(known.study_name == name)).scalar()
    if study is None:
        return {}
    trial, param = models.TrialModel.__table__.c, models.TrialParamModel.__table__.c
    query = (
        select(param.param_value, trial.datetime_start, trial.datetime_complete)
        .join(models.TrialModel.__table__, trial.trial_id == param.trial_id)
        .where(trial.study_id == study, param.param_name == "slot")
    )
    times = {int(row[0]): (row[1], row[2]) for row in connection.execute(query)}
    delete_trials(connection, study)
    for table in reversed(models.BaseModel.metadata.sorted_tables):
        if "study_id" in table.c:
            connection.execute(delete(table).where(table.c.study_id == study))
    return times


def move(connection: Connection, store: Store, old: Old) -> None:
    """One study."""
    s = old.study
    identity = Identity(s.space, s.seed, json.loads(s.data), s.numerics)
    kept = ("baseline", "seconds", "streak", "cause", "stopped", "halted")
    storage = CellStorage(Store(store.engine, store.url, 0, s.name), "")
    with storage.joined(connection):
        bound, study_id = bind(
            connection, storage, old.space, identity, s.program, Target(s.trials),
            **{name: getattr(s, name) for name in kept},
        )  # fmt: skip
        ranges = distributions(old.space.limits, [parse(c.text) for c in old.rows["cells"] if c.seed])
        for template, items in trials_of(old, ranges):
            storage.planned = items
            storage.create_new_trial(study_id, template)
        storage.planned = ()
    for table, rows in rows_of(old, bound.study):
        if rows:
            connection.execute(insert(table), rows)


def rows_of(old: Old, study: int) -> Iterable[tuple[Any, list[dict[str, Any]]]]:
    """The rows of all tables except items, which are created with the trials."""
    scores: dict[str, float] = {}
    for slot in old.rows["slots"]:
        if slot.outcome == "ranked" and slot.score is not None:
            scores[slot.fingerprint] = slot.score
    scores |= {mark: score for mark, score in seed_scores(old).items() if score is not None}

    def moved(row: Row[Any], *dropped: str, **more: Any) -> dict[str, Any]:
        values = {name: value for name, value in row._mapping.items() if name not in ("slot", *dropped)}
        return values | {"study": study} | more

    yield (
        schema.cells,
        [
            moved(row, trial=old.places[row.slot][0], score=scores.get(row.fingerprint))
            for row in old.rows["cells"]
        ],
    )
    yield schema.functions, [moved(row) for row in old.rows["functions"]]
    yield schema.equivalents, [moved(row, trial=old.places[row.slot][0]) for row in old.rows["twins"]]
    yield schema.sizes, [moved(row) for row in old.rows["sizes"]]
    yield (
        schema.claims,
        [
            moved(row, **old.at(row.slot), setting=old.key(row.task, row.setting))
            for row in old.rows["claims"]
        ],
    )
    stages = []
    for row in old.rows["stages"]:
        outcomes = json.loads(row.outcomes)
        for outcome in outcomes:
            outcome["setting"] = old.key(row.task, outcome["setting"])
        best = None if row.setting is None else old.key(row.task, row.setting)
        stages.append(moved(row, **old.at(row.slot), outcomes=json.dumps(outcomes), setting=best))
    yield schema.stages, stages


def seed_scores(old: Old) -> dict[str, float | None]:
    """The score of each seed over the settings of the baseline, or None."""
    units = units_of(old)
    of_seed = {slot.number for slot in old.rows["slots"] if slot.kind == "baseline"}
    best: dict[tuple[str, str], float] = {}
    for stage in old.rows["stages"]:
        if stage.slot in of_seed and stage.accuracy is not None:
            key = (stage.fingerprint, stage.task)
            best[key] = max(stage.accuracy, best.get(key, stage.accuracy))
    found: dict[str, float | None] = {}
    for cell in old.rows["cells"]:
        if cell.seed:
            ratios = [
                best[cell.fingerprint, t] / u for t, u in units.items() if (cell.fingerprint, t) in best
            ]
            found[cell.fingerprint] = min(ratios) if ratios and len(ratios) == len(units) else None
    return found


def units_of(old: Old) -> dict[str, float]:
    """The kept tasks with their units."""
    units = json.loads(old.study.baseline or "{}")
    return {
        task: unit["accuracy"]
        for task, unit in units.items()
        if unit["kept"] and unit["accuracy"] is not None
    }


def trials_of(old: Old, ranges: Distributions) -> Iterable[tuple[FrozenTrial, list[dict[str, Any]]]]:
    """The trials in order, each with its work items."""
    cells = {cell.fingerprint: cell for cell in old.rows["cells"]}
    made = {cell.slot: cell for cell in [*old.rows["cells"], *old.rows["twins"]]}
    reports = reports_of(old)
    scores, told = seed_scores(old), old.study.baseline is not None
    pieces: dict[int, list[dict[str, Any]]] = {}
    for slot in old.rows["slots"]:
        if slot.kind == "baseline":
            trial, piece = old.places[slot.number]
            pieces.setdefault(trial, []).append(item_of(slot, piece))
    for trial, items in pieces.items():
        cell = cells[items[0]["fingerprint"]]
        score = scores[cell.fingerprint]
        outcome = ("ranked" if score is not None else "failed") if told else ""
        seed = items[0] | {"piece": len(items), "kind": "seed", "task": "", "cause": "", "seconds": 0.0}
        seed |= {"outcome": outcome, "score": score if told else None, "attempts": 0}
        record = record_of("seed", parse(cell.text), cell.fingerprint)
        yield template(seed, record, cell.text, reports.get(trial, {}), ranges), [*items, seed]
    for slot in old.rows["slots"]:
        if slot.kind == "baseline":
            continue
        record, text = {}, ""
        if slot.kind:
            cell, new = cells[slot.fingerprint], made.get(slot.number)
            text = cell.text
            more = {"seed": cell.name} if cell.seed and slot.kind == "propose" else {}
            if new is not None and new.fingerprint != cell.fingerprint:
                more["proposed"] = new.text
            edits = json.loads(new.edits) if new is not None and not cell.seed else []
            record = record_of(
                slot.kind, parse(text), slot.fingerprint, parent=slot.parent, edits=edits, **more
            )
        item, trial = item_of(slot, 0), old.places[slot.number][0]
        times = old.times.get(slot.number, (None, None))
        yield template(item, record, text, reports.get(trial, {}), ranges, times), [item]


def item_of(slot: Row[Any], piece: int) -> dict[str, Any]:
    """The work item of a slot; a running one is free."""
    kept = ("kind", "attempts", "fingerprint", "parent", "task", "cause", "score", "seconds")
    values = {name: getattr(slot, name) for name in kept} | {"piece": piece, "owner": ""}
    ended = slot.state in ("done", "failed")
    return values | {"outcome": (slot.outcome or "failed") if ended else ""}


def reports_of(old: Old) -> dict[int, dict[int, float]]:
    """Trial -> step -> reported value: the best of its cell so far, in the order of the trials."""
    units, at = units_of(old), steps(old.space)
    best: dict[tuple[str, str], float] = {}
    found: dict[int, dict[int, float]] = {}
    ordered = sorted(old.rows["stages"], key=lambda stage: (*old.places[stage.slot], at[stage.task]))
    kinds = {slot.number: slot.kind for slot in old.rows["slots"]}
    for stage in ordered:
        trial, key = old.places[stage.slot][0], (stage.fingerprint, stage.task)
        if stage.accuracy is not None:
            best[key] = max(stage.accuracy, best.get(key, stage.accuracy))
        unit = units.get(stage.task) if stage.task in {t.name for t in old.space.tasks} else 1.0
        if unit is None or (kinds[stage.slot] == "baseline" and old.study.baseline is None):
            continue  # a dropped task, or an unfinished seed
        found.setdefault(trial, {})[at[stage.task]] = best[key] / unit if key in best else float("nan")
    return found


def template(
    item: Mapping[str, Any],
    record: dict[str, Any],
    text: str,
    reports: dict[int, float],
    ranges: Distributions,
    times: tuple[datetime | None, datetime | None] = (None, None),
) -> FrozenTrial:
    """A trial in Optuna's tables."""
    state = STATES.get(item["outcome"], TrialState.RUNNING)
    params = within(structure(parse(text)), ranges) if text else {}
    result = {key: item[key] for key in ("outcome", "task", "cause") if item[key]}
    attributes = ({RECORD: record} if record else {}) | ({RESULT: result} if item["outcome"] else {})
    value = item["score"] if state == TrialState.COMPLETE else None
    if state == TrialState.PRUNED and reports:
        last = reports[max(reports)]
        value = last if last == last else None  # NaN is not a value
    trial = create_trial(
        state=state, value=value, params=params, distributions={name: ranges[name] for name in params},
        user_attrs=attributes, intermediate_values=reports,
    )  # fmt: skip
    trial.datetime_start = times[0] or trial.datetime_start
    if state.is_finished():
        trial.datetime_complete = times[1] or trial.datetime_complete
    return trial
