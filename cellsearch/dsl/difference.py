"""The difference between two cells: lines of their texts, and gates, connections, peepholes, biases, states
and functions that only one of them has.

Parts are compared by the names of their equations; a renamed equation counts as another one.
"""

import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from cellsearch.dsl.describe import describe
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.nodes import Apply
from cellsearch.dsl.roles import Gate
from cellsearch.dsl.text import show


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of parts, by name."""

    kind: str  # states, gates, connections, peepholes, biases, functions
    added: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """From the cell `old` to the cell `new`, by name."""

    old: str
    new: str
    lines: tuple[tuple[str, str], ...]  # " ", "-" or "+", and a line of the text without its description
    parts: tuple[Part, ...]  # only the kinds that differ

    @property
    def words(self) -> tuple[str, ...]:
        """A line for each kind of change."""
        return tuple(
            f"{part.kind} {verb}: {', '.join(names)}"
            for part in self.parts
            for verb, names in (("added", part.added), ("removed", part.removed))
            if names
        )


def difference(old: Cell, new: Cell) -> Difference:
    """The difference from `old` to `new`. Raises CellError if two weights would share a name."""
    before, after = describe(old), describe(new)
    pairs: dict[str, tuple[Sequence[str], Sequence[str]]] = {
        "states": (_states(old), _states(new)),
        "gates": ([_gate(g) for g in before.gates], [_gate(g) for g in after.gates]),
        "connections": (before.connections, after.connections),
        "peepholes": (before.peepholes, after.peepholes),
        "biases": (before.biases, after.biases),
        "functions": (_functions(old), _functions(new)),
    }
    parts = [Part(kind, _less(now, was), _less(was, now)) for kind, (was, now) in pairs.items()]
    changed = tuple(part for part in parts if part.added or part.removed)
    return Difference(old.name, new.name, _lines(old, new), changed)


def _states(cell: Cell) -> list[str]:
    return [state.name if not state.initial else f"{state.name}={state.initial:g}" for state in cell.states]


def _gate(gate: Gate) -> str:
    return f"{gate.name or 'an unnamed one'} ({gate.role}{f' of {gate.state}' if gate.state else ''})"


def _functions(cell: Cell) -> list[str]:
    return [node.op for node in cell.nodes if isinstance(node, Apply)]


def _less(some: Sequence[str], others: Sequence[str]) -> tuple[str, ...]:
    """The surplus of `some` over `others`, with counts above one."""
    left = Counter(some) - Counter(others)
    return tuple(name if count == 1 else f"{count} x {name}" for name, count in left.items())


def _lines(old: Cell, new: Cell) -> tuple[tuple[str, str], ...]:
    """Lines in the order of both texts, without description and name."""
    was, now = ([line for line in show(cell).splitlines() if line[:1] != "#"] for cell in (old, new))
    was[0], now[0] = (line.partition("(")[2].join(["cell (", ""]) for line in (was[0], now[0]))
    return tuple((line[0], line[2:]) for line in difflib.ndiff(was, now) if line[0] != "?")
