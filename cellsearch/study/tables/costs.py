"""Recorded cells by score and cost: their costs as measured by `sizes`, and the Pareto fronts.

The sizes of a cell are recorded when it is ranked; missing ones are recomputed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import select

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.text import parse
from cellsearch.study.mutation.sizes import MEASURES
from cellsearch.study.scoring import fronts
from cellsearch.study.scoring.fronts import Point
from cellsearch.study.tables import cellrecords
from cellsearch.study.tables.schema import sizes
from cellsearch.study.tables.transactions import Store, alone, reading, unless_there

Scored = Sequence[tuple[str, float]]  # fingerprints with scores


def note(store: Store, fingerprint: str, cell: Cell, width: int) -> None:
    """Records the sizes of a cell."""
    row = {"study": store.study, "fingerprint": fingerprint, "width": width}
    counted = {name: measure(cell, width) for name, measure in MEASURES.items()}
    with alone(store) as connection:
        connection.execute(unless_there(store.engine, sizes).values(row | counted))


def noted(store: Store, fingerprints: Sequence[str], name: str, width: int) -> dict[str, int]:
    """Fingerprint -> recorded size."""
    query = select(sizes.c.fingerprint, sizes.c[name]).where(
        sizes.c.study == store.study, sizes.c.width == width
    )
    with reading(store.engine, store.url) as connection:
        return {
            str(row[0]): int(row[1])
            for part in cellrecords.parts(fingerprints)
            for row in connection.execute(query.where(sizes.c.fingerprint.in_(part)))
        }


@dataclass(frozen=True, slots=True)
class Costs:
    """The costs of recorded cells, cached: a cell does not change."""

    store: Store
    name: str  # name of the cost
    width: int
    known: dict[str, tuple[int, int]] = field(default_factory=dict)

    def of(self, fingerprints: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Fingerprint -> the first trial of the cell, and its cost."""
        new = [mark for mark in fingerprints if mark not in self.known]
        if new:
            found = noted(self.store, new, self.name, self.width)
            left = [mark for mark in new if mark not in found]
            for record in cellrecords.recorded_cells(self.store, left) if left else ():
                found[record.fingerprint] = MEASURES[self.name](parse(record.text), self.width)
            origins = cellrecords.origins(self.store, new)
            self.known.update({mark: (origins[mark].trial, found[mark]) for mark in new})
        return {mark: self.known[mark] for mark in fingerprints}


def by_front(scores: Scored, costs: Costs) -> list[str]:
    """Ranked cells, by fronts of (score, cost) (`fronts.ordered`)."""
    marks, points = _points(scores, costs)
    return [marks[k] for k in fronts.ordered(points)]


def front(scores: Scored, costs: Costs) -> dict[str, int]:
    """The Pareto front of the ranked cells, best score first, and their costs."""
    marks, points = _points(scores, costs)
    return {marks[k]: points[k][1] for k in fronts.fronts(points)[0]} if points else {}


def _points(scores: Scored, costs: Costs) -> tuple[list[str], list[Point]]:
    """The cells in order of first occurrence, which breaks ties."""
    known = costs.of([mark for mark, _ in scores])
    found = sorted(scores, key=lambda pair: (known[pair[0]][0], pair[0]))
    return [mark for mark, _ in found], [(score, known[mark][1]) for mark, score in found]
