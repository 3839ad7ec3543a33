"""The table of structures, row by row: matrices by hand, derivatives by autograd, counts, every engine, exports."""

import numpy as np
import pytest
import torch
from agreement import differences
from torch import Tensor

from cellsearch.compiler import matrices
from cellsearch.compiler.engines.native import toolchain
from cellsearch.compiler.engines.triton.toolchain import available
from cellsearch.compiler.run import stack as stacks
from cellsearch.compiler.run.layout import block
from cellsearch.compiler.run.structures import initialise, materialize
from cellsearch.dsl.describe import size
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.identity.functional import functional_fingerprint
from cellsearch.dsl.limits import KEYWORDS, check_name
from cellsearch.dsl.rewriting.expand import expand, factor
from cellsearch.dsl.structures import (
    FULL,
    HELPERS,
    STRUCTURES,
    TABLE,
    Sizes,
    Structure,
    multiply_adds,
    parameters,
    pattern,
)
from cellsearch.dsl.text import parse, show
from cellsearch.dsl.weights import count, weights
from cellsearch.exporters.latex import latex
from cellsearch.exporters.torch.check import check
from cellsearch.exporters.torch.source import torch_source
from cellsearch.report.cells.cell import lines, page
from cellsearch.study.mutation.templates import STRUCTURED

ROWS = pytest.mark.parametrize("row", [FULL, *TABLE], ids=lambda row: row.name or "full")
NAMED = pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
PERIODS = (1, 1, 4, 2, 4, 2, 8)


