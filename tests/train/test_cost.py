"""What a model costs, against numbers counted by hand and against the matrices that really stand in a row."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cellsearch.compiler.run.layout import named
from cellsearch.dsl import zoo
from cellsearch.dsl.describe import matrices
from cellsearch.dsl.text import parse
from cellsearch.train import model
from cellsearch.train.resources import cost

PLAIN = ("lstm", "gru", "gru_torch", "rnn", "mut1", "peephole_lstm")  # without structures


def test_known_numbers_of_parameters() -> None:
    """4 (D H + H H + H) for the LSTM, 3 of them for the GRU, beside an embedding and an output layer."""
    for name, gates in (("lstm", 4), ("gru", 3), ("rnn", 1), ("cifg", 3)):
        by_hand = 2 * 40 * 50 + 40 + gates * (2 * 50 * 50 + 50)
        assert cost.parameters(zoo.load(name), 40, 1, 50) == by_hand, name


def test_multiply_adds_by_hand() -> None:
    """Eight H x H matrices a layer in the LSTM, six in the GRU, and the output matrix once."""
    for layers, hidden, vocabulary in ((1, 64, 50), (3, 10, 7), (4, 1, 1)):
        output = hidden * vocabulary
        for name, products in (("lstm", 8), ("gru", 6), ("rnn", 2)):
            by_hand = layers * products * hidden**2 + output
            assert cost.multiply_adds(zoo.load(name), vocabulary, layers, hidden) == by_hand, name
        peepholes = layers * (8 * hidden**2 + 3 * hidden) + output
        assert cost.multiply_adds(zoo.load("peephole_lstm"), vocabulary, layers, hidden) == peepholes


def test_structures_cost_what_they_multiply() -> None:
    """Two thin matrices of rank 3; four blocks on the diagonal; nothing for a bias, a scalar and an identity."""
    text = "cell a(x; h)\nv = [x@rank(3), h@blocks(4)]\ns = [scalar=0.5]\nh' = tanh(s * v + [bias=1])"
    by_hand = 2 * 8 * 3 + 4 * 2 * 2 + 8 * 5
    assert cost.multiply_adds(parse(text), 5, 1, 8) == by_hand


@pytest.mark.parametrize("name", PLAIN)
def test_every_entry_of_a_matrix_is_multiplied_once(name: str) -> None:
    """Without structures: the entries of all weights but biases, as they stand in a row."""
    shape = model.Shape(zoo.load(name), 11, 2, 9)
    row = model.first_rows(shape, [1.0], [1], torch.float32)
    entries = sum(
        value.numel()
        for lay, part in zip(
            shape.stack.layers, shape.stack.rows(row[:, shape.embedding : shape.output]), strict=True
        )
        for weight, value in named(lay, part).items()
        if not weight.endswith("bias")
    )
    assert cost.multiply_adds(shape.cell, 11, 2, 9) == entries + 9 * 11
    assert matrices(shape.cell) > 0


def test_training_is_three_passes_and_scoring_one() -> None:
    gru = zoo.load("gru")
    once = cost.multiply_adds(gru, 30, 2, 20)
    assert cost.of_training(gru, 30, 2, 20, 1, 1000, 0) == 3000 * once
    assert cost.of_training(gru, 30, 2, 20, 1, 0, 1000) == 1000 * once
    assert cost.of_training(gru, 30, 2, 20, 7, 1000, 100) == 7 * 3100 * once
    assert cost.of_training(gru, 30, 2, 20, 0, 1000, 100) == 0


@given(
    st.integers(1, 200),
    st.integers(1, 4),
    st.integers(0, 2_000_000),
    st.sampled_from(["lstm", "gru", "clockwork"]),
)
def test_width_is_the_largest_that_fits(vocabulary: int, layers: int, target: int, name: str) -> None:
    cell = zoo.load(name)
    hidden = cost.width(cell, vocabulary, layers, target)
    assert hidden >= 1
    assert hidden == 1 or cost.parameters(cell, vocabulary, layers, hidden) <= target
    assert cost.parameters(cell, vocabulary, layers, hidden + 1) > target


def test_it_is_read_without_torch() -> None:
    program = "import sys, cellsearch.train.resources.cost; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0
