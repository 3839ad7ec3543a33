"""The first cells of the zoo: their sizes, and what tells one from another. tests/zoo/ has the others."""

import re

import pytest

from cellsearch.dsl import zoo
from cellsearch.dsl.graph import Cell, uses_raw_x
from cellsearch.dsl.nodes import Affine
from cellsearch.dsl.text import show
from cellsearch.dsl.weights import count, weights
from cellsearch.errors import TextError

D, H = 7, 12  # widths that tell the shapes apart
GATE, PEEPHOLE, RECURRENT = D * H + H * H + H, H, H * H + H

SIZES = {
    "rnn": GATE,
    "lstm": 4 * GATE,
    "lstm_b": 4 * GATE,
    "lstm_2015": 4 * GATE,
    "peephole_lstm": 4 * GATE + 3 * PEEPHOLE,
    "peephole_input": 4 * GATE + PEEPHOLE,
    "peephole_forget": 4 * GATE + PEEPHOLE,
    "peephole_output": 4 * GATE + PEEPHOLE,
    "cifg": 3 * GATE,
    "gru": 3 * GATE,
    "gru_torch": 3 * GATE + H,  # two biases on the candidate
    "mut1": (D * H + H) + GATE + RECURRENT,
    "mut2": GATE + RECURRENT + GATE,
    "mut3": 3 * GATE,
    "depth_gated_lstm": 4 * GATE + 3 * PEEPHOLE + (D * H + H) + 2 * PEEPHOLE,
    "clockwork": GATE - 6 * (H // 4) ** 2,  # of 16 blocks the six below the diagonal are no parameters
}


def body(cell: Cell) -> str:
    return show(cell).split("\ncell ", 1)[1].split("\n", 1)[1]


def test_names() -> None:
    assert zoo.names() == sorted(zoo.names())
    assert set(SIZES) <= set(zoo.names())
    with pytest.raises(TextError, match="no cell 'nope' in the zoo"):
        zoo.load("nope")
    with pytest.raises(TextError):
        zoo.load("../zoo/lstm")


@pytest.mark.parametrize("name", SIZES)
def test_parameters(name: str) -> None:
    assert count(zoo.load(name), D, H) == SIZES[name]


@pytest.mark.parametrize("name", zoo.names())
def test_each_says_where_it_was_published(name: str) -> None:
    assert re.search(r"\((19|20)\d\d\)", zoo.load(name).description)


def test_forget_biases() -> None:
    with_bias = {n for n in SIZES if any(isinstance(a, Affine) and a.bias for a in zoo.load(n).nodes)}
    assert with_bias == {"lstm_b", "peephole_lstm", "peephole_input", "peephole_forget", "peephole_output"}


def test_those_that_need_an_input_of_the_hidden_width() -> None:
    assert {n for n in SIZES if uses_raw_x(zoo.load(n))} == {"mut1", "mut2"}


def test_peephole_cells_differ_in_peepholes_alone() -> None:
    plain = body(zoo.load("lstm_b"))
    for name in ("peephole_lstm", "peephole_input", "peephole_forget", "peephole_output"):
        text = body(zoo.load(name))
        assert text != plain
        bare = text.replace(", .c'", "").replace(", .c", "")
        assert sorted(bare.splitlines()) == sorted(plain.splitlines())


def test_weight_names_are_those_of_checkpoints() -> None:
    names = [w.name for w in weights(zoo.load("depth_gated_lstm"))]
    assert "d.below_c" in names
    assert "o.c_new" in names
    assert [w.name for w in weights(zoo.load("gru"))][-3:] == ["n.x", "n.rh", "n.bias"]
    torch_names = [w.name for w in weights(zoo.load("gru_torch"))][-4:]
    assert torch_names == ["n_1.x", "n_1.bias", "n_2.h", "n_2.bias"]
