"""Cells on record, and cells equivalent to them. Each function is one look at the database, by indexes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, literal, select

from cellsearch.study.scoring.ranking import Origin
from cellsearch.study.states import Kind
from cellsearch.study.tables.schema import cells, equivalents, functions, items
from cellsearch.study.tables.transactions import Store, reading


@dataclass(frozen=True, slots=True)
class Record:
    """A cell as it was recorded."""

    fingerprint: str
    name: str
    text: str
    parent: str
    edits: str  # JSON
    trial: int  # the first of it
    seed: bool


CELL = tuple(cells.c[name] for name in Record.__dataclass_fields__)
EQUIVALENT = (
    *(equivalents.c[name] for name in ("fingerprint", "name", "text", "parent", "edits", "trial")),
    literal(False),
)


def origins(store: Store, fingerprints: Sequence[str]) -> dict[str, Origin]:
    """Fingerprint -> where the cell comes from."""
    query = select(cells.c.fingerprint, cells.c.trial, cells.c.seed).where(cells.c.study == store.study)
    with reading(store.engine, store.url) as connection:
        return {
            row.fingerprint: Origin(row.trial, bool(row.seed))
            for part in parts(fingerprints)
            for row in connection.execute(query.where(cells.c.fingerprint.in_(part)))
        }


def recorded_cells(
    store: Store, fingerprints: Sequence[str] | None = None, seeds: bool = False
) -> list[Record]:
    """These cells (all where None; the seeds alone), in the order in which they were met."""
    where: list[ColumnElement[bool]] = [cells.c.study == store.study]
    if seeds:  # found by their items, of which there is an index
        baseline = select(items.c.fingerprint).where(items.c.study == store.study, items.c.kind == Kind.SEED)
        where += [cells.c.seed, cells.c.fingerprint.in_(baseline)]
    query = select(*CELL).order_by(cells.c.trial, cells.c.fingerprint)
    with reading(store.engine, store.url) as connection:
        if fingerprints is None:
            return [Record(*row) for row in connection.execute(query.where(*where))]
        found: list[Record] = []
        for part in parts(fingerprints):
            found += [
                Record(*row) for row in connection.execute(query.where(*where, cells.c.fingerprint.in_(part)))
            ]
    return sorted(found, key=lambda record: (record.trial, record.fingerprint))


def counts_as(store: Store, fingerprint: str, function: Callable[[], str]) -> str | None:
    """The fingerprint of the recorded cell that a cell counts as, None where it is new. `function` gives its
    functional fingerprint, and is not asked where the cell was met before."""
    with reading(store.engine, store.url) as connection:
        known = known_in(connection, store, fingerprint)
    if known is not None:
        return known
    wanted = function()
    with reading(store.engine, store.url) as connection:
        return trained_in(connection, store, wanted)


def named_cells(store: Store, name: str) -> list[Record]:
    """The cells of this name, in the order in which they were met."""
    here = (cells.c.study == store.study, cells.c.name == name)
    with reading(store.engine, store.url) as connection:
        return [
            Record(*row) for row in connection.execute(select(*CELL).where(*here).order_by(cells.c.trial))
        ]


def equivalents_of(store: Store) -> dict[str, tuple[str, ...]]:
    """Fingerprint of a cell -> those of the cells equivalent to it, in the order in which they were met."""
    query = select(equivalents.c.cell, equivalents.c.fingerprint).where(equivalents.c.study == store.study)
    found: dict[str, list[str]] = {}
    with reading(store.engine, store.url) as connection:
        for row in connection.execute(query.order_by(equivalents.c.trial)):
            found.setdefault(row.cell, []).append(row.fingerprint)
    return {mark: tuple(listed) for mark, listed in found.items()}


def parts(fingerprints: Sequence[str], size: int = 500) -> list[Sequence[str]]:
    """In pieces that every database takes as parameters of one statement."""
    return [fingerprints[i : i + size] for i in range(0, len(fingerprints), size)]


def matching(store: Store, start: str) -> list[Record]:
    """The cells, and cells equivalent to them, whose fingerprint begins with `start`, by their trials."""
    last = start + "g"  # after all hexadecimal digits; a range is found by the index, a pattern is not

    def query(table: Table, columns: Sequence[ColumnElement[Any]]) -> Select[Any]:
        mark = table.c.fingerprint
        return select(*columns).where(table.c.study == store.study, mark >= start, mark < last)

    with reading(store.engine, store.url) as connection:
        found = [Record(*row) for row in connection.execute(query(cells, CELL))]
        found += [Record(*row) for row in connection.execute(query(equivalents, EQUIVALENT))]
    return sorted(found, key=lambda record: record.trial)


def known_in(connection: Connection, store: Store, fingerprint: str) -> str | None:
    """The fingerprint of the recorded cell that a cell met before counts as: its own, or that of the cell it
    is equivalent to."""
    cell = select(cells.c.fingerprint).where(cells.c.study == store.study, cells.c.fingerprint == fingerprint)
    here = (equivalents.c.study == store.study, equivalents.c.fingerprint == fingerprint)
    return connection.execute(cell.union_all(select(equivalents.c.cell).where(*here))).scalar()


def trained_in(connection: Connection, store: Store, function: str) -> str | None:
    """The fingerprint of the cell that is trained for all cells of a functional fingerprint."""
    here = (functions.c.study == store.study, functions.c.function == function)
    return connection.execute(select(functions.c.fingerprint).where(*here)).scalar()
