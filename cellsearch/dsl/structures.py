# ruff: noqa: E501  (a row is a row)
"""THE table of matrix structures: the weights of `h@rank(8)`, and their matrix. Everything else reads it.

Parser, printer, compiler, exports, mutations and tests know a structure only by its row; a new structure is
one new row. Formulas are text that reads the same in numpy and in torch, so that the compiler evaluates them,
an exported file prints them, and parameters are counted without torch:

    w, down, up   the weights, by the names of their rows; in `matrix` and `derivatives` with any axes before
    g             the gradient that arrives at the matrix
    i, j          row and column of an entry, [rows, 1] and [units]; of the matrix, or in `free` of the weight
    k             entry of a weight that is a vector, [its size, 1]
    rows, units   the width of the source (D, or H) and the hidden width H: the matrix is [rows, units]
    n             the number of the structure
    periods       the clock period of each unit, [units]

with `+ - * // % @`, comparisons, `&`, indexing, the methods that numpy and torch share, `max` of two numbers, and
the functions of `FUNCTIONS` and `HELPERS`.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import prod
from types import CodeType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: A name in a formula that is not a method.
NAME = re.compile(r"(?<![.\w])[a-z_]\w*")

#: Functions with the same name in numpy and torch.
FUNCTIONS = ("maximum", "where", "eye")


@dataclass(frozen=True)
class Helper:
    """A helper function of formulas, defined by a formula."""

    name: str
    arguments: Mapping[str, str]  # and the type of each in PyTorch source
    formula: str
    about: str


HELPERS = {
    "block": Helper(
        "block",
        {"unit": "Tensor", "size": "int", "n": "int"},
        "maximum(unit // (size // n + 1), (unit - size % n) // max(size // n, 1))",
        "the block that each of `size` units belongs to: n blocks, as equal as can be, larger ones first",
    )
}


@dataclass(frozen=True)
class Piece:
    """One weight of a structure. If a structure has several, the name of the weight ends in `_name`."""

    name: str
    shape: tuple[str, ...]
    free: str = ""  # 1 for parameters, 0 for entries that stay zero; "" if all are parameters
    eye: str = ""  # addition of @eye(1) at the start; "" if the structure excludes @eye
    bound: str = "bound"  # drawn from U[-bound, bound], by the bound of a full matrix
    orthogonal: bool = False  # drawn with orthonormal rows or columns instead


@dataclass(frozen=True)
class Structure:
    """One row: a kind of matrix. Its matrix is `matrix`, computed from weights whose entries outside `free`
    are zero."""

    name: str
    pieces: tuple[Piece, ...]
    matrix: str
    derivatives: tuple[str, ...]  # one per weight; entries outside `free` are zeroed afterwards
    about: str
    number: str = ""  # name of its number; "" if it takes none
    example: int = 0  # such a number
    square: bool = False  # needs a source of the hidden width
    latex: str = "{0}"  # a format string over the symbol of the weight, as in papers: W x with columns x
    where: str = ""  # a line that explains a symbol of it, a format string over the periods
    note: str = ""  # "the matrix from h ...": a comment, a format string over n

    @cached_property
    def reads(self) -> frozenset[str]:
        """The names that its formulas read."""
        own = (text for p in self.pieces for text in (*p.shape, p.free, p.eye, p.bound))
        return frozenset().union(*map(words, (self.matrix, *self.derivatives, *own)))

    @property
    def clock(self) -> bool:
        """Whether it needs a clock."""
        return "periods" in self.reads

    @property
    def eye(self) -> bool:
        """Whether it can be combined with @eye."""
        return any(p.eye for p in self.pieces)

    @property
    def made(self) -> bool:
        """Whether the matrix differs from the weight itself."""
        return self.matrix != self.pieces[0].name

    @cached_property
    def factors(self) -> bool:
        """Whether the matrix is its one weight or the product of its weights."""
        return self.matrix == " @ ".join(p.name for p in self.pieces)

    @property
    def text(self) -> str:
        """Its text after @, with a number if it takes one."""
        return f"{self.name}({self.example})" if self.number else self.name

    def suffix(self, place: int) -> str:
        """The suffix of the name of one of its weights."""
        return f"_{self.pieces[place].name}" if len(self.pieces) > 1 else ""


_FULL, _EYE = ("rows", "units"), "eye(rows, units)"
_THIN = "(3 * bound**2 / n) ** 0.25"  # entries of the product have the variance of a full matrix

#: A matrix without a structure.
FULL = Structure("", (Piece("w", _FULL, eye=_EYE),), "w", ("g",), "a full matrix")

# fmt: off
TABLE = (
    Structure("rank", (Piece("down", ("rows", "n"), bound=_THIN), Piece("up", ("n", "units"), bound=_THIN)),
              "down @ up", ("g @ up.swapaxes(-2, -1)", "down.swapaxes(-2, -1) @ g"),
              "a product of two thin matrices", number="rank", example=8,
              latex=r"{0}^{{\mathrm{{up}}}} {0}^{{\mathrm{{down}}}}", note="has rank {n}"),
    Structure("blocks", (Piece("w", _FULL, free="block(i, rows, n) == block(j, units, n)", eye=_EYE),),
              "w", ("g",),
              "block diagonal", number="number of blocks", example=4,
              note="is block diagonal, {n} blocks"),
    Structure("skew", (Piece("w", _FULL, free="i < j"),),
              "w - w.swapaxes(-2, -1)", ("g - g.swapaxes(-2, -1)",),
              "W - W' of a free W: its own negative transpose", square=True,
              latex=r"\left({0} - {0}^\top\right)"),
    Structure("slower", (Piece("w", _FULL, free="periods[i] >= periods[j]", eye=_EYE),),
              "w", ("g",),
              "a unit reads only units of its own or a longer clock period", square=True,
              latex=r"\left(M \odot {0}\right)",
              where=r"M_{{jk}} &= \left[P_k \geq P_j\right], \quad P \in \left\{{{periods}\right\}}"),
    Structure("orthogonal", (Piece("w", _FULL, orthogonal=True),),
              "w", ("g",),
              "a full matrix that starts orthogonal (Saxe, McClelland and Ganguli 2014)",
              note="starts orthogonal"),
    Structure("circulant", (Piece("w", ("units",), eye="eye(units, units)[0]"),),
              "w[..., (i - j) % units]", ("g[..., (k + j) % units, j].sum(-1)",),
              "each column is the previous one, rotated down by one", square=True,
              latex=r"\operatorname{{circ}}\left({0}\right)", note="is circulant",
              where=r"\operatorname{{circ}}\left(u\right)_{{jk}} &= u_{{\left(k - j\right) \bmod H}}"),
    Structure("toeplitz", (Piece("w", ("rows + units - 1",), eye="eye(rows + units - 1, rows + units - 1)[units - 1]"),),
              "w[..., i - j + units - 1]",
              ("where((k + j >= units - 1) & (k + j < rows + units - 1), g[..., (k + j - units + 1).clip(0, rows - 1), j], 0).sum(-1)",),
              "constant along each diagonal",
              latex=r"\operatorname{{toep}}\left({0}\right)", note="is a Toeplitz matrix",
              where=r"\operatorname{{toep}}\left(u\right)_{{jk}} &= u_{{k - j}}"),
)
# fmt: on

STRUCTURES = {row.name: row for row in TABLE}
assert len(STRUCTURES) == len(TABLE), "duplicate names"


class Sizes(NamedTuple):
    """The inputs of the formulas of one matrix, besides its weights."""

    rows: int
    units: int
    n: int = 0
    periods: tuple[int, ...] = ()

    def shape(self, piece: Piece) -> tuple[int, ...]:
        """The shape of a weight."""
        return _shape(piece.shape, self.rows, self.units, self.n)


@lru_cache(maxsize=1024)
def _shape(texts: tuple[str, ...], rows: int, units: int, n: int) -> tuple[int, ...]:
    return tuple(evaluate(text, {"rows": rows, "units": units, "n": n}) for text in texts)


def words(formula: str) -> frozenset[str]:
    """The names in a formula."""
    return frozenset(NAME.findall(formula))


@lru_cache(maxsize=256)
def _code(formula: str) -> CodeType:
    return compile(formula, "<a formula of the table of structures>", "eval")


@lru_cache(maxsize=8)
def _functions(library: Any) -> Mapping[str, Any]:
    found = {name: getattr(library, name) for name in FUNCTIONS if library}

    def helper(row: Helper) -> Callable[..., Any]:
        return lambda *given: evaluate(row.formula, dict(zip(row.arguments, given, strict=True)), library)

    return found | {name: helper(row) for name, row in HELPERS.items()}


def evaluate(formula: str, values: Mapping[str, Any], library: Any = None) -> Any:
    """The value of a formula in `library` (numpy or torch), or without a library for a number. The text comes
    from the table, never from a file."""
    return eval(_code(formula), {**_functions(library), **values})


def entries(read: Collection[str], shape: tuple[int, ...], arange: Callable[[int], Any]) -> dict[str, Any]:
    """The index arrays among i, j and k that are read, over the entries of a matrix or a vector."""
    places = {"k": (0, True)} if len(shape) == 1 else {"i": (0, True), "j": (1, False)}
    return {
        name: arange(shape[axis])[:, None] if column else arange(shape[axis])
        for name, (axis, column) in places.items()
        if name in read
    }


@lru_cache(maxsize=64)
def pattern(piece: Piece, sizes: Sizes) -> "NDArray[np.bool_]":
    """A mask: 1 for entries of a weight that are parameters."""
    import numpy as np  # imported here: most cells can be counted without it

    shape = sizes.shape(piece)
    found = np.ones(shape, dtype=bool)
    if piece.free:
        values = {**sizes._asdict(), **entries(words(piece.free), shape, np.arange)}
        values["periods"] = np.array(sizes.periods)
        found &= evaluate(piece.free, values, np).reshape(shape)
    found.flags.writeable = False
    return found


@lru_cache(maxsize=256)
def parameters(row: Structure, sizes: Sizes) -> int:
    """The number of parameters in the weights."""
    return sum(int(pattern(p, sizes).sum()) if p.free else prod(sizes.shape(p)) for p in row.pieces)


@lru_cache(maxsize=256)
def multiply_adds(row: Structure, sizes: Sizes) -> int:
    """The multiply-adds of a matrix-vector product: factor by factor for a product of weights, else over the
    entries that are not always zero."""
    if row.factors:
        return parameters(row, sizes)
    import numpy as np

    weights = {p.name: pattern(p, sizes).astype(np.float64) for p in row.pieces}
    values = {**sizes._asdict(), **weights}
    values |= entries(words(row.matrix), (sizes.rows, sizes.units), np.arange)
    return int(np.count_nonzero(evaluate(row.matrix, values, np)))
