"""The weights of a cell by name and shape. Names are part of the file format.

A bracket is named after its equation (`i`), or `n_1`, `n_2` in the order of opening if an equation has
several; a weight after the bracket and the value that it reads (`i.x`, `i.c_new`, `i.bias`). Checkpoints,
exported modules and error messages use the same names.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from cellsearch.dsl.graph import RECENT, Cell
from cellsearch.dsl.nodes import Affine, Before, Input, input_wide, sources
from cellsearch.dsl.parts import name_of
from cellsearch.dsl.structures import Piece, Sizes, Structure, parameters
from cellsearch.errors import CellError


@dataclass(frozen=True, slots=True)
class Weight:
    """One parameter of a cell: `name`, its affine node, and its term there.

    `term` is the index of the connection, or -1 for the bias. Shapes at input width D and hidden width H: a
    full connection from x is [D, H], from any other value [H, H], unless its structure has another shape;
    a peephole and a bias are [H]; a scalar is [1].
    """

    name: str
    node: int
    term: int
    kind: str  # "full" (or "down", "up" if a matrix has several weights), "peephole", "bias" or "scalar"
    row: Structure | None = None  # of a matrix
    place: int = 0  # among the weights of its row
    from_x: bool = False
    number: int = 0  # of the structure

    @property
    def piece(self) -> Piece:
        """The weight's entry in the row of its structure."""
        assert self.row is not None
        return self.row.pieces[self.place]

    @property
    def connection(self) -> str:
        """The name of a matrix, which may own several weights."""
        assert self.row is not None
        return self.name.removesuffix(self.row.suffix(self.place))

    def sizes(self, width: int, hidden: int, clock: tuple[int, ...] = ()) -> Sizes:
        """The sizes of a matrix at input width `width` (D) and hidden width `hidden` (H)."""
        rows = width if self.from_x else hidden
        return Sizes(rows, hidden, self.number, unit_periods(clock, hidden))

    def shape(self, width: int, hidden: int) -> tuple[int, ...]:
        """The shape at input width `width` (D) and hidden width `hidden` (H)."""
        if self.row is not None:
            return self.sizes(width, hidden).shape(self.piece)
        return (1,) if self.kind == "scalar" else (hidden,)

    def letters(self) -> tuple[str, ...]:
        """The shape in letters, D and H: ("D", "H"), ("H", "8")."""
        if self.row is None:
            return ("1",) if self.kind == "scalar" else ("H",)
        meant = {"rows": "D" if self.from_x else "H", "units": "H", "n": str(self.number)}
        return tuple(re.sub(r"\w+", lambda m: meant.get(m[0], m[0]), text) for text in self.piece.shape)


def spelled(label: str) -> str:
    """An equation's label within a name: c' becomes c_new."""
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
        while stack:  # pre-order: a bracket opens before its contents
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

    Raises CellError if two weights would share a name.
    """
    if second := collision(cell):
        raise CellError(
            f"cell {cell.name}: two weights would have the name {second.name}; rename an equation"
        )
    return tuple(_all(cell))


def collision(cell: Cell) -> Weight | None:
    """The first weight with a duplicate name; None if all names differ."""
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
                continue
            for place in range(len(c.row.pieces)):
                suffix = c.row.suffix(place)
                kind = suffix.removeprefix("_") or "full"
                found.append(Weight(name + suffix, i, k, kind, c.row, place, c.source in wide, c.part or 0))
        if node.bias is not None:
            found.append(Weight(f"{bracket}.bias", i, -1, "scalar" if node.scalar else "bias"))
    return found


def _source_name(cell: Cell, index: int) -> str:
    """The weight's name, derived from its source; "" if the source has no name."""
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
    """The number of parameters of a layer of `hidden` units with inputs of `width`. Entries that are always
    zero (masked by `@slower`, outside `@blocks`, half of `@skew`) do not count."""
    total = 0
    for w in weights(cell):
        if w.row is None:
            total += 1 if w.kind == "scalar" else hidden
        elif w.place == 0:
            total += parameters(w.row, w.sizes(width, hidden, cell.clock))
    return total


@lru_cache(maxsize=64)
def unit_periods(clock: tuple[int, ...], hidden: int) -> tuple[int, ...]:
    """The clock period of each of `hidden` units: groups are in the order of the header, and remaining units
    go one each to the shortest periods (Koutnik et al. 2014, section 3.1). Empty without a clock."""
    if not clock:
        return ()
    size, left = divmod(hidden, len(clock))
    shortest = sorted(range(len(clock)), key=lambda g: (clock[g], g))[:left]
    return tuple(period for g, period in enumerate(clock) for _ in range(size + (g in shortest)))
