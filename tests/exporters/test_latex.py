"""LaTeX: balanced, made of known commands alone, and as a reader expects it."""

import re
from collections.abc import Callable

import numpy as np
import pytest
from cells import random_cell
from mutants import mutants

from cellsearch.dsl import zoo
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.ops import TABLE
from cellsearch.dsl.text import parse
from cellsearch.exporters.latex import latex
from tests.exporters import hostile

COMMANDS = {command for op in TABLE for command in re.findall(r"\\[a-zA-Z]+", op.latex)} | set(
    r"\begin \end \left \right \mathit \mathrm \odot \beta \cdot \ell \top \bmod \geq \quad \in".split()
)


def body(cell: Cell) -> str:
    """The lines that TeX reads."""
    return "\n".join(line for line in latex(cell).splitlines() if not line.startswith("%"))


def cells() -> list[Cell]:
    found = [*(zoo.load(name) for name in zoo.names()), *mutants(60), *hostile.named(), *hostile.large()]
    return [*found, *hostile.described(), *(random_cell(np.random.default_rng([8, k])) for k in range(100))]


@pytest.mark.long
def test_balanced_and_harmless() -> None:
    for cell in cells():
        text = body(cell)
        assert text.startswith("\\begin{align}\n") and text.endswith("\n\\end{align}")
        assert set(re.findall(r"\\[a-zA-Z]+", text)) <= COMMANDS
        assert text.count(r"\left") == text.count(r"\right")
        depth = 0
        for sign in re.sub(r"\\[{}]", "", text):
            depth += (sign == "{") - (sign == "}")
            assert depth >= 0
        assert depth == 0
        assert not set(text) & set("%#$~"), text
        assert "_" not in re.sub(r"\\_", "", "".join(re.findall(r"\\mathit\{([^}]*)\}", text)))
        rows = text.splitlines()[1:-1]
        assert all(row.count("&=") == 1 for row in rows)
        assert all(row.endswith(r"\\") for row in rows[:-1]) and not rows[-1].endswith(r"\\")
        assert not re.search(r"_\w*_|\^\{[^}]*\}\^|([-+]|\\odot|\\oslash) -", text), (
            text
        )  # double scripts are errors in TeX


def test_comments_hold_what_users_write() -> None:
    for cell in hostile.described():
        text = latex(cell, {"a\n\\input{x}": "b\r\\input{y}\u2028\\input{z}"})
        for line in text.splitlines():
            assert line.startswith("%") or ("input" not in line and "write18" not in line)


@pytest.mark.parametrize(
    ("equations", "lines"),
    [
        ("h' = tanh[x, h]", [r"h_t &= \tanh\left(W_{hx} x_t + U_{hh} h_{t-1} + b_h\right)"]),
        (
            "rh = x * h\nh' = [rh, .c, bias=none]\nc' = rh",
            [
                r"\mathit{rh}_t &= x_t \odot h_{t-1}",
                r"h_t &= U_{h,\mathit{rh}} \mathit{rh}_t + p_{hc} \odot c_{t-1}",
                r"c_t &= \mathit{rh}_t",
            ],
        ),
        ("h' = [scalar=2] * [bias=1] * h - (h - 1e-30) * -0.5", [
            r"h_t &= \beta_{h_1} \odot b_{h_2} \odot h_{t-1}"
            r" - \left(h_{t-1} - 10^{-30}\right) \odot \left(-0.5\right)"
        ]),
        ("h' = x - (-h) + -x * (-h) - (-0.5) + h * 1e30", [
            r"h_t &= x_t - \left(-h_{t-1}\right) + \left(-x_t \odot \left(-h_{t-1}\right)\right)"
            r" - \left(-0.5\right) + h_{t-1} \odot 10^{30}"
        ]),
        ("h' = -(h * h) / (h / 2.5e10)", [
            r"h_t &= -\left(h_{t-1} \odot h_{t-1}\right) \oslash \left(h_{t-1} \oslash \left(2.5 \cdot 10^{10}\right)\right)"
        ]),
        ("a_1 = before(tanh(h + before(x, 2)))\nh' = a_1 + before(a_1, 3) + below(h)", [
            r"\mathit{a\_1}_t &= \tanh\left(h_{t-2} + x_{t-3}\right)",
            r"h_t &= \mathit{a\_1}_t + \mathit{a\_1}_{t-3} + h_t^{(\ell-1)}",
        ]),
    ],
)  # fmt: skip
def test_equations(equations: str, lines: list[str]) -> None:
    states = "h, c" if "c'" in equations else "h"
    rows = body(parse(f"cell t(x; {states})\n{equations}\n")).splitlines()[1:-1]
    assert [row.strip().removesuffix(r" \\") for row in rows] == lines


def test_notes_say_what_equations_do_not() -> None:
    cell = parse(
        "cell t(x; h, m=-1e30) -> y\nh' = tanh[x, h@eye(0.9), bias=1]\ny = [h@blocks(4), m@rank(2)]\nm' = below(m)\n"
    )
    text = latex(cell)
    for note in (
        "m_0 = -1e30",
        "h_new: the matrix from h starts with 0.9 on its diagonal",
        "h_new: b starts at 1",
        "y: the matrix from h is block diagonal, 4 blocks",
        "y: the matrix from m has rank 2",
        r"(\ell-1) is the layer below",
        "the output is y",
    ):
        assert f"% {note}" in text


@pytest.mark.parametrize("name", ["lstm", "mut1", "clockwork", "depth_gated_lstm"])
def test_golden_files(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"{name}.tex", latex(zoo.load(name)))


@pytest.mark.long
def test_renders() -> None:
    mathtext = pytest.importorskip("matplotlib.mathtext")
    parser = mathtext.MathTextParser("path")
    for name in zoo.names():
        for row in body(zoo.load(name)).splitlines()[1:-1]:
            formula = row.strip().rstrip("\\").replace("&", "").replace(r"\bmod", r"\mathrm{mod}")
            parser.parse(f"${formula}$")