def blocks(size: int, n: int) -> list[int]:
    """The block of each unit."""
    return [k for k in range(n) for _ in range(size // n + (k < size % n))]


#: Entry i, j of each matrix [rows, units], from the weights w and their number.
ENTRIES = {
    "": lambda i, j, s, w: w[i, j],
    "rank": lambda i, j, s, down, up: sum(down[i, k] * up[k, j] for k in range(s.n)),
    "blocks": lambda i, j, s, w: w[i, j] if blocks(s.rows, s.n)[i] == blocks(s.units, s.n)[j] else 0.0,
    "skew": lambda i, j, s, w: w[i, j] if i < j else -w[j, i] if j < i else 0.0,
    "slower": lambda i, j, s, w: w[i, j] if s.periods[i] >= s.periods[j] else 0.0,
    "orthogonal": lambda i, j, s, w: w[i, j],
    "circulant": lambda i, j, s, w: w[i - j if i >= j else i - j + s.units],
    "toeplitz": lambda i, j, s, w: w[s.units - 1 - j :][i],
}
#: Parameters with 5 or 7 rows, 7 units and the number 3.
PARAMETERS = {
    ("", 5): 35, ("", 7): 49, ("rank", 5): 15 + 21, ("rank", 7): 42, ("blocks", 5): 2 * 3 + 2 * 2 + 1 * 2,
    ("blocks", 7): 9 + 4 + 4, ("skew", 7): 21, ("slower", 7): 2 * 7 + 2 * 3 + 2 * 5 + 1, ("orthogonal", 5): 35, ("orthogonal", 7): 49, ("circulant", 7): 7, ("toeplitz", 5): 11,
    ("toeplitz", 7): 13,
}  # fmt: skip


def all_sizes(row: Structure) -> list[Sizes]:
    """Sizes of matrices, those that are not square where the structure allows it."""
    return [
        Sizes(rows, 7, n if row.number else 0, PERIODS)
        for rows in ((7,) if row.square else (7, 5))
        for n in ((3, 1, 9) if row.number else (0,))
    ]


def drawn(row: Structure, sizes: Sizes, members: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [
        torch.randn(members, *sizes.shape(p), generator=generator, dtype=torch.float64)
        * torch.tensor(pattern(p, sizes))
        for p in row.pieces
    ]


def made(row: Structure, owned: list[Tensor], sizes: Sizes) -> Tensor:
    return matrices.make(row, owned, matrices.constants(row, sizes, torch.device("cpu")))


@ROWS
def test_a_matrix_is_the_one_by_hand(row: Structure) -> None:
    for sizes in all_sizes(row):
        owned = drawn(row, sizes, 2)
        found = made(row, owned, sizes)
        assert found.shape == (2, sizes.rows, sizes.units)
        for k in range(2):
            values = [w[k].numpy() for w in owned]
            by_hand = [
                [float(ENTRIES[row.name](i, j, sizes, *values)) for j in range(sizes.units)]
                for i in range(sizes.rows)
            ]
            np.testing.assert_allclose(found[k], by_hand, rtol=0, atol=1e-14)
            alone = made(row, [w[k] for w in owned], sizes)
            np.testing.assert_allclose(alone, found[k], rtol=0, atol=1e-14)


@ROWS
def test_derivatives_are_those_of_autograd(row: Structure) -> None:
    for sizes in all_sizes(row):
        owned = [w.requires_grad_() for w in drawn(row, sizes, 2)]
        matrix = made(row, owned, sizes)
        g = torch.randn(matrix.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        expected = torch.autograd.grad(matrix, owned, g)
        values = matrices.constants(row, sizes, torch.device("cpu"))
        found = matrices.hand_back(row, [w.detach() for w in owned], values, g)
        for piece, ours, theirs in zip(row.pieces, found, expected, strict=True):
            mask = torch.tensor(pattern(piece, sizes))
            torch.testing.assert_close(ours * mask, theirs * mask, rtol=0, atol=1e-13)


@ROWS
def test_counts(row: Structure) -> None:
    for sizes in all_sizes(row):
        assert parameters(row, sizes) == sum(int(pattern(p, sizes).sum()) for p in row.pieces)
        if sizes.n in (0, 3):
            assert parameters(row, sizes) == PARAMETERS[row.name, sizes.rows]
        ones = made(row, [w.abs() for w in drawn(row, sizes, 1)], sizes)
        if not row.factors or len(row.pieces) == 1:
            assert multiply_adds(row, sizes) == int(ones.count_nonzero())


@ROWS
def test_rows_are_well_formed(row: Structure) -> None:
    assert not check_name(row.name) or row is FULL
    assert row.name not in KEYWORDS | HELPERS.keys() and len(row.derivatives) == len(row.pieces)
    assert bool(row.number) == bool(row.example) == ("n" in row.reads)
    assert row.latex.format("W").count("W") >= 1 and row.about
    for piece in row.pieces:  # what exports can write
        assert not piece.free or (piece.shape == ("rows", "units") and len(row.pieces) == 1)
    assert not row.clock or row.square, "units have periods, inputs have none"


def cell_of(row: Structure, eye: str = "") -> Cell:
    """A cell with matrices of one structure from all that may stand there."""
    at = f"@{row.text}{eye}".replace("(8)", "(2)").replace("(4)", "(2)") if row.name else eye
    inputs = f"x{at}, before(x){at}, " if not row.square else "x, "
    clock = "clock 1, 4, 2\n" * row.clock
    equations = f"i = sigmoid[{inputs}h{at}, .c]\nn = tanh[(i * h){at}, bias=1] + [before(c){at}]\n"
    return parse(f"cell a(x; h, c)\n{clock}{equations}c' = i * c + n\nh' = tanh[c'{at}, x]\n")


def variants(row: Structure) -> list[Cell]:
    return [cell_of(row), *([cell_of(row, "@eye(0.75)")] if row.eye else [])]


ENGINES = [
    "eager",
    pytest.param("native", marks=pytest.mark.skipif(toolchain.compiler() is None, reason="no C compiler")),
    pytest.param("triton", marks=pytest.mark.skipif(not available("cpu"), reason="no Triton")),
]


@pytest.mark.long
@pytest.mark.parametrize("engine", ENGINES)
@ROWS
def test_engines_agree_with_reference(row: Structure, engine: str) -> None:
    for cell in variants(row):
        steps = 2 if engine == "triton" else 8
        found = differences([cell, cell], engine, steps=steps, width=4, hidden=5)
        assert max(found.values()) < 1e-10, found


@ROWS
def test_the_entries_of_a_matrix_start_with_the_variance_of_a_full_one(row: Structure) -> None:
    cell, hidden, bound = (
        parse(f"cell a(x; h)\n{'clock 1, 2' * row.clock}\nh' = [h{'@' * bool(row.name)}{row.text}]\n"),
        24,
        0.2,
    )
    shape = stacks.stack([cell], hidden, hidden)
    rows = torch.empty(200, shape.size, dtype=torch.float64)
    (lay,) = shape.layers
    initialise(lay, rows, bound, torch.Generator().manual_seed(0))
    entries = block(lay, materialize(lay, rows), lay.weights[0])
    used = entries[:, entries.abs().amax(0) > 0]
    variance = 1 / hidden if row.name == "orthogonal" else bound**2 / 3
    assert float(used.var() / variance) == pytest.approx(1, abs=0.05)
    assert abs(float(used.mean())) < 0.02 * bound


def test_an_orthogonal_matrix_starts_orthogonal_and_takes_any_direction() -> None:
    """Of columns where there are as many rows, else of rows; signs are as likely as their opposites."""
    cell = parse("cell a(x; h)\nh' = [x@orthogonal, h@orthogonal]\n")
    for width in (3, 9):
        (lay,) = stacks.stack([cell], width, 6).layers
        rows = torch.empty(400, lay.size, dtype=torch.float64)
        initialise(lay, rows, 0.1, torch.Generator().manual_seed(0))
        for w, units in zip(lay.weights, (width, 6), strict=False):
            found = block(lay, rows, w)
            product = found @ found.mT if units < 6 else found.mT @ found
            torch.testing.assert_close(
                product, torch.eye(min(units, 6), dtype=torch.float64).expand_as(product)
            )
            assert float(found.mean(0).abs().max()) < 0.1


@ROWS
def test_eye_stands_on_the_diagonal_at_the_start(row: Structure) -> None:
    if not row.eye:
        return
    at = f"{'@' * bool(row.name)}{row.text}@eye(3)"
    cell = parse(f"cell a(x; h)\n{'clock 1, 2' * row.clock}\nh' = [h{at}]\n")
    (lay,) = stacks.stack([cell], 6, 6).layers
    rows = torch.empty(1, lay.size, dtype=torch.float64)
    initialise(lay, rows, 0.25, torch.Generator().manual_seed(0))
    found = block(lay, materialize(lay, rows), lay.weights[0])[0]
    assert bool(((found.diagonal() - 3).abs() <= 0.25).all())
    assert bool(((found - found.diagonal().diag()).abs() <= 0.25).all())


@ROWS
def test_what_is_exported_is_the_compiled_cell(row: Structure) -> None:
    for cell in variants(row):
        source = torch_source(cell)
        check(cell, source)
        assert (f"def {row.name}(" in source) == (not row.factors or any(p.free for p in row.pieces))
        found: dict[str, object] = {}
        exec(source, found)
        module = found["A"](4, 6)  # type: ignore[operator]
        for w in weights(cell):
            if w.row is row:
                p = dict(module.layers[0].named_parameters())[w.name]
                sizes = w.sizes(4, 6, cell.clock)
                assert p.shape == w.shape(4, 6)
                assert bool((p[~torch.tensor(pattern(w.piece, sizes))] == 0).all())
                if w.piece.free:
                    assert int(p.count_nonzero()) == int(pattern(w.piece, sizes).sum())


@NAMED
def test_text_size_and_identity(row: Structure) -> None:
    cell, plain = cell_of(row), cell_of(FULL)
    assert f"@{row.name}" in show(cell) and parse(show(cell)) == cell
    assert factor(expand(cell)) == cell
    assert fingerprint(cell) != fingerprint(plain) and functional_fingerprint(cell) != functional_fingerprint(
        plain
    )
    for width in (4, 6):
        free = {
            w.name: int(pattern(w.piece, w.sizes(width, 6, cell.clock)).sum()) for w in weights(cell) if w.row
        }
        others = sum(w.shape(width, 6)[0] for w in weights(cell) if not w.row)
        assert size(cell, width, 6).parameters == count(cell, width, 6) == sum(free.values()) + others


@NAMED
def test_pages_latex_and_search_spaces_name_it(row: Structure) -> None:
    cell = cell_of(row)
    shown = "\n".join(line.plain for line in lines(page(cell, "here", 4, 6), 100))
    assert f"@{row.name}" in shown
    for w in weights(cell):
        assert w.name in shown and f"[{', '.join(w.letters())}]" in shown
    text = latex(cell)
    assert text.count("{") == text.count("}")
    assert row.note == "" or row.note.partition("{")[0] in text
    assert row.text in STRUCTURED and STRUCTURES[row.name] is row
