"""The functional fingerprint of a cell: equal for cells that compute the same function of the same weights.
Also gives the order of weights that makes two such cells comparable.

Cells with one functional fingerprint are *equivalent*: `a - b` and `a + (-1) * b`, `x * 1` and `x`, `a * (b *
c)` and `(a * b) * c`, a pure expression written twice or named and used twice. Training cannot distinguish
them, except by rounding and by the gradient at ties of max or min.

The comparison covers the output and all new states for any input of the hidden width, any old states and any
weights; matrix structures, initial values, the clock and the number of weights are compared literally. A
weight without effect counts, since it uses up parameters.

The cell is run in float64 on fixed probes. The assignment of probe values to weights must not depend on the
cell's text, so it follows from the effects of the weights: weights of one kind start with equal values, the
effect of changing each one alone on the outputs orders them, and this is repeated with values by the new
order until all differ. Weights that are never separated are interchangeable, or else the cell has two
fingerprints, as with the structural one. Two cells of one functional fingerprint gave the same numbers with
the same distinct weights, to about seven digits at every probe. A cell with long delays or hardly any finite
values cannot be judged by numbers; it uses its structural fingerprint.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

import numpy as np

from cellsearch.dsl.graph import RECENT, Cell
from cellsearch.dsl.identity.fingerprint import fingerprint, initial_fact
from cellsearch.dsl.identity.probes import Array, Slot, draw, run, values_of
from cellsearch.dsl.nodes import Affine, Connection, Constant, lookback

DRAWS = 32  # draws of weights, inputs and states; several, since a learned scalar is one number per draw
LOOKBACK = 32  # maximum nodes of a cell that is run
FINITE = 1 / 8  # minimum share of finite numbers in one output
_TIE = 1e-10  # closer effects count as equal: far above rounding, far below the difference of two weights
_STEP = 1e-7  # digits of the hashed numbers
_TOGETHER = 64  # weights changed in one run, each in its own variant
#: Nodes times variants before tied weights keep their given order: bounds the time.
_WORK = 200_000


@dataclass(frozen=True, slots=True)
class Function:
    """The function of a cell: its fingerprint, and its weights (pairs of bracket and term) in an order that
    matches the weights of equivalent cells."""

    name: str
    order: tuple[Slot, ...]


def functional_fingerprint(cell: Cell) -> str:
    """The functional fingerprint of `cell`: 64 hexadecimal digits."""
    return function_of(cell).name


def equivalent(cells: Iterable[Cell]) -> list[tuple[Cell, ...]]:
    """Groups of cells with the same function and different graphs, one cell per graph, in the order of their
    first cells."""
    groups: dict[str, dict[str, Cell]] = defaultdict(dict)
    for cell in cells:
        groups[functional_fingerprint(cell)].setdefault(fingerprint(cell), cell)
    return [tuple(group.values()) for group in groups.values() if len(group) > 1]


@lru_cache(maxsize=RECENT)
def function_of(cell: Cell) -> Function:
    """The functional fingerprint of `cell` and the order of its weights."""
    kinds = _kinds(cell)
    order = tuple(sorted(kinds, key=lambda slot: (kinds[slot], slot)))
    facts = [f"clock {cell.clock}", *(f"state {s.initial + 0.0!r}" for s in cell.states)]
    facts += [kinds[slot] for slot in order]
    structural = Function(fingerprint(cell), order)
    if max(lookback(cell.nodes)) > LOOKBACK:
        return structural
    inexact = any(isinstance(node, Constant) and not _exact(node.value) for node in cell.nodes)
    with np.errstate(all="ignore"):
        ordered = _ordered(cell, kinds)
        if ordered is None:
            return structural
        order = ordered
        values = {slot: values_of(kinds[slot], place, "own", DRAWS) for place, slot in enumerate(order)}
        found = run(cell, values, DRAWS)
        if np.isfinite(found).mean((1, 2)).min() < FINITE:
            return structural
        facts += _numbers(found)
        # Start from nonzero states: h / h is NaN for zero states.
        facts += _numbers(run(cell, values, DRAWS, start=True))
        if inexact:
            # Nearby and tiny numbers count as different: replace each by an unrelated number.
            facts += _numbers(run(cell, values, DRAWS, constant=_stand_in))
    return Function(sha256("\n".join(facts).encode()).hexdigest(), order)


# ---- weights and their order


def _kinds(cell: Cell) -> dict[Slot, str]:
    """All weights, each with its literally compared facts."""
    found: dict[Slot, str] = {}
    for i, node in enumerate(cell.nodes):
        if isinstance(node, Affine):
            found.update({(i, k): _kind(c) for k, c in enumerate(node.connections)})
            if node.bias is not None:
                found[i, -1] = f"{_shape(node)} {initial_fact(node.bias).removeprefix('uniform ')}"
    return found


def _kind(c: Connection) -> str:
    return "peephole" if c.peephole else f"matrix {c.structure} {c.part} {c.eye}"


def _shape(node: Affine) -> str:
    return "scalar" if node.scalar else "bias"


def _ordered(cell: Cell, kinds: Mapping[Slot, str]) -> tuple[Slot, ...] | None:
    """The weights in an order that follows from their effects; None if no number separates them. `place` is
    the number of weights before the class of a weight, so tied weights share a place."""
    slots = sorted(kinds)
    names = sorted(kinds.values())
    place = {slot: names.index(kinds[slot]) for slot in slots}
    work = 0
    while work < _WORK:
        classes: dict[int, list[Slot]] = defaultdict(list)
        for slot in slots:
            classes[place[slot]].append(slot)
        tied = [members for _, members in sorted(classes.items()) if len(members) > 1]
        if not tied:
            break
        doubtful = [slot for members in tied for slot in members]
        effects: dict[Slot, float] = {}
        for k in range(0, len(doubtful), _TOGETHER):
            effects |= _effects(cell, kinds, place, doubtful[k : k + _TOGETHER])
        work += len(cell.nodes) * len(doubtful)
        before = dict(place)
        for members in tied:
            first = last = place[members[0]]
            members.sort(key=lambda slot: (effects[slot], slot))
            for k, slot in enumerate(members):
                if k and effects[slot] - effects[members[k - 1]] > _TIE:
                    last = first + k
                place[slot] = last
        if place != before:
            continue
        acting = next((m for m in tied if any(abs(effects[slot]) > _TIE for slot in m)), None)
        if acting is None:  # weights without effect may have any order; with NaN no effect is known
            values = {slot: values_of(kinds[slot], place[slot], "own", 1) for slot in place}
            if not np.isfinite(run(cell, values, 1)).all():
                return None
            break
        for slot in acting[1:]:
            place[slot] += 1
    return tuple(sorted(slots, key=lambda slot: (place[slot], slot)))


def _effects(
    cell: Cell, kinds: Mapping[Slot, str], place: Mapping[Slot, int], which: Sequence[Slot]
) -> dict[Slot, float]:
    """The change of the outputs, as one number, when one of the weights `which` changes alone."""
    values = {slot: values_of(kinds[slot], place[slot], "own", 1) for slot in place}
    for k, slot in enumerate(which, 1):
        values[slot] = np.repeat(values[slot], 1 + len(which), 0)
        values[slot][k] = values_of(kinds[slot], place[slot], "other", 1)
    sums = np.broadcast_to(_sum(run(cell, values, 1), "effects"), (1 + len(which),))
    return {slot: float(sums[1 + k] - sums[0]) for k, slot in enumerate(which)}


# ---- numbers of the outputs


def _numbers(found: Array) -> list[str]:
    """The hashed summary of the outputs: a few rounded sums over all of them."""
    whole = np.broadcast_to(found, (len(found), DRAWS, found.shape[-1])).swapaxes(0, 1).reshape(1, 1, -1)
    return [str(round(float(_sum(whole, f"sum {k}")[0]) / _STEP)) for k in range(3)]


def _sum(found: Array, name: str) -> Array:
    """One number for each of K: a sum over [places, K, numbers], with factors that follow from a name."""
    places, _, numbers = found.shape
    factors = draw(name, places * numbers).reshape(places, 1, numbers)
    total: Array = (np.where(np.isfinite(found), found, 1.0) * factors).sum((0, 2))
    return total


def _exact(value: float) -> bool:
    """Whether identities depend on this number: 0, 1, -1, 2, 0.5, …"""
    return abs(value) <= 16 and (4 * value).is_integer()


def _stand_in(value: float) -> float:
    """A replacement for each number that is not exact."""
    if _exact(value):
        return value
    return float(np.copysign(1.25 + 0.75 * draw(f"constant {abs(value)!r}", 1)[0], value))
