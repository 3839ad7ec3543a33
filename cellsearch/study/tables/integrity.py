"""Integrity of a study: compare redundant records.

A database does not notice that a disk, a truncated copy or a memory error changed a number in it. But a table
and its indexes have the same values, a stage has its best setting and all its outcomes, a cell its equations
and their fingerprint, a trial of Optuna the score of its item and the ratios of its stages, and a stage has
the settings that were claimed.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import islice

from sqlalchemy import Connection, func, select

from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.text import parse, show
from cellsearch.errors import CellsearchError, RunError, printable
from cellsearch.study.scoring.ranking import Stage
from cellsearch.study.space import parse_space
from cellsearch.study.space.model import FILTER
from cellsearch.study.states import Ending, Kind
from cellsearch.study.tables import database, records, repeats, schema
from cellsearch.study.tables.database import shown
from cellsearch.study.tables.queries import SUMMARY
from cellsearch.study.tables.schema import (
    cells,
    claims,
    equivalents,
    items,
    optuna_reports,
    optuna_trials,
    optuna_values,
    stages,
    studies,
)
from cellsearch.study.tables.sqlite import backups, files
from cellsearch.study.tables.transactions import Store, reading
from cellsearch.study.tables.work_items import Item, outcomes_of, summary

KINDS, ENDINGS = frozenset(Kind), frozenset(Ending)
STATES = {
    Ending.OPEN: "RUNNING",
    Ending.RANKED: "COMPLETE",
    Ending.FILTERED: "PRUNED",
    Ending.FAILED: "FAIL",
}
MOST = 20  # maximum number of listed damages
# Errors of reading a recorded text: JSON, a space, equations.
UNREADABLE = (CellsearchError, ValueError, TypeError, AttributeError, LookupError, RecursionError)
REMEDY = (
    "restore a copy of the database; without one, start again under another --name.\n"
    "`sqlite3 FILE .recover` saves the readable part for inspection; do not continue it"
)


def intact(store: Store) -> None:
    """Raises a RunError for an inconsistent database file. A server checks its own files."""
    if found := torn(store):
        raise damaged(shown(store.url), found, store.url)
    if (file := database.file_of(store.url)) and (lacking := backups.ahead(file, stages.name)):
        raise RunError(
            f"{shown(store.url)} lacks results: {lacking}\n{remedy(store.url)}\n"
            "then run the same command again; to continue without them, remove the backup"
        )


def remedy(url: str) -> str:
    """The remedy for a damaged database."""
    return files.remedy(database.file_of(url), REMEDY)


def damaged(what: str, found: Sequence[str], url: str) -> RunError:
    """The message about the damage, with the remedy."""
    listed = "\n".join(f"  {printable(line, 400)}" for line in found)
    return RunError(f"{what} is damaged:\n{listed}\n{remedy(url)}")


def torn(store: Store) -> list[str]:
    """The errors found by SQLite in its file: pages, records, and indexes that disagree with their table."""
    if database.file_of(store.url) is None:
        return []
    try:
        with reading(store.engine, store.url) as connection:
            found = connection.exec_driver_sql(f"PRAGMA integrity_check({MOST})").scalars().all()
    except RunError as error:  # too damaged for SQLite
        return [str(error).splitlines()[0]]
    return [] if list(found) == ["ok"] else [str(line) for line in found]


def damages(store: Store) -> list[str]:
    """A sentence for each inconsistency of a study, at most `MOST`."""
    return torn(store) or list(islice(_damages(store), MOST))


def _damages(store: Store) -> Iterator[str]:
    yield from _of_facts(store)
    try:
        repeats.recorded(store)
    except UNREADABLE as error:
        yield f"{schema.repeats.name}: a round cannot be read ({type(error).__name__})"
    with reading(store.engine, store.url) as connection:
        known = select(studies.c.id)
        for table in (cells, items, stages, claims):
            if connection.execute(select(table.c.study).where(table.c.study.not_in(known)).limit(1)).first():
                yield f"{table.name}: a row of a missing search"
        chosen = select(items.c.trial, items.c.fingerprint).where(items.c.study == store.study)
        about = {row.trial: row.fingerprint for row in connection.execute(chosen)}
        grouped = select(items.c.trial, func.count(), func.max(items.c.piece)).group_by(items.c.trial)
        pieces = grouped.where(items.c.study == store.study).order_by(items.c.trial)
        for number, count, last in connection.execute(pieces):
            if count != last + 1:
                yield f"trial {number}: a piece of it is missing"
        here = connection.execute(select(cells).where(cells.c.study == store.study)).all()
        others = list(connection.execute(select(equivalents).where(equivalents.c.study == store.study)))
        marks = {cell.fingerprint for cell in here} | {""}
        for cell in [*here, *others]:
            yield from _of_cell(cell.name, cell.fingerprint, cell.text, cell.edits)
            if cell.parent not in marks:
                yield f"cell {cell.name}: its parent {cell.parent[:12]} is missing"
            if about.get(cell.trial) != getattr(cell, "cell", cell.fingerprint):
                yield f"cell {cell.name}: its first trial {cell.trial} is about another cell"
        for equivalent in others:
            if equivalent.cell not in marks:
                yield f"cell {equivalent.name}: it counts as {equivalent.cell[:12]}, which is missing"
        trained: set[tuple[int, int]] = set()  # (trial, piece) that has ended with all its results
        for item in connection.execute(select(items).where(items.c.study == store.study)):
            if item.outcome not in (Ending.OPEN, Ending.FAILED):
                trained.add((item.trial, item.piece))
            if item.fingerprint not in marks or item.parent not in marks:
                yield f"trial {item.trial}: its cell or the parent of it is missing"
            if item.kind not in KINDS or item.outcome not in ENDINGS:
                yield f"trial {item.trial}: {item.kind!r} is not a kind, or {item.outcome!r} not an outcome"
        claimed: dict[tuple[int, int, str], list[str]] = {}
        columns = (claims.c.trial, claims.c.piece, claims.c.task, claims.c.setting)
        query = select(*columns).where(claims.c.study == store.study)
        for number, piece, task, setting in connection.execute(
            query.order_by(claims.c.trial, claims.c.place)
        ):
            claimed.setdefault((number, piece, task), []).append(setting)
        rows = select(*SUMMARY, stages.c.outcomes).where(stages.c.study == store.study)
        for row in connection.execute(rows.order_by(stages.c.trial, stages.c.piece)):
            stage = Stage(*row[:-1])
            mine = claimed.pop((stage.trial, stage.piece, stage.task), [])
            yield from _of_stage(stage, row.outcomes, mine)
            if stage.trial not in about:
                yield f"trial {stage.trial} is missing"
            if stage.fingerprint not in marks:
                yield f"trial {stage.trial}, {stage.task}: its cell {stage.fingerprint[:12]} is missing"
        for number, piece, task in claimed:
            if (number, piece) in trained:
                yield f"trial {number}, {task}: it has ended, but the result of its settings is missing"
        yield from _of_optuna(connection, store)
        yield from _of_reports(connection, store)


def _of_optuna(connection: Connection, store: Store) -> Iterator[str]:
    """Checks that state and value of Optuna's trials match their items."""
    value = optuna_values.c.value
    query = (
        select(items.c.trial, items.c.outcome, items.c.score, optuna_trials.c.state, value)
        .join(optuna_trials, optuna_trials.c.trial_id == items.c.trial_id, isouter=True)
        .join(optuna_values, optuna_values.c.trial_id == items.c.trial_id, isouter=True)
        .where(items.c.study == store.study, items.c.kind != Kind.BASELINE)
    )
    for row in connection.execute(query.order_by(items.c.trial)):
        if row.state is None:
            yield f"trial {row.trial}: Optuna has no such trial"
        elif STATES.get(row.outcome) != row.state:
            yield f"trial {row.trial}: it is {row.outcome or 'open'}, and {row.state} in Optuna"
        elif row.outcome == Ending.RANKED and row.value != row.score:
            yield f"trial {row.trial}: its score is {row.score}, and {row.value} in Optuna"


