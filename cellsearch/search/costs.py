"""Recorded cells by score and cost.

In: a study, and cells with scores. Out: their costs, as `sizes` measures them, and the Pareto fronts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cellsearch.dsl.text import parse
from cellsearch.search import fronts, queries
from cellsearch.search.fronts import Point
from cellsearch.search.schema import Store
from cellsearch.search.sizes import MEASURES

Scored = Sequence[tuple[str, float]]  # fingerprints with scores


@dataclass(frozen=True, slots=True)
class Costs:
    """What recorded cells cost. Each is counted once: a cell does not change."""

    store: Store
    name: str  # of the measure
    width: int
    counted: dict[str, tuple[int, int]] = field(default_factory=dict)

    def of(self, fingerprints: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Fingerprint -> the slot in which the cell was met, and its cost."""
        new = [mark for mark in fingerprints if mark not in self.counted]
        for record in queries.recorded_cells(self.store, new) if new else ():
            cost = MEASURES[self.name](parse(record.text), self.width)
            self.counted[record.fingerprint] = record.slot, cost
        return {mark: self.counted[mark] for mark in fingerprints}


def by_front(scores: Scored, costs: Costs) -> list[str]:
    """Ranked cells, front of (score, cost) by front of it (`fronts.ordered`)."""
    marks, points = _points(scores, costs)
    return [marks[k] for k in fronts.ordered(points)]


def front(scores: Scored, costs: Costs) -> dict[str, int]:
    """The ranked cells that no other one beats in score without costing more, and their costs; best score
    first."""
    marks, points = _points(scores, costs)
    return {marks[k]: points[k][1] for k in fronts.fronts(points)[0]} if points else {}


def _points(scores: Scored, costs: Costs) -> tuple[list[str], list[Point]]:
    """The cells in the order in which they were met, which decides between equal ones."""
    known = costs.of([mark for mark, _ in scores])
    found = sorted(scores, key=lambda pair: (known[pair[0]][0], pair[0]))
    return [mark for mark, _ in found], [(score, known[mark][1]) for mark, score in found]
