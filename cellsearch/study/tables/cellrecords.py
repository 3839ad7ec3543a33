"""Recorded cells, and cells equivalent to them. Each function is one indexed query."""

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
    """A recorded cell."""

    fingerprint: str
    name: str
    text: str
    parent: str
    edits: str  # JSON
    trial: int  # its first trial
    seed: bool


CELL = tuple(cells.c[name] for name in Record.__dataclass_fields__)
EQUIVALENT = (
    *(equivalents.c[name] for name in ("fingerprint", "name", "text", "parent", "edits", "trial")),
    literal(False),
)


def origins(store: Store, fingerprints: Sequence[str]) -> dict[str, Origin]:
    """Fingerprint -> origin of the cell."""
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
    """These cells (None: all; or only the seeds), in order of first occurrence."""
    where: list[ColumnElement[bool]] = [cells.c.study == store.study]
    if seeds:  # found through their indexed items
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
    """The fingerprint of the recorded cell equal or equivalent to a cell; None if it is new. `function`
    computes its functional fingerprint, and is not called for a known cell."""
    with reading(store.engine, store.url) as connection:
        known = known_in(connection, store, fingerprint)
    if known is not None:
        return known
    wanted = function()
    with reading(store.engine, store.url) as connection:
        return trained_in(connection, store, wanted)


def named_cells(store: Store, name: str) -> list[Record]:
    """The cells of this name, in order of first occurrence."""
    here = (cells.c.study == store.study, cells.c.name == name)
    with reading(store.engine, store.url) as connection:
        return [
            Record(*row) for row in connection.execute(select(*CELL).where(*here).order_by(cells.c.trial))
        ]


def equivalents_of(store: Store) -> dict[str, tuple[str, ...]]:
    """Fingerprint of a cell -> fingerprints of equivalent cells, in order of first occurrence."""
    query = select(equivalents.c.cell, equivalents.c.fingerprint).where(equivalents.c.study == store.study)
    found: dict[str, list[str]] = {}
    with reading(store.engine, store.url) as connection:
        for row in connection.execute(query.order_by(equivalents.c.trial)):
            found.setdefault(row.cell, []).append(row.fingerprint)
    return {mark: tuple(listed) for mark, listed in found.items()}


def parts(fingerprints: Sequence[str], size: int = 500) -> list[Sequence[str]]:
    """In chunks that every database accepts as parameters of one statement."""
    return [fingerprints[i : i + size] for i in range(0, len(fingerprints), size)]


def matching(store: Store, start: str) -> list[Record]:
    """The cells, and cells equivalent to them, whose fingerprint begins with `start`, by their trials."""
    last = start + "g"  # sorts after all hexadecimal digits; a range uses the index, a pattern does not

    def query(table: Table, columns: Sequence[ColumnElement[Any]]) -> Select[Any]:
        mark = table.c.fingerprint
        return select(*columns).where(table.c.study == store.study, mark >= start, mark < last)

    with reading(store.engine, store.url) as connection:
        found = [Record(*row) for row in connection.execute(query(cells, CELL))]
        found += [Record(*row) for row in connection.execute(query(equivalents, EQUIVALENT))]
    return sorted(found, key=lambda record: record.trial)


def known_in(connection: Connection, store: Store, fingerprint: str) -> str | None:
    """The fingerprint of the recorded cell for a known cell: its own, or that of the cell that it is
    equivalent to."""
    cell = select(cells.c.fingerprint).where(cells.c.study == store.study, cells.c.fingerprint == fingerprint)
    here = (equivalents.c.study == store.study, equivalents.c.fingerprint == fingerprint)
    return connection.execute(cell.union_all(select(equivalents.c.cell).where(*here))).scalar()


def trained_in(connection: Connection, store: Store, function: str) -> str | None:
    """The fingerprint of the cell that is trained for all cells of a functional fingerprint."""
    here = (functions.c.study == store.study, functions.c.function == function)
    return connection.execute(select(functions.c.fingerprint).where(*here)).scalar()