def _of_reports(connection: Connection, store: Store) -> Iterator[str]:
    """Checks that each report of a trial in Optuna matches a recorded stage of its cell."""
    try:
        known = records.facts_in(connection, store)
        space = parse_space(known.space)
    except UNREADABLE:  # reported by `_of_facts`
        return
    if space.strategy.baseline == "live":  # then units change during a search
        return
    names = ([FILTER] if space.filter else []) + [task.name for task in space.tasks]
    here = (stages.c.study == store.study, stages.c.task.in_([FILTER, *known.units]))
    ratios: dict[tuple[str, int], set[float | None]] = {}
    for mark, task, accuracy in connection.execute(
        select(stages.c.fingerprint, stages.c.task, stages.c.accuracy).where(*here)
    ):
        value = None if accuracy is None else accuracy / known.units.get(task, 1.0)
        ratios.setdefault((mark, names.index(task)), set()).add(value)
    reports = (
        select(items.c.trial, items.c.fingerprint, optuna_reports.c.step, optuna_reports.c.intermediate_value)
        .join(optuna_reports, optuna_reports.c.trial_id == items.c.trial_id)
        .where(items.c.study == store.study, items.c.kind != Kind.BASELINE)
    )
    for number, mark, step, value in connection.execute(reports.order_by(items.c.trial)):
        if value not in ratios.get((mark, step), ()):
            yield f"trial {number}: step {step} is {value} in Optuna, without a recorded stage"


