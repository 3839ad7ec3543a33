"""What a worker reports while it trains."""

from collections.abc import Iterable

import pytest

from cellsearch.compiler import ahead
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.zoo import load
from cellsearch.study.space import grids, parse_space
from cellsearch.study.workers.evaluator import TorchEvaluator
from cellsearch.train.settings import keys

SPACE = """\
name: tiny
about: For tests.
seeds: [rnn]
baseline: rnn
tasks:
  - {name: memorize, options: {symbols: 1, alphabet: 2, train: 400, valid: 100, test: 100}}
grid: {init_scale: [1], learning_rate: [0.5, 1], max_norm: [5], layers: [1], parameters: [500]}
training: {max_epochs: 3}
"""


def test_compilation_is_reported_before_the_epochs() -> None:
    space = parse_space(SPACE)
    said: list[str] = []
    settings = list(keys(grids(space)["memorize"]))
    found = TorchEvaluator(space, 1).evaluate(load("rnn"), "memorize", settings, 1, said.append)
    assert [outcome.trained for outcome in found] == [3, 3]
    assert said[:3] == ["compiling", "epoch 1, 2 of 2 settings", "epoch 2, 2 of 2 settings"]


def test_kernels_of_a_cell_are_prepared_on_a_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    asked: list[tuple[list[Cell], set[int], int, str]] = []

    class Noted:
        def __init__(self, device: str) -> None:
            made.append(device)

        def prepare(self, cells: Iterable[Cell], widths: Iterable[int], layers: int, dtype: str) -> None:
            asked.append((list(cells), set(widths), layers, dtype))

    monkeypatch.setattr(ahead, "Compilers", Noted)
    space, cells = parse_space(SPACE), [load("rnn"), load("gru")]
    on_gpu = TorchEvaluator(space, 1, device="cuda:1")
    for cell in cells:
        TorchEvaluator(space, 1).prepare(cell)
        on_gpu.prepare(cell)
    assert made == ["cuda:1"] and [found for found, *_ in asked] == [[cell] for cell in cells]
    assert all(len(widths) == 1 and layers == 1 for _, widths, layers, _ in asked)
