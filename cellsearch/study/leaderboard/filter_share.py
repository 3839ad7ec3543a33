"""Fairness of a filter: the share of its settings with which each seed passes it.

Every search measures it when it trains its seeds. For the bundled spaces it was also measured before
(`search_spaces/passed.json`, written by `results/findings/filter/seeds.py`).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.study.space import Filter, Space, shipped
from cellsearch.study.space.model import FILTER, plain
from cellsearch.study.tables import cellrecords, queries
from cellsearch.study.tables.transactions import Store

FAIR = 0.8  # the required pass rate of a seed


@dataclass(frozen=True, slots=True)
class Passed:
    """The number of settings with which a seed passes the filter, and the number trained."""

    seed: str
    passed: int
    settings: int

    @property
    def fair(self) -> bool:
        """Whether the pass rate matches the paper's filter, which the LSTM passes "with all but the most
        extreme settings" (Jozefowicz et al. 2015, section 3.1)."""
        return self.passed >= FAIR * self.settings


def passed(store: Store, space: Space) -> list[Passed]:
    """The pass rates of seeds; empty for a search without a filter, or from before they were measured."""
    if space.filter is None:
        return []
    found = []
    for seed in cellrecords.recorded_cells(store, seeds=True):
        results = queries.results(store, [seed.fingerprint], FILTER)
        enough = sum(accuracy is not None and accuracy >= space.filter.accuracy for _, accuracy in results)
        if results:
            found.append(Passed(seed.name, enough, len(results)))
    return found


def measured(space: Space, seeds: Mapping[str, Cell]) -> list[Passed]:
    """Earlier measured pass rates of `seeds` with exactly this filter, by name."""
    if space.filter is None:
        return []
    known = json.loads((shipped() / "passed.json").read_text(encoding="utf-8"))
    rows = {(row["filter"], row["cell"]): row for row in known}
    mine = digest(space.filter)
    found = ((name, rows.get((mine, fingerprint(cell)))) for name, cell in seeds.items())
    return [Passed(name, row["passed"], row["settings"]) for name, row in found if row]


def digest(filter: Filter) -> str:
    """A hash of everything that decides whether a cell passes a filter."""
    text = json.dumps([plain(filter), plain(filter.grid)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
