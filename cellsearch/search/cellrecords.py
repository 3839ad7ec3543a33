"""Cells and twins as they are on record. Each function is one look at the database, by its indexes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, inspect, literal, select

from cellsearch.search.ranking import Origin
from cellsearch.search.schema import Store, cells, reading, slots, twins
from cellsearch.search.slots import known_in, trained_in


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


CELL = tuple(cells.c[name] for name in Record.__dataclass_fields__)
TWIN = (
    *(twins.c[name] for name in ("fingerprint", "name", "text", "parent", "edits", "slot")),
    literal(False),
)


def origins(store: Store, fingerprints: Sequence[str]) -> dict[str, Origin]:
    """Fingerprint -> where the cell comes from."""
    query = select(cells.c.fingerprint, cells.c.slot, cells.c.seed).where(cells.c.study == store.study)
    with reading(store.engine, store.url) as connection:
        return {
            row.fingerprint: Origin(row.slot, bool(row.seed))
            for part in parts(fingerprints)
            for row in connection.execute(query.where(cells.c.fingerprint.in_(part)))
        }


def recorded_cells(
    store: Store, fingerprints: Sequence[str] | None = None, seeds: bool = False
) -> list[Record]:
    """These cells (all where None; the seeds alone), in the order in which they were met."""
    where: list[ColumnElement[bool]] = [cells.c.study == store.study]
    if seeds:  # found by the slots of the baseline, of which there is an index
        baseline = select(slots.c.fingerprint).where(slots.c.study == store.study, slots.c.kind == "baseline")
        where += [cells.c.seed, cells.c.fingerprint.in_(baseline)]
    query = select(*CELL).order_by(cells.c.slot, cells.c.fingerprint)
    with reading(store.engine, store.url) as connection:
        if fingerprints is None:
            return [Record(*row) for row in connection.execute(query.where(*where))]
        found: list[Record] = []
        for part in parts(fingerprints):
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


def named_cells(store: Store, name: str) -> list[Record]:
    """The cells of this name, in the order in which they were met."""
    here = (cells.c.study == store.study, cells.c.name == name)
    with reading(store.engine, store.url) as connection:
        return [Record(*row) for row in connection.execute(select(*CELL).where(*here).order_by(cells.c.slot))]


def twins_of(store: Store) -> dict[str, tuple[str, ...]]:
    """Fingerprint of a cell -> those of its twins, in the order in which they were met."""
    query = select(twins.c.cell, twins.c.fingerprint).where(twins.c.study == store.study)
    found: dict[str, list[str]] = {}
    with reading(store.engine, store.url) as connection:
        if has_twins(connection):
            for row in connection.execute(query.order_by(twins.c.slot)):
                found.setdefault(row.cell, []).append(row.fingerprint)
    return {mark: tuple(listed) for mark, listed in found.items()}


def has_twins(connection: Connection) -> bool:
    """Whether there is the table of twins: a database of numerics 1 has none, and is read all the same."""
    return inspect(connection).has_table(twins.name)


def twins_in(store: Store, numbers: Sequence[int]) -> list[Record]:
    """The cells that were proposed in these slots, were new, and count as another one."""
    query = select(*TWIN).where(twins.c.study == store.study, twins.c.slot.in_(list(numbers)))
    with reading(store.engine, store.url) as connection:
        return [Record(*row) for row in connection.execute(query)]


def parts(fingerprints: Sequence[str], size: int = 500) -> list[Sequence[str]]:
    """In pieces that every database takes as parameters of one statement."""
    return [fingerprints[i : i + size] for i in range(0, len(fingerprints), size)]


def matching(store: Store, start: str) -> list[Record]:
    """The cells and twins whose fingerprint begins with `start`, in the order in which they were met."""
    last = start + "g"  # after all hexadecimal digits; a range is found by the index, a pattern is not

    def query(table: Table, columns: Sequence[ColumnElement[Any]]) -> Select[Any]:
        mark = table.c.fingerprint
        return select(*columns).where(table.c.study == store.study, mark >= start, mark < last)

    with reading(store.engine, store.url) as connection:
        found = [Record(*row) for row in connection.execute(query(cells, CELL))]
        if has_twins(connection):
            found += [Record(*row) for row in connection.execute(query(twins, TWIN))]
    return sorted(found, key=lambda record: record.slot)
