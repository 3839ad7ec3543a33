"""What a worker reports while it trains."""

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
