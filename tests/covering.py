"""The cells that tests of every cell go by: a few that cover what cells are made of, and with --long the whole zoo.

`ZOO` and `CELLS` are for `parametrize`; `test_covering.py` holds that nothing is left out.
"""

from collections.abc import Callable
from typing import Any

import pytest

from cellsearch.dsl import zoo
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.text import parse

#: Of the zoo: the cells that people begin with, and for each construct of the language a cell that has it.
COVERING = (
    "rnn",
    "lstm",
    "gru",
    "mut1",
    "peephole_lstm",
    "antisymmetric_rnn",
    "chrono_lstm",
    "clockwork",
    "depth_gated_lstm_code",
    "hgrn",
    "highway_lstm",
    "irnn",
    "layernorm_lstm",
    "lru",
    "min_gru",
    "on_lstm",
    "rg_lru",
    "rwkv4",
    "sgu",
    "tau_gru",
)

#: What no cell of the zoo has.
OTHERS = parse("""\
cell others(x; h)
a = softsign[x, h@circulant] + gelu[x, h@toeplitz] * gelu_tanh[x, h@orthogonal]
b = leaky_relu[x, h] - abs(log(2 + tanh[x, h]))
h' = softmax[x, h] * a + 0.5 * b
""")

#: The names of the zoo.
ZOO = [name if name in COVERING else pytest.param(name, marks=pytest.mark.long) for name in zoo.names()]

#: The names of the zoo and of what it lacks, for `load`.
CELLS = [*ZOO, OTHERS.name]


def having(holds: Callable[[Cell], bool]) -> list[Any]:
    """Those of `CELLS` for which `holds` is true."""
    return [row for row in CELLS if holds(load(name_of(row)))]


def name_of(row: Any) -> str:
    """Of a row of `ZOO` or `CELLS`."""
    return row if isinstance(row, str) else row.values[0]


def load(name: str) -> Cell:
    return OTHERS if name == OTHERS.name else zoo.load(name)
