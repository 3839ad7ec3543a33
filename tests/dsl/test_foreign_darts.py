"""Genotypes of DARTS and ENAS: what they become, that it computes the published cell, and that nothing is executed."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from foreign import differences, genotype_step
from hypothesis import given, settings
from hypothesis import strategies as st

from cellsearch.dsl import zoo
from cellsearch.dsl.describe import describe
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.importers import read, read_each
from cellsearch.dsl.importers.genotype import FUNCTIONS
from cellsearch.dsl.text import parse, show
from cellsearch.dsl.weights import count
from cellsearch.errors import ForeignError

TOLERANCE = 1e-10
Pairs = Sequence[tuple[str, int]]
V1 = [
    ("relu", 0),
    ("relu", 1),
    ("tanh", 2),
    ("relu", 3),
    ("relu", 4),
    ("identity", 1),
    ("relu", 5),
    ("relu", 1),
]
V2 = [
    ("sigmoid", 0),
    ("relu", 1),
    ("relu", 1),
    ("identity", 1),
    ("tanh", 2),
    ("sigmoid", 5),
    ("tanh", 3),
    ("relu", 5),
]
ENAS = [
    ("tanh", 0), ("tanh", 1), ("relu", 1), ("tanh", 3), ("tanh", 3), ("relu", 3), ("relu", 4), ("relu", 7), ("relu", 8),
    ("relu", 8), ("relu", 8),
]  # fmt: skip
PUBLISHED = [
    ("darts_v1", V1, range(1, 9)),
    ("darts_v2", V2, range(1, 9)),
    ("enas", ENAS, [2, 5, 6, 9, 10, 11]),
]
ENAS_LINES = ",\n        ".join(map(str, ENAS))
FILE = f'''"""Found cells: Genotype(recurrent=[('none', 7)], concat=[])"""
from collections import namedtuple

Genotype = namedtuple('Genotype', 'recurrent concat')

PRIMITIVES = [
    'none',
    'tanh',
]
STEPS = 8

ENAS = Genotype(
    recurrent = [
        {ENAS_LINES},   # the last of them
    ],
    concat = [2, 5, 6, 9, 10, 11]
)
DARTS_V1 = Genotype(recurrent={V1}, concat=range(1, 9))
DARTS_V2 = Genotype({V2}, range(1, 9))

DARTS = DARTS_V2

class Search:
    def genotype(self):
        return Genotype(recurrent=self.gene, concat=range(STEPS + 1)[-CONCAT:])

def best(): return Genotype(recurrent=found, concat=found)
'''


def imported(folder: Path, text: str) -> list[Cell]:
    (folder / "genotypes.py").write_text(text)
    found = read(folder / "genotypes.py")
    assert [parse(show(cell)) for cell in found] == found
    return found


def agrees(cell: Cell, recurrent: Pairs, concat: Sequence[int]) -> None:
    found = differences(cell, genotype_step(recurrent, concat))
    assert found and all(difference < TOLERANCE for difference in found.values()), found


def test_the_published_genotypes(tmp_path: Path) -> None:
    found = {cell.name: cell for cell in imported(tmp_path, FILE)}
    assert list(found) == ["enas", "darts_v1", "darts_v2"]
    for name, recurrent, concat in PUBLISHED:
        agrees(found[name], recurrent, concat)
        assert fingerprint(found[name]) == fingerprint(zoo.load(name))
        width, hidden = 5, 4
        assert (
            count(found[name], width, hidden)
            == (width + hidden) * 2 * hidden + len(recurrent) * hidden * 2 * hidden
        )
        assert describe(found[name]).biases == () and "Omitted" not in found[name].description
        assert f"s{len(recurrent)} = s{recurrent[-1][1]} + c" in show(found[name])


def test_the_size_that_the_paper_gives() -> None:
    """DARTS: 850 units, an embedding of the 10,000 words of PTB that is tied to the output: 23M parameters."""
    cell_parameters = (850 + 850) * 1700 + 8 * 850 * 1700
    assert round((cell_parameters + 10_000 * 850 + 10_000) / 1e6) == 23


@pytest.mark.parametrize(
    "text",
    [
        "A = Genotype(recurrent=[('tanh', 0)], concat=[1])",
        'A=Genotype(recurrent=[("tanh",0,),],concat=(1,),)',
        "A: Genotype = genotypes.Genotype(concat=range(1, 2), recurrent=(['tanh', 0],))",
        "import os; A = Genotype([('tanh', 0)], list(range(1, 2))); B = 1",
        "A = Genotype(\\\n  recurrent=[('tanh', # the only one\n0)],\n\n concat=range(1,2,1))  # all",
        "\ufeff# -*- coding: utf-8 -*-\r\nA = Genotype([('tanh', 0)], [1])\r\n",
        "A = 'Genotype('\nif A:\n    B = Genotype(recurrent=A, concat=A)\nA = Genotype([('tanh', 0)], [1])\n",
        "s = '''\nB = Genotype(\n''' + r\"\\\\\"; A = Genotype([('tanh', 0)], tuple(range(1, 2)))",
    ],
)
def test_ways_to_write_one(tmp_path: Path, text: str) -> None:
    (cell,) = imported(tmp_path, text)
    assert cell.name == "a"
    assert show(cell).splitlines()[1:] == [
        "cell a(x; h)",
        "c0 = sigmoid[x, h, bias=none]",
        "n0 = tanh[x, h, bias=none]",
        "s0 = h + c0 * (n0 - h)",
        "c1 = sigmoid[s0, bias=none]",
        "n1 = tanh[s0, bias=none]",
        "s1 = s0 + c1 * (n1 - s0)",
        "h' = s1",
    ]
    agrees(cell, [("tanh", 0)], [1])


def test_genotypes_without_a_name_are_named_after_the_file(tmp_path: Path) -> None:
    text = "Genotype([('tanh', 0)], [1])\nGenotype([('relu', 0)], [0, 1])\n"
    assert [cell.name for cell in imported(tmp_path, text)] == ["genotypes", "genotypes_2"]


def test_names_that_differ_in_case_alone_get_different_names(tmp_path: Path) -> None:
    lines = [f"{name} = Genotype([('tanh', 0)], [1])" for name in ("best", "BEST", "tanh", "é", "self")]
    assert [cell.name for cell in imported(tmp_path, "\n".join(lines))] == [
        "best",
        "best_2",
        "tanh_",
        "cell_",
        "self",
    ]


def test_one_genotype_that_is_refused_leaves_the_others(tmp_path: Path) -> None:
    lines = [
        "A = Genotype([('tanh', 0)], [1])",
        "B = Genotype([('tahn', 0)], [1])",
        "C = Genotype([('relu', 0), ('none', 1)], [2])",
        f"D = Genotype({[('tanh', k) for k in range(40)]}, [40])",
        "A = Genotype([('relu', 0)], [1])",
        "E = Genotype([('relu', 0)], [1])",
    ]
    (tmp_path / "g.py").write_text("\n".join(lines))
    found = read_each(tmp_path / "g.py")
    assert [cell.name for cell in found.cells] == ["a", "e"]
    told = [
        (e.place.line if e.place else 0, e.place.column if e.place else 0, e.message) for e in found.refused
    ]
    assert [place for *place, _ in told] == [[2, 15], [3, 28], [4, 1], [5, 1]]
    for (*_, message), part in zip(
        told,
        (
            "unknown function 'tahn'",
            "it means no connection",
            "more than 100 nodes",
            "assigned twice",
        ),
        strict=True,
    ):
        assert part in message
    assert found.refused[0].remedy.startswith("did you mean 'tanh'?")
    with pytest.raises(ForeignError, match="unknown function 'tahn'"):
        read(tmp_path / "g.py")


def test_a_file_that_is_no_python_is_read_like_a_log(tmp_path: Path) -> None:
    """A file that was cut, or with conflict marks in it: what is whole is read, and the rest said."""
    text = "A = Genotype([('tanh', 0)], [1])\nB = ¦Genotype([('tahn', 0)], [1])\nC = ¦Genotype([('relu', 0)¦], [1"
    (tmp_path / "g.py").write_text(text.replace("¦", ""))
    found = read_each(tmp_path / "g.py")
    assert [cell.name for cell in found.cells] == ["a"]
    assert [(e.place.line, e.message) for e in found.refused if e.place] == [
        (2, "unknown function 'tahn'"),
        (3, "this Genotype( is not closed within 64 KiB"),
        (3, "this is not Python: '[' was never closed"),
    ]


LOG = f"""[2019-03-01] the user's search, don't stop ('
10/23 12:00:01 AM genotype = Genotype(recurrent={V1}, recurrent_concat=range(1, 9))
10/23 12:00:02 AM Genotype(recurrent={V2}, concat=range(1, 9)) after (1 epoch
2019-10-23 12:00:03,123 INFO best: genotypes.Genotype(recurrent=[('tahn', 0)], concat=[1])
x Genotype(recurrent=[('tanh', 0)
10/23 12:00:04 AM genotype = Genotype(recurrent={ENAS}, concat=[2, 5, 6, 9, 10, 11])
__import__('os').mkdir('touched') or Genotype(recurrent=[(open('touched', 'w'), 0)], concat=[1])
"""


def test_the_log_of_a_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.txt").write_text(LOG)
    found = read_each(tmp_path / "run.txt")
    assert [cell.name for cell in found.cells] == ["genotype", "run", "genotype_2"]
    for cell, (name, *_) in zip(found.cells, PUBLISHED, strict=True):
        assert fingerprint(cell) == fingerprint(zoo.load(name))
    assert [e.place.line if e.place else 0 for e in found.refused] == [4, 5, 7]
    assert "did you mean 'tanh'?" in found.refused[0].remedy
    assert not (tmp_path / "touched").exists()


def test_lines_of_a_log_in_a_python_file(tmp_path: Path) -> None:
    dated = [line for line in LOG.splitlines() if line.startswith("10/23") and "epoch" not in line]
    found = imported(tmp_path, "A = Genotype([('tanh', 0)], [1])\n" + "\n".join(dated))
    assert [cell.name for cell in found] == ["a", "genotype", "genotype_2"]
    (cell,) = imported(tmp_path, "[10/23 12:00:01 AM] Genotype(recurrent=[('tanh', 0)], concat=[1])")
    assert cell.name == "genotypes"


def test_what_the_output_does_not_depend_on_is_left_out_and_said(tmp_path: Path) -> None:
    recurrent = [("tanh", 0), ("relu", 0), ("relu", 2)]
    (cell,) = imported(tmp_path, f"A = Genotype({recurrent}, [1, 1])")
    assert "Omitted, since the output does not depend on it: s2, s3." in cell.description
    agrees(cell, recurrent, [1, 1])


@st.composite
def drawn(draw: st.DrawFn) -> tuple[list[tuple[str, int]], list[int]]:
    size = draw(st.integers(0, 9))
    pairs = [(draw(st.sampled_from([*FUNCTIONS])), draw(st.integers(0, k))) for k in range(size)]
    return pairs, draw(st.lists(st.integers(0, size), min_size=1, max_size=6))


@pytest.mark.long
@settings(max_examples=25)
@given(genotype=drawn())
def test_random_genotypes(
    tmp_path_factory: pytest.TempPathFactory, genotype: tuple[list[tuple[str, int]], list[int]]
) -> None:
    recurrent, concat = genotype
    (cell,) = imported(
        tmp_path_factory.getbasetemp(), f"A = Genotype(recurrent={recurrent}, concat={concat})"
    )
    agrees(cell, recurrent, concat)


def test_nothing_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = "open('touched', 'w').write('x')"
    text = (
        f"{code}\nimport genotypes_side_effect\nA = Genotype([('tanh', 0)], [1])\nraise SystemExit({code})\n"
    )
    assert len(imported(tmp_path, text)) == 1
    assert not (tmp_path / "touched").exists()
