"""Is a study still what was recorded? What is written down twice is compared.

In: an open study. Out: a sentence for each damage. A database does not know that a disk, a copy that was cut
off or a memory chip has changed a number in it. But a table and its indexes hold the same numbers, a stage
holds its best setting and all its outcomes, a cell its equations and their fingerprint, and what was claimed
is what was recorded.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import islice

from sqlalchemy import select

from cellsearch.dsl.fingerprint import fingerprint
from cellsearch.dsl.text import parse, show
from cellsearch.errors import CellsearchError, RunError, printable
from cellsearch.search import database, records, sqlite_files
from cellsearch.search.cellrecords import has_twins
from cellsearch.search.database import shown
from cellsearch.search.queries import SUMMARY
from cellsearch.search.schema import Store, cells, claims, reading, slots, stages, studies, twins
from cellsearch.search.slots import Stage, outcomes_of, summary
from cellsearch.search.space import parse_space

MOST = 20  # damages that are told; where there are more, it makes no difference
KINDS = ("", "baseline", "propose", "refine")
STATES = ("free", "running", "done", "failed")
REMEDY = (
    "restore a copy of the database; without one, start anew under another --name.\n"
    "`sqlite3 FILE .recover` saves what can be read, to look at; do not go on with it"
)


def intact(store: Store) -> None:
    """Refuses to go on with a database file whose parts disagree: a RunError. A server checks its own."""
    if found := torn(store):
        raise damaged(shown(store.url), found, store.url)
    if (file := database.file_of(store.url)) and (told := sqlite_files.ahead(file, stages.name)):
        raise RunError(
            f"{shown(store.url)} lacks results: {told}\n{remedy(store.url)}\n"
            "then give the same command again; to go on without them, remove the backup"
        )


def remedy(url: str) -> str:
    """What to do about a damaged database."""
    return sqlite_files.remedy(database.file_of(url), REMEDY)


def damaged(what: str, found: Sequence[str], url: str) -> RunError:
    """What there is to say of it, with what to do."""
    listed = "\n".join(f"  {printable(line, 400)}" for line in found)
    return RunError(f"{what} is damaged:\n{listed}\n{remedy(url)}")


def torn(store: Store) -> list[str]:
    """What SQLite finds wrong in its file: pages, records, and indexes that do not hold what their table
    holds."""
    if database.file_of(store.url) is None:
        return []
    try:
        with reading(store.engine, store.url) as connection:
            found = connection.exec_driver_sql(f"PRAGMA integrity_check({MOST})").scalars().all()
    except RunError as error:  # so torn that SQLite gives up
        return [str(error).splitlines()[0]]
    return [] if list(found) == ["ok"] else [str(line) for line in found]


def damages(store: Store) -> list[str]:
    """A sentence for each part of a study that is not as it was recorded, `MOST` of them at most."""
    return torn(store) or list(islice(_damages(store), MOST))


def _damages(store: Store) -> Iterator[str]:
    yield from _of_facts(store)
    with reading(store.engine, store.url) as connection:
        known = select(studies.c.id)
        for table in (cells, slots, stages, claims):
            if connection.execute(select(table.c.study).where(table.c.study.not_in(known)).limit(1)).first():
                yield f"{table.name}: a row is of a search that is not there"
        chosen = select(slots.c.number, slots.c.fingerprint).where(slots.c.study == store.study)
        of_slots = {row.number: row.fingerprint for row in connection.execute(chosen)}
        for number in sorted(set(range(len(of_slots))) - set(of_slots)):
            yield f"slot {number} is not there"
        here = connection.execute(select(cells).where(cells.c.study == store.study)).all()
        others = []
        if has_twins(connection):
            others = list(connection.execute(select(twins).where(twins.c.study == store.study)))
        marks = {cell.fingerprint for cell in here} | {""}
        for cell in [*here, *others]:
            yield from _of_cell(cell.name, cell.fingerprint, cell.text, cell.edits)
            if cell.parent not in marks:
                yield f"cell {cell.name}: its parent {cell.parent[:12]} is not there"
            if of_slots.get(cell.slot) != getattr(cell, "cell", cell.fingerprint):
                yield f"cell {cell.name}: slot {cell.slot}, in which it was met, is that of another cell"
        for twin in others:
            if twin.cell not in marks:
                yield f"twin {twin.name}: its cell {twin.cell[:12]} is not there"
        for slot in connection.execute(select(slots).where(slots.c.study == store.study)):
            if slot.fingerprint not in marks or slot.parent not in marks:
                yield f"slot {slot.number}: its cell or the parent of it is not there"
            if slot.kind not in KINDS or slot.state not in STATES:
                yield f"slot {slot.number}: {slot.kind!r} is no kind, or {slot.state!r} no state"
        claimed: dict[tuple[int, str], list[int]] = {}
        query = select(claims.c.slot, claims.c.task, claims.c.setting).where(claims.c.study == store.study)
        for number, task, setting in connection.execute(query.order_by(claims.c.slot, claims.c.place)):
            claimed.setdefault((number, task), []).append(setting)
        rows = select(*SUMMARY, stages.c.outcomes).where(stages.c.study == store.study)
        for row in connection.execute(rows.order_by(stages.c.slot)):
            stage = Stage(*row[:-1])
            yield from _of_stage(stage, row.outcomes, claimed.get((stage.slot, stage.task), []))
            if stage.fingerprint not in marks:
                yield f"slot {stage.slot}, {stage.task}: its cell {stage.fingerprint[:12]} is not there"


def _of_cell(name: str, mark: str, text: str, edits: str) -> Iterator[str]:
    try:
        cell = parse(text)
        json.loads(edits)
    except (CellsearchError, ValueError) as error:
        yield f"cell {name}: its equations or its mutations cannot be read: {str(error).splitlines()[0]}"
        return
    if fingerprint(cell) != mark or cell.name != name or show(cell) != text:
        yield f"cell {name} ({mark[:12]}): its equations are not those that were recorded"


def _of_stage(stage: Stage, text: str, claimed: list[int]) -> Iterator[str]:
    where = f"slot {stage.slot}, {stage.task}"
    try:
        outcomes = outcomes_of(text)
        found = summary(stage.slot, stage.fingerprint, stage.task, outcomes)
    except (ValueError, TypeError, AttributeError):
        yield f"{where}: its outcomes cannot be read"
        return
    if found != stage:
        yield f"{where}: its outcomes and its best setting do not agree"
    if [outcome.setting for outcome in outcomes] != claimed:
        yield f"{where}: its settings are not those that were claimed"


def _of_facts(store: Store) -> Iterator[str]:
    """The units are the best accuracies of the baseline, and the space can be read."""
    try:
        known = records.facts(store)
        space = parse_space(known.space)
    except (CellsearchError, ValueError, TypeError) as error:
        yield f"what the study remembers about itself cannot be read: {str(error).splitlines()[0]}"
        return
    if known.baseline is None:
        return
    best = select(stages.c.task, stages.c.accuracy).join(
        cells, (cells.c.study == stages.c.study) & (cells.c.fingerprint == stages.c.fingerprint)
    )
    mine = best.where(
        stages.c.study == store.study, cells.c.seed, cells.c.name == space.baseline,
        stages.c.slot < known.baseline_slots, stages.c.accuracy.is_not(None),
    )  # fmt: skip
    reached: dict[str, float] = {}
    with reading(store.engine, store.url) as connection:
        for task, accuracy in connection.execute(mine):
            reached[task] = max(accuracy, reached.get(task, accuracy))
    for task, unit in known.baseline.items():
        if unit.accuracy != reached.get(task):
            yield f"the unit of {task} is not the best accuracy of {space.baseline}"
