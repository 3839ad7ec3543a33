"""Equations in Unicode: golden lines, and no sign of LaTeX left in any cell of the zoo."""

import numpy as np
import pytest
from cells import random_cell
from covering import ZOO

from cellsearch.dsl import zoo
from cellsearch.report.cells.formulas import formulas

GOLDEN = {
    "peephole_lstm": [
        "iₜ = σ(W_ix xₜ + U_ih hₜ₋₁ + p_ic ⊙ cₜ₋₁ + b_i)",
        "fₜ = σ(W_fx xₜ + U_fh hₜ₋₁ + p_fc ⊙ cₜ₋₁ + b_f)",
        "gₜ = tanh(W_gx xₜ + U_gh hₜ₋₁ + b_g)",
        "cₜ = fₜ ⊙ cₜ₋₁ + iₜ ⊙ gₜ",
        "oₜ = σ(W_ox xₜ + U_oh hₜ₋₁ + p_oc' ⊙ cₜ + b_o)",
        "hₜ = oₜ ⊙ tanh(cₜ)",
    ],
    "clockwork": [
        "nₜ    = tanh(W_nx xₜ + (M ⊙ U_nh) hₜ₋₁ + b_n)",
        "hₜ    = hₜ₋₁ + tickₜ ⊙ (nₜ - hₜ₋₁)",
        "tickₜ = [t mod P = 0], P ∈ {1, 2, 4, 8}",
        "M_jk  = [P_k ≥ P_j], P ∈ {1, 2, 4, 8}",
    ],
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_lines(name: str) -> None:
    assert formulas(zoo.load(name)) == GOLDEN[name]


@pytest.mark.parametrize("name", ZOO)
def test_no_latex_is_left(name: str) -> None:
    for line in formulas(zoo.load(name)):
        assert "\\" not in line, line
        assert "{" not in line.replace("∈ {", ""), line
        assert line.count("(") == line.count(")"), line


def test_any_cell_has_formulas() -> None:
    for seed in range(200):
        lines = formulas(random_cell(np.random.default_rng(seed), nodes=10))
        assert all(" = " in line and "\\" not in line for line in lines), lines
