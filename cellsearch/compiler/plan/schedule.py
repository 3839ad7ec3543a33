"""The schedule of a layer: frozen data, no tensors, no sizes.

A node is *constant* (only numbers), *outer* (it depends only on the input sequence or on weights, so all T
steps are computed at once before the loop) or *inner* (it depends on a state). Outer and inner nodes fall
into stages. A stage is some matrix products and then one pointwise kernel; all products with a source ready
at the same depth are in one stage, and connections from one source to neighbouring slots are one product.

Every affine with connections has a *slot* of width H along G in the tape, which sums its terms. Slots are
ordered so that the connections of a source are adjacent as often as possible. Values that the backward pass
reads get slots after them; an activation overwrites an affine that it alone reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

from cellsearch.compiler.plan.delays import Lowered, lower
from cellsearch.dsl.graph import RECENT, Cell
from cellsearch.dsl.nodes import Affine, Apply, Constant, Input, Node, sources
from cellsearch.dsl.ops import OPS, Kind


@dataclass(frozen=True, slots=True)
class Product:
    """value(source) @ W, added to the slots first .. first + count."""

    source: int
    first: int
    count: int

    @property
    def slots(self) -> range:
        """The target slots."""
        return range(self.first, self.first + self.count)


@dataclass(frozen=True, slots=True)
class Stage:
    """Products, then ops over the units, then the pointwise nodes that depend on them, in order."""

    products: tuple[Product, ...]
    nodes: tuple[int, ...]
    units: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)  # one plan per cell, as long as `plan` or a layout keeps it
class Plan:
    """The compiled schedule of one cell."""

    cell: Lowered
    affines: tuple[int, ...]  # the affine node of each gathering slot
    outer: tuple[Stage, ...]
    inner: tuple[Stage, ...]
    is_outer: tuple[bool, ...]
    is_constant: tuple[bool, ...]
    home: tuple[int, ...]  # the tape slot of a node's value for every step; -1 if it is not kept
    slots: int  # number of slots of the tape; the first len(affines) are gathering slots
    kept: dict[Any, Any] = field(init=False, repr=False, default_factory=dict)  # see `kept`

    @cached_property
    def products(self) -> tuple[Product, ...]:
        """All products, in the order of the schedule."""
        return tuple(p for stage in (*self.outer, *self.inner) for p in stage.products)

    @cached_property
    def index(self) -> dict[Product, int]:
        """The index of each product in `products`."""
        return {p: k for k, p in enumerate(self.products)}

    @cached_property
    def initialising(self) -> frozenset[Product]:
        """The outer products that initialise their slots, with the biases."""
        untouched, found = set(range(len(self.affines))), set()
        for p in (p for stage in self.outer for p in stage.products):
            slots = set(p.slots)
            if slots <= untouched:
                found.add(p)
            untouched -= slots
        return frozenset(found)

    @cached_property
    def uninitialised(self) -> tuple[int, ...]:
        """The gathering slots without an initialising product: they start at their biases."""
        begun = {slot for p in self.initialising for slot in p.slots}
        return tuple(slot for slot in range(len(self.affines)) if slot not in begun)

    def slot_of(self, affine: int) -> int:
        """The gathering slot of an affine node."""
        return self.affines.index(affine)


def over_units(node: object) -> bool:
    """Whether a node is an op over the units, which needs its complete argument first."""
    return isinstance(node, Apply) and OPS[node.op].kind is Kind.UNITS


def is_vector(node: object) -> bool:
    """Whether a node is a learned vector or scalar: an affine without connections."""
    return isinstance(node, Affine) and not node.connections


@lru_cache(maxsize=RECENT)
def plan(of: Cell) -> Plan:
    """The schedule of a cell."""
    cell = lower(of)
    nodes = cell.nodes
    inner, constant, level = [False] * len(nodes), [False] * len(nodes), [0] * len(nodes)
    for i, node in enumerate(nodes):
        if isinstance(node, Input):
            inner[i] = node.kind == "state"
            continue
        reads = sources(node)
        inner[i] = any(inner[s] for s in reads)
        elementwise = isinstance(node, Apply) and not over_units(node)
        constant[i] = isinstance(node, Constant) or (elementwise and all(constant[s] for s in reads))
        same = [s for s in reads if inner[s] == inner[i]]
        level[i] = max((level[s] for s in same), default=0)
        if isinstance(node, Affine):
            full = [c.source for c in node.connections if not c.peephole and inner[c.source] == inner[i]]
            level[i] = max(level[i], *(1 + level[s] for s in full), 0)
        elif over_units(node):
            level[i] += 1
    affines = _slot_order(cell, inner, level)
    products = _products(cell, affines)
    home, slots = _homes(cell, affines, inner, constant, level)

    def stages(want: bool) -> tuple[Stage, ...]:
        chosen = [
            i
            for i, n in enumerate(nodes)
            if inner[i] == want
            and not isinstance(n, Input)
            and not is_vector(n)
            and (not constant[i] or home[i] >= 0)
        ]
        mine = [p for p in products if inner[p.source] == want]
        last = max([level[i] for i in chosen] + [level[p.source] + 1 for p in mine], default=-1)
        return tuple(
            Stage(
                tuple(p for p in mine if level[p.source] + 1 == k),
                tuple(i for i in chosen if level[i] == k and not over_units(nodes[i])),
                tuple(i for i in chosen if level[i] == k and over_units(nodes[i])),
            )
            for k in range(last + 1)
        )

    return Plan(
        cell=cell,
        affines=affines,
        outer=stages(False),
        inner=stages(True),
        is_outer=tuple(not i for i in inner),
        is_constant=tuple(constant),
        home=tuple(home),
        slots=slots,
    )


def _slot_order(cell: Lowered, inner: Sequence[bool], level: Sequence[int]) -> tuple[int, ...]:
    """The gathering affines in an order with few runs of connections per source. Greedy, from every possible
    first affine: the next one shares most sources with the last.
    """
    reads = {
        i: frozenset(c.source for c in node.connections if not c.peephole)
        for i, node in enumerate(cell.nodes)
        if isinstance(node, Affine) and node.connections
    }
    best: tuple[int, tuple[int, ...]] | None = None
    for start in list(reads)[:16]:
        order, left = [start], [i for i in reads if i != start]
        while left:
            last = reads[order[-1]]
            order.append(min(left, key=lambda i: (len(last ^ reads[i]), inner[i], level[i], i)))
            left.remove(order[-1])
        runs = len(_products(cell, order))
        if best is None or runs < best[0]:
            best = (runs, tuple(order))
    return best[1] if best else ()


def _products(cell: Lowered, affines: Sequence[int]) -> tuple[Product, ...]:
    """One product for each run of neighbouring slots that read the same source through a matrix."""
    found: list[Product] = []
    readers: dict[int, list[int]] = {}
    for slot, i in enumerate(affines):
        node = cell.nodes[i]
        assert isinstance(node, Affine)
        for c in node.connections:
            if not c.peephole:
                readers.setdefault(c.source, []).append(slot)
    for source in sorted(readers):
        first = last = -2
        for slot in [*readers[source], -1]:
            if slot == last + 1:
                last = slot
                continue
            if first >= 0:
                found.append(Product(source, first, last - first + 1))
            first = last = slot
    return tuple(found)


def _homes(
    cell: Lowered,
    affines: Sequence[int],
    inner: Sequence[bool],
    constant: Sequence[bool],
    level: Sequence[int],
) -> tuple[list[int], int]:
    """The tape slot of every value that is needed after its kernel, and the number of slots."""
    nodes = cell.nodes
    needed: set[int] = set()
    for i, node in enumerate(nodes):
        if isinstance(node, Affine):
            needed.update(c.source for c in node.connections)
        elif isinstance(node, Apply) and not constant[i]:
            keeps = OPS[node.op].keeps
            needed.update(a for a, letter in zip(node.args, "ab", strict=False) if letter in keeps)
            if "y" in keeps or over_units(node):
                needed.add(i)
            if over_units(node):
                needed.update(node.args)
        for s in sources(node):
            if inner[s] != inner[i] or level[s] != level[i]:
                needed.add(s)
    needed.update((cell.output, *(i for i in cell.new if not inner[i])))
    home = [-1] * len(nodes)
    for slot, i in enumerate(affines):
        home[i] = slot
    slots = len(affines)
    for i, node in enumerate(nodes):
        if i not in needed or isinstance(node, Input) or home[i] >= 0 or is_vector(node):
            continue
        if constant[i] and i != cell.output and not any(_spells_out(nodes[u]) for u in cell.users[i]):
            continue  # a number in the formulas
        if inner[i] and i in cell.new and not over_units(node):
            continue  # it is in the sequence of the state
        arg = node.args[0] if isinstance(node, Apply) and len(node.args) == 1 else -1
        alone = arg >= 0 and home[arg] >= 0 and isinstance(nodes[arg], Affine) and cell.users[arg] == (i,)
        if alone and not over_units(node) and arg not in needed and arg not in (*cell.new, cell.output):
            home[i] = home[arg]
        else:
            home[i] = slots
            slots += 1
    return home, slots


def _spells_out(node: Node) -> bool:
    """Whether a node needs a constant that it reads as a tensor."""
    return isinstance(node, Affine) or over_units(node)