def _of_cell(name: str, mark: str, text: str, edits: str) -> Iterator[str]:
    try:
        cell = parse(text)
        json.loads(edits)
    except UNREADABLE as error:
        yield f"cell {name}: its equations or its mutations cannot be read: {str(error).splitlines()[0]}"
        return
    if fingerprint(cell) != mark or cell.name != name or show(cell) != text:
        yield f"cell {name} ({mark[:12]}): its equations differ from its record"


def _of_stage(stage: Stage, text: str, claimed: list[str]) -> Iterator[str]:
    where = f"trial {stage.trial}, {stage.task}"
    try:
        outcomes = outcomes_of(text)
        found = summary(
            Item(stage.trial, stage.piece, 0, "", stage.fingerprint, "", ""), stage.task, outcomes
        )
    except UNREADABLE:
        yield f"{where}: its outcomes cannot be read"
        return
    if found != stage:
        yield f"{where}: its outcomes and its best setting disagree"
    if [outcome.setting for outcome in outcomes] != claimed:
        yield f"{where}: its settings differ from its claims"


def _of_facts(store: Store) -> Iterator[str]:
    """Checks that the units are the best accuracies of the baseline, and that the space can be read."""
    try:
        known = records.facts(store)
        space = parse_space(known.space)
    except UNREADABLE as error:
        yield f"the facts of the study cannot be read: {str(error).splitlines()[0]}"
        return
    if known.baseline is None:
        return
    best = select(stages.c.task, stages.c.accuracy).join(
        cells, (cells.c.study == stages.c.study) & (cells.c.trial == stages.c.trial)
    )
    mine = best.where(
        stages.c.study == store.study, cells.c.seed, cells.c.name == space.baseline,
        stages.c.accuracy.is_not(None),
    )  # fmt: skip
    reached: dict[str, float] = {}
    with reading(store.engine, store.url) as connection:
        for task, accuracy in connection.execute(mine):
            reached[task] = max(accuracy, reached.get(task, accuracy))
    for task, unit in known.baseline.items():
        if unit.accuracy != reached.get(task):
            yield f"the unit of {task} is not the best accuracy of {space.baseline}"
