r"""The equations of a cell in mathematical notation, in Unicode: iₜ = σ(W_ix xₜ + U_ih hₜ₋₁ + b_i).

Each line is converted from the LaTeX export, so that both agree. Each bracket has its own weights, named
after the bracket and the value that it reads.
"""

import re

from cellsearch.dsl.graph import Cell
from cellsearch.exporters.latex import rows

_BELOW = str.maketrans("0123456789-t", "₀₁₂₃₄₅₆₇₈₉₋ₜ")  # characters of a time index
_SIGNS = {
    r"\odot": "⊙",
    r"\oslash": "⊘",
    r"\cdot": "·",
    r"\sigma": "σ",
    r"\beta": "β",
    r"\geq": "≥",
    r"\in": "∈",
    r"\bmod": "mod",
    r"\quad": " ",
    r"\ell": "ℓ",
    r"\top": "T",
}
_TIME = re.compile(r"_(?:\{(t(?:-\d+)?)\}|(t)(?![a-z]))")
_WORD = re.compile(r"\\(?:mathit|mathrm|operatorname)\{((?:[^{}\\]|\\_)*)\}")
_ROOT = re.compile(r"\\sqrt\{([^{}]*)\}")
_POWER = re.compile(r"\^\{((?:[^{}])*)\}")
_INDEX = re.compile(r"_\{((?:[^{}])*)\}")
_COMMAND = re.compile(r"\\[a-z]+")


def formulas(cell: Cell) -> list[str]:
    """A line per equation, aligned at the equals signs."""
    pairs = [_plain(row).split("=", 1) for row in rows(cell)]
    width = max(len(left.rstrip()) for left, _ in pairs)
    return [f"{left.rstrip():<{width}} = {right.strip()}" for left, right in pairs]


def _plain(row: str) -> str:
    """A row of LaTeX as one line of Unicode."""
    line = row.replace("&=", "=").replace(r"\left", "").replace(r"\right", "")
    line = line.replace(r"\{", "⦃").replace(r"\}", "⦄")  # braces that are shown
    before = ""
    while line != before:  # from the inside out
        before = line
        line = _TIME.sub(lambda m: (m[1] or m[2]).translate(_BELOW), line)
        line = _WORD.sub(lambda m: m[1].replace(r"\_", "_"), line)
        line = _ROOT.sub(lambda m: f"√({m[1]})", line)
        line = _POWER.sub(lambda m: f"^{m[1]}", line)
        line = _INDEX.sub(lambda m: f"_{m[1]}", line)
        line = re.sub(r"(?<![_^a-z])\{([^{}]*)\}", r"\1", line)
    line = _COMMAND.sub(lambda m: _SIGNS.get(m[0], m[0][1:]), line)
    line = line.replace(r"\log\sigma", r"\log \sigma").replace(r"\ ", " ").replace("⦃", "{").replace("⦄", "}")
    return re.sub(r" {2,}", " ", line).strip()
