"""The weights of a cell by name: what each bracket owns, in which shape. Names are part of the file format.

A bracket is named after its equation (`i`), or `n_1`, `n_2` in the order of their opening where an equation
has several; a weight after the bracket and the value it reads (`i.x`, `i.c_new`, `i.bias`). The same names
stand in checkpoints, exported modules and error messages.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import prod

from cellsearch.dsl.graph import RECENT, Cell
from cellsearch.dsl.nodes import Affine, Before, Input, input_wide, sources
from cellsearch.dsl.parts import name_of
from cellsearch.errors import CellError


@dataclass(frozen=True, slots=True)
class Weight:
    """One parameter of a cell: `name`, the affine node that owns it, and which of its terms it is.

    `term` is the index of the connection, or -1 for the bias. Shapes at input width D and hidden width H: a
    full connection from x is [D, H], from any other value [H, H]; `@rank(r)` has a "down" of [D or H, r] and
    an "up" of [r, H] instead; a peephole and a bias are [H]; a scalar is [1].
    """

    name: str
    node: int
    term: int
    kind: str  # "full", "down", "up", "peephole", "bias" or "scalar"
    from_x: bool = False
    rank: int = 0

    def shape(self, width: int, hidden: int) -> tuple[int, ...]:
        """The shape at input width `width` (D) and hidden width `hidden` (H)."""
        rows = width if self.from_x else hidden
        if self.kind in ("full", "down", "up"):
            shapes = {"full": (rows, hidden), "down": (rows, self.rank), "up": (self.rank, hidden)}
            return shapes[self.kind]
        return (1,) if self.kind == "scalar" else (hidden,)


def spelled(label: str) -> str:
    """An equation's label as a part of a name: c' becomes c_new."""
    return f"{label[:-1]}_new" if label.endswith("'") else label


@lru_cache(maxsize=RECENT)
def bracket_names(cell: Cell) -> dict[int, str]:
    """The name of each affine node, in the order of the nodes."""
    found: dict[int, str] = {}
    for root, label in enumerate(cell.labels):
        if not label:
            continue
        brackets: list[int] = []
        stack = [root]
        while stack:  # pre-order: a bracket opens before what stands in it
            i = stack.pop()
            node = cell.nodes[i]
            if isinstance(node, Affine):
                brackets.append(i)
            stack.extend(s for s in reversed(sources(node)) if not _named(cell, s))
        name = spelled(label)
        if len(brackets) == 1:
            found[brackets[0]] = name
        else:
            found.update((node, f"{name}_{k}") for k, node in enumerate(brackets, 1))
    return {i: found[i] for i in sorted(found)}


@lru_cache(maxsize=RECENT)
def weights(cell: Cell) -> tuple[Weight, ...]:
    """All weights of a cell, bracket by bracket: its connections in the order of the text, then its bias.

    Raises CellError where two weights would have one name.
    """
    if second := collision(cell):
        raise CellError(f"cell {cell.name}: two weights would be called {second.name}; rename an equation")
    return tuple(_all(cell))


def collision(cell: Cell) -> Weight | None:
    """The first weight whose name another one has already; None where all names differ."""
    seen: set[str] = set()
    for weight in _all(cell):
        if weight.name in seen:
            return weight
        seen.add(weight.name)
    return None


def _all(cell: Cell) -> list[Weight]:
    found: list[Weight] = []
    wide = input_wide(cell.nodes)
    for i, bracket in bracket_names(cell).items():
        node = cell.nodes[i]
        assert isinstance(node, Affine)
        full = {c.source for c in node.connections if not c.peephole}
        for k, c in enumerate(node.connections):
            name = f"{bracket}.{_source_name(cell, c.source) or str(k + 1)}"
            if c.peephole:
                name += "_peephole" if c.source in full else ""
                found.append(Weight(name, i, k, "peephole"))
            elif c.structure == "rank":
                assert c.part is not None
                found.append(Weight(f"{name}_down", i, k, "down", c.source in wide, c.part))
                found.append(Weight(f"{name}_up", i, k, "up", c.source in wide, c.part))
            else:
                found.append(Weight(name, i, k, "full", from_x=c.source in wide))
        if node.bias is not None:
            found.append(Weight(f"{bracket}.bias", i, -1, "scalar" if node.scalar else "bias"))
    return found


def _source_name(cell: Cell, index: int) -> str:
    """How a weight is called after the value it reads; "" where that has no name."""
    node = cell.nodes[index]
    if isinstance(node, Input) and node.kind == "below":
        return f"below_{node.name}"
    own = spelled(name_of(cell, index))
    if own or not isinstance(node, Before):
        return own
    earlier = _source_name(cell, node.source)
    steps = "" if node.delay == 1 else f"_{node.delay}"
    return f"before_{earlier}{steps}" if earlier else ""


def _named(cell: Cell, index: int) -> bool:
    return bool(name_of(cell, index))


@lru_cache(maxsize=16 * RECENT)  # of a cell at several widths
def count(cell: Cell, width: int, hidden: int) -> int:
    """How many parameters a layer of `hidden` units with inputs of `width` has. Entries that are always zero
    (where `@slower` hears nothing, outside of `@blocks`, half of `@skew`) do not count."""
    periods = unit_periods(cell.clock, hidden)
    heard = sum(source >= target for source in periods for target in periods)
    total = 0
    for w in weights(cell):
        node = cell.nodes[w.node]
        assert isinstance(node, Affine)
        shape = w.shape(width, hidden)
        c = node.connections[w.term] if w.kind == "full" else None
        if c and c.structure == "slower":
            total += heard
        elif c and c.structure == "skew":
            total += hidden * (hidden - 1) // 2
        elif c and c.structure == "blocks":
            assert c.part is not None
            blocks = (split(n, c.part) for n in shape)
            total += sum(rows * columns for rows, columns in zip(*blocks, strict=True))
        else:
            total += prod(shape)
    return total


def split(units: int, parts: int) -> list[int]:
    """The sizes of `parts` neighbouring parts of `units`, as equal as can be, larger ones first."""
    size, left = divmod(units, parts)
    return [size + (k < left) for k in range(parts)]


def unit_periods(clock: tuple[int, ...], hidden: int) -> list[int]:
    """The clock period of each of `hidden` units: the groups stand in the order of the header, and units that
    they do not divide go one each to the shortest periods (Koutnik et al. 2014, section 3.1). Empty without a
    clock."""
    if not clock:
        return []
    size, left = divmod(hidden, len(clock))
    shortest = sorted(range(len(clock)), key=lambda g: (clock[g], g))[:left]
    return [period for g, period in enumerate(clock) for _ in range(size + (g in shortest))]
