"""What is read from the records: stages, cells, counts. Each function is one look at the database, by its
indexes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, Table, func, inspect, select

from cellsearch.search.ranking import Origin
from cellsearch.search.schema import Store, cells, claims, reading, slots, stages, twins
from cellsearch.search.slots import Stage, known_in, outcomes_of, trained_in

SUMMARY = tuple(
    stages.c[name] for name in (
        "slot", "task", "fingerprint", "settings", "trained",
        "accuracy", "loss", "setting", "parameters", "hidden",
    )
)  # fmt: skip
TWIN = tuple(twins.c[name] for name in ("fingerprint", "name", "text", "parent", "edits", "slot"))


@dataclass(frozen=True, slots=True)
class Record:
    """A cell as it was recorded."""

    fingerprint: str
    name: str
    text: str
    parent: str
    edits: str  # JSON
    slot: int
    seed: bool


@dataclass(frozen=True, slots=True)
class Counts:
    """How far a study is."""

    baseline: int  # slots of the baseline that are finished
    baseline_slots: int
    trials: int  # proposals and refinements that are finished, failed ones too
    running: int
    free: int
    proposed: int
    refined: int
    ranked: int
    filtered: int  # at any stage
    failed: int  # the baseline's too
    settings: int  # evaluated in all
    diverged: int  # of those, the ones without an accuracy
    seconds: float  # spent in stages, over all workers
    twins: int = 0  # cells that were proposed and count as another one, being the same function


def recorded_stages(
    store: Store, *, finished: bool = False, without: str = "", fingerprint: str = ""
) -> list[Stage]:
    """All stages in the order of their slots; `finished`: of slots that have ended; `without` leaves a stage
    name out."""
    where: list[ColumnElement[bool]] = [stages.c.study == store.study]
    if without:
        where.append(stages.c.task != without)
    if fingerprint:
        where.append(stages.c.fingerprint == fingerprint)
    query = select(*SUMMARY).where(*where).order_by(stages.c.slot)
    if finished:
        same = (slots.c.study == stages.c.study) & (slots.c.number == stages.c.slot)
        query = query.join(slots, same).where(slots.c.state.in_(("done", "failed")))
    with reading(store.engine, store.url) as connection:
        return [Stage(*row) for row in connection.execute(query)]


def results(store: Store, fingerprints: Sequence[str], task: str) -> list[tuple[int, float | None]]:
    """(setting, accuracy) of finished slots, in the order of the slots."""
    same = (slots.c.study == stages.c.study) & (slots.c.number == stages.c.slot)
    query = (
        select(stages.c.outcomes)
        .join(slots, same)
        .where(
            stages.c.study == store.study, stages.c.task == task, stages.c.fingerprint.in_(list(fingerprints))
        )
        .where(slots.c.state.in_(("done", "failed")))
        .order_by(stages.c.slot)
    )
    with reading(store.engine, store.url) as connection:
        texts = [row.outcomes for row in connection.execute(query)]
    return [(outcome.setting, outcome.accuracy) for text in texts for outcome in outcomes_of(text)]


def tried(store: Store, fingerprints: Sequence[str]) -> dict[str, dict[str, int]]:
    """Fingerprint -> stage name -> how many settings are claimed, by any slot."""
    found: dict[str, dict[str, int]] = {fingerprint: {} for fingerprint in fingerprints}
    query = (
        select(claims.c.fingerprint, claims.c.task, func.count().label("settings"))
        .where(claims.c.study == store.study)
        .group_by(claims.c.fingerprint, claims.c.task)
    )
    with reading(store.engine, store.url) as connection:
        for part in _parts(fingerprints):
            for row in connection.execute(query.where(claims.c.fingerprint.in_(part))):
                found[row.fingerprint][row.task] = int(row.settings)
    return found


def origins(store: Store) -> dict[str, Origin]:
    """Fingerprint -> where the cell comes from."""
    query = select(cells.c.fingerprint, cells.c.slot, cells.c.seed).where(cells.c.study == store.study)
    with reading(store.engine, store.url) as connection:
        return {row.fingerprint: Origin(row.slot, bool(row.seed)) for row in connection.execute(query)}


def recorded_cells(
    store: Store, fingerprints: Sequence[str] | None = None, seeds: bool = False
) -> list[Record]:
    """These cells (all where None; the seeds alone), in the order in which they were met."""
    where: list[ColumnElement[bool]] = [cells.c.study == store.study]
    if seeds:
        where.append(cells.c.seed)
    columns = [cells.c[name] for name in Record.__dataclass_fields__]
    query = select(*columns).order_by(cells.c.slot, cells.c.fingerprint)
    with reading(store.engine, store.url) as connection:
        if fingerprints is None:
            return [Record(*row) for row in connection.execute(query.where(*where))]
        found: list[Record] = []
        for part in _parts(fingerprints):
            found += [
                Record(*row) for row in connection.execute(query.where(*where, cells.c.fingerprint.in_(part)))
            ]
    return sorted(found, key=lambda record: (record.slot, record.fingerprint))


def counts_as(store: Store, fingerprint: str, function: Callable[[], str]) -> str | None:
    """The fingerprint of the recorded cell that a cell counts as, None where it is new. `function` tells its
    functional fingerprint, and is not asked where the cell was met before."""
    with reading(store.engine, store.url) as connection:
        known = known_in(connection, store, fingerprint)
    if known is not None:
        return known
    wanted = function()
    with reading(store.engine, store.url) as connection:
        return trained_in(connection, store, wanted)


def twins_of(store: Store) -> dict[str, tuple[str, ...]]:
    """Fingerprint of a cell -> those of its twins, in the order in which they were met."""
    query = select(twins.c.cell, twins.c.fingerprint).where(twins.c.study == store.study)
    found: dict[str, tuple[str, ...]] = {}
    with reading(store.engine, store.url) as connection:
        if has_twins(connection):
            for row in connection.execute(query.order_by(twins.c.slot)):
                found[row.cell] = (*found.get(row.cell, ()), row.fingerprint)
    return found


def has_twins(connection: Connection) -> bool:
    """Whether there is the table of twins: a database of numerics 1 has none, and is read all the same."""
    return inspect(connection).has_table(twins.name)


def twin_of(store: Store, slot: int) -> Record | None:
    """The cell that was proposed in a slot, where it counts as another one and was new."""
    query = select(*TWIN).where(twins.c.study == store.study, twins.c.slot == slot)
    with reading(store.engine, store.url) as connection:
        row = connection.execute(query).first()
    return None if row is None else Record(*row, seed=False)


def _parts(fingerprints: Sequence[str], size: int = 500) -> list[Sequence[str]]:
    """In pieces that every database takes as parameters of one statement."""
    return [fingerprints[i : i + size] for i in range(0, len(fingerprints), size)]


def matching(store: Store, start: str) -> list[Record]:
    """The cells and twins whose fingerprint begins with `start`, in the order in which they were met."""
    last = start + "g"  # after all hexadecimal digits; a range is found by the index, a pattern is not

    def query(table: Table, columns: Sequence[ColumnElement[Any]]) -> Select[Any]:
        mark = table.c.fingerprint
        return select(*columns).where(table.c.study == store.study, mark >= start, mark < last)

    columns = [cells.c[name] for name in Record.__dataclass_fields__]
    with reading(store.engine, store.url) as connection:
        found = [Record(*row) for row in connection.execute(query(cells, columns))]
        if has_twins(connection):
            found += [Record(*row, seed=False) for row in connection.execute(query(twins, TWIN))]
    return sorted(found, key=lambda record: record.slot)


def single_outcomes(store: Store, fingerprint: str) -> list[tuple[Stage, RowMapping]]:
    """Every stage of a cell with its row (the outcomes are JSON in it), in the order of the slots."""
    query = select(stages).where(stages.c.study == store.study, stages.c.fingerprint == fingerprint)
    with reading(store.engine, store.url) as connection:
        rows = connection.execute(query.order_by(stages.c.slot)).mappings().all()
    return [(Stage(*(row[column.name] for column in SUMMARY)), row) for row in rows]


def counts(store: Store) -> Counts:
    """How far the study is."""
    grouped = (
        select(slots.c.kind, slots.c.state, slots.c.outcome, func.count().label("n"))
        .where(slots.c.study == store.study)
        .group_by(slots.c.kind, slots.c.state, slots.c.outcome)
    )
    sums = select(func.sum(stages.c.settings), func.sum(stages.c.trained), func.sum(stages.c.seconds)).where(
        stages.c.study == store.study
    )
    with reading(store.engine, store.url) as connection:
        rows = connection.execute(grouped).all()
        settings, trained, seconds = connection.execute(sums).one()

    def total(**wanted: str | tuple[str, ...]) -> int:
        return sum(
            row.n
            for row in rows
            if all(getattr(row, key) in ((v,) if isinstance(v, str) else v) for key, v in wanted.items())
        )

    ended, trial = ("done", "failed"), ("propose", "refine", "")
    return Counts(
        baseline=total(kind="baseline", state=ended),
        baseline_slots=total(kind="baseline"),
        trials=total(kind=trial, state=ended),
        running=total(state="running"),
        free=total(state="free"),
        proposed=total(kind="propose", state=ended),
        refined=total(kind="refine", state=ended),
        ranked=total(kind=trial, outcome="ranked"),
        filtered=total(outcome="filtered"),
        failed=total(state="failed"),
        settings=settings or 0,
        diverged=(settings or 0) - (trained or 0),
        seconds=float(seconds or 0.0),
        twins=sum(map(len, twins_of(store).values())),
    )
