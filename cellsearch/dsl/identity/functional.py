"""A second name for a cell, for what it computes: the same for cells that are one function of one set of
weights.

In: a `Cell`. Out: 64 hexadecimal digits, and the order of its weights that makes two cells comparable. Cells
of one such name are *equivalent*: `a - b` and `a + (-1) * b`, `x * 1` and `x`, `a * (b * c)` and
`(a * b) * c`, a pure expression written twice or named and used twice. Training cannot tell them apart, but
for rounding and for the gradient where max or min ties.

Compared is what comes out (the output and all new states) for any input of the hidden width, any old states
and any weights; kinds of matrices, initial values, the clock and the number of weights are compared as they
stand. A weight that has no effect counts as a weight, since it takes its share of a number of parameters.

The cell is run in float64 on fixed probes. Which weight gets which probe values must not depend on how the
cell is written, so it follows from what the weights do: weights of one kind start with equal values, the
effect of changing each one alone on what comes out puts them in an order, and this is repeated with values by
the new order until all have places of their own. Weights that never part are interchangeable, or the cell has
two names, as with the structural fingerprint. Two cells of one name gave the same numbers with the same
distinct weights, to about seven digits at every probe. A cell that looks back far, or gives hardly a number
that is finite, cannot be judged by its numbers; it has its structural name.
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

DRAWS = 32  # of weights, inputs and states together; so many, since a learned scalar is one number in each
LOOKBACK = 32  # of a cell that is run
FINITE = 1 / 8  # of the numbers that come out in one place, at least
_TIE = 1e-10  # effects nearer than this are one: far above rounding, far below what two weights do
_STEP = 1e-7  # of the numbers that are hashed
_TOGETHER = 64  # so many weights are changed in one run, each in a variant of its own
#: Nodes times variants before weights that are equal so far are taken as they stand: a bound on the time.
_WORK = 200_000


@dataclass(frozen=True, slots=True)
class Function:
    """What a cell computes: its name, and its weights (the pair of bracket and term of each) in an order in
    which the k-th weights of two cells of one name are the same."""

    name: str
    order: tuple[Slot, ...]


def functional_fingerprint(cell: Cell) -> str:
    """The name of the function that `cell` is: 64 hexadecimal digits."""
    return function_of(cell).name


def equivalent(cells: Iterable[Cell]) -> list[tuple[Cell, ...]]:
    """The groups of cells that are the same function and not the same graph, one cell for each graph; in the
    order of the first of each group."""
    groups: dict[str, dict[str, Cell]] = defaultdict(dict)
    for cell in cells:
        groups[functional_fingerprint(cell)].setdefault(fingerprint(cell), cell)
    return [tuple(group.values()) for group in groups.values() if len(group) > 1]


@lru_cache(maxsize=RECENT)
def function_of(cell: Cell) -> Function:
    """The name and the order of the weights of `cell`."""
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
        # States start where identities may end: h / h is no number at the first step.
        facts += _numbers(run(cell, values, DRAWS, start=True))
        if inexact:
            # Two numbers that are nearly the same are two, and tiny ones count: others stand for them.
            facts += _numbers(run(cell, values, DRAWS, constant=_stand_in))
    return Function(sha256("\n".join(facts).encode()).hexdigest(), order)


# ---- weights and their order


def _kinds(cell: Cell) -> dict[Slot, str]:
    """All weights, each with what is compared of it as it stands."""
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
    """The weights in an order that follows from what they do; None where no number tells them apart.
    `place` counts for each weight those before its class, so that the weights of a class have one place
    until they part."""
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
        if acting is None:  # what has no effect may stand in any order; among NaN nothing has one
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
    """How much what comes out changes, in one number, where one of the weights `which` changes alone."""
    values = {slot: values_of(kinds[slot], place[slot], "own", 1) for slot in place}
    for k, slot in enumerate(which, 1):
        values[slot] = np.repeat(values[slot], 1 + len(which), 0)
        values[slot][k] = values_of(kinds[slot], place[slot], "other", 1)
    sums = np.broadcast_to(_sum(run(cell, values, 1), "effects"), (1 + len(which),))
    return {slot: float(sums[1 + k] - sums[0]) for k, slot in enumerate(which)}


# ---- numbers of what comes out


def _numbers(found: Array) -> list[str]:
    """What is hashed of what came out: a few sums over all of it, rounded."""
    whole = np.broadcast_to(found, (len(found), DRAWS, found.shape[-1])).swapaxes(0, 1).reshape(1, 1, -1)
    return [str(round(float(_sum(whole, f"sum {k}")[0]) / _STEP)) for k in range(3)]


def _sum(found: Array, name: str) -> Array:
    """One number for each of K: a sum over [places, K, numbers], with factors that follow from a name."""
    places, _, numbers = found.shape
    factors = draw(name, places * numbers).reshape(places, 1, numbers)
    total: Array = (np.where(np.isfinite(found), found, 1.0) * factors).sum((0, 2))
    return total


def _exact(value: float) -> bool:
    """Whether a number is one that identities rest on: 0, 1, -1, 2, 0.5, …"""
    return abs(value) <= 16 and (4 * value).is_integer()


def _stand_in(value: float) -> float:
    """Another number for each number that is not exact."""
    if _exact(value):
        return value
    return float(np.copysign(1.25 + 0.75 * draw(f"constant {abs(value)!r}", 1)[0], value))
