"""Rows of the table of structures as Python over tensors: a function for each that the file needs, its calls,
and the first values of weights."""

import re
from collections.abc import Mapping, Sequence

from cellsearch.dsl.nodes import Connection
from cellsearch.dsl.structures import FUNCTIONS, HELPERS, NAME, STRUCTURES, Helper, Piece, Structure, words
from cellsearch.exporters.torch.expressions import real

#: What the functions of a file are called.
NAMES = frozenset({*HELPERS, *STRUCTURES, *(f"{name}_free" for name in STRUCTURES)})
#: What a function may take beside its weights.
_TYPES = {"rows": "int", "units": "int", "n": "int", "periods": "Tensor"}


def functions(rows: Sequence[Structure]) -> list[list[str]]:
    """The definitions that calls of these rows need, each its lines."""
    read = frozenset().union(*(words(row.matrix) | _masks(row) for row in rows))
    found = [_helper(h) for h in HELPERS.values() if h.name in read]
    for row in rows:
        free = [p for p in row.pieces if p.free]
        for piece in free:
            about = f"`{piece.name}` with zeros where it has no parameters" if row.made else row.about
            formula = f"{piece.name} * ({piece.free})"
            found.append(_function(_mask_name(row), row, [piece], formula, about))
        if not row.factors:
            masked = {p.name: _masked(row, p, p.name, {name: name for name in _TYPES}) for p in free}
            start = [f"    {name} = {call}" for name, call in masked.items()]
            found.append(_function(row.name, row, row.pieces, row.matrix, row.about, start))
    return found


def factors(c: Connection, texts: Sequence[str], reached: Mapping[str, str]) -> list[str]:
    """The matrices, multiplied one after another, that a connection is. `texts` are its weights; `reached`
    says how `rows`, `units` and `periods` are spelled."""
    row, names = c.row, {**reached, "n": str(c.part)}
    if row.factors:
        return [_masked(row, p, text, names) for p, text in zip(row.pieces, texts, strict=True)]
    more = [names[name] for name in _arguments(row, row.pieces, words(row.matrix) | _masks(row))]
    return [f"{row.name}({', '.join([*texts, *more])})"]


def first_value(c: Connection, place: int, reached: Mapping[str, str]) -> str:
    """The first values of a weight of a matrix. What is not free starts at zero."""
    row, piece, names = c.row, c.row.pieces[place], {**reached, "n": str(c.part)}
    shape = ", ".join(_replaced(text, names) for text in piece.shape)
    if piece.orthogonal:
        return f"nn.init.orthogonal_(torch.empty({shape}, **kind))"
    bound = "" if piece.bound == "bound" else f", bound={_replaced(piece.bound, names)}"
    drawn = f"uniform({shape}{bound})"
    if c.eye and piece.eye:
        start = re.sub(r"\beye\(([^()]*)\)", r"torch.eye(\1, **kind)", _replaced(piece.eye, names))
        drawn = f"{drawn} + {real(c.eye)} * {start}"
    return _masked(row, piece, drawn, names)


def _masks(row: Structure) -> frozenset[str]:
    return frozenset().union(*(words(p.free) for p in row.pieces))


def _mask_name(row: Structure) -> str:
    return f"{row.name}_free" if row.made else row.name


def _masked(row: Structure, piece: Piece, text: str, names: Mapping[str, str]) -> str:
    if not piece.free:
        return text
    more = [names[name] for name in _arguments(row, [piece], words(piece.free))]
    return f"{_mask_name(row)}({', '.join([text, *more])})"


def _known(row: Structure, pieces: Sequence[Piece]) -> dict[str, str]:
    """Where a function finds `rows` and `units`: in the shapes of its weights, as far as they say so."""
    shapes = [(p.name, axis, size) for p in pieces for axis, size in enumerate(p.shape)]
    found = {size: f"{name}.shape[{axis}]" for name, axis, size in shapes if size in ("rows", "units")}
    return dict.fromkeys(("rows", "units"), *found.values()) if row.square and len(found) == 1 else found


def _needed(read: frozenset[str]) -> frozenset[str]:
    """What a formula needs: indices are made of sizes."""
    return read | {size for index, size in (("i", "rows"), ("j", "units")) if index in read}


def _arguments(row: Structure, pieces: Sequence[Piece], read: frozenset[str]) -> list[str]:
    """What a function takes beside its weights."""
    return [name for name in _TYPES if name in _needed(read) and name not in _known(row, pieces)]


def _function(
    name: str,
    row: Structure,
    pieces: Sequence[Piece],
    formula: str,
    about: str,
    start: Sequence[str] = (),  # lines that stand first in it
) -> list[str]:
    """The lines of one function."""
    own, known, first = words(formula), _known(row, pieces), pieces[0].name
    read = own.union(*map(words, start))
    given = [f"{p.name}: Tensor" for p in pieces]
    given += [f"{other}: {_TYPES[other]}" for other in _arguments(row, pieces, read)]
    lines = [f"def {name}({', '.join(given)}) -> Tensor:", _docstring(about), *start]
    sizes = {size: where for size, where in known.items() if size in _needed(own)}
    if len(sizes) == 2 and pieces[0].shape == tuple(sizes):
        lines.append(f"    rows, units = {first}.shape")
    else:
        lines += [f"    {size} = {where}" for size, where in sizes.items()]
    if "i" in own:
        lines.append(f"    i = torch.arange(rows, device={first}.device)[:, None]")
    if "j" in own:
        lines.append(f"    j = torch.arange(units, device={first}.device)")
    return [*lines, f"    return {_spelled(formula)}"]


def _helper(row: Helper) -> list[str]:
    given = ", ".join(f"{name}: {kind}" for name, kind in row.arguments.items())
    return [
        f"def {row.name}({given}) -> Tensor:",
        _docstring(row.about),
        f"    return {_spelled(row.formula)}",
    ]


def _docstring(about: str) -> str:
    return f'    """{about[0].upper()}{about[1:]}."""'


def _spelled(formula: str) -> str:
    """A formula with torch's functions."""
    return re.sub(rf"\b({'|'.join(FUNCTIONS)})\(", r"torch.\1(", formula)


def _replaced(text: str, names: Mapping[str, str]) -> str:
    return re.sub(NAME, lambda m: names.get(m[0], m[0]), text)
