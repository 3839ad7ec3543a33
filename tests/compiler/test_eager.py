"""The engine of torch calls: what it asks torch for at each step."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from cellsearch.compiler.run import stack as stacks
from cellsearch.dsl import zoo
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.text import parse

STEPS = 8


class Calls(TorchDispatchMode):
    """Counts the calls that reach torch, and those with a tensor without axes among their arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.all, self.without_axes = Counter[str](), Counter[str]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func)
        self.all[name] += 1
        tensors = [t for t in tree_leaves((args, kwargs or {})) if isinstance(t, Tensor)]
        self.without_axes[name] += any(t.dim() == 0 for t in tensors)
        return func(*args, **(kwargs or {}))


def passes(cell: Cell) -> Calls:
    """A forward and a backward pass of 2 members over STEPS steps."""
    stacked = stacks.stack([cell], 5, 5)
    row = torch.randn(2, stacked.size)
    states = stacks.first_states(stacked, 2, 3, row)
    x, d_outputs = torch.randn(2, STEPS, 3, 5), torch.randn(2, STEPS, 3, 5)

    def both() -> None:
        _, _, tapes = stacks.forward(stacked, row, x, states, 0, "eager", None)
        stacks.backward(stacked, row, tapes, d_outputs, torch.zeros_like(row), engine="eager")

    both()  # what is made once is not counted
    with Calls() as calls:
        both()
    return calls


def texts() -> Iterator[str]:
    """Numbers wherever a cell may have them."""
    for form in ("max(0.5, {})", "min({}, 2)", "max(min({}, 1), -1)", "(1 - 0.95) * {}", "2 / {}", "{} / 3"):
        yield f"cell t(x; h)\nh' = {form.format('tanh[x, h]')}\n"
    yield "cell t(x; h)\nh' = tanh[x, h] + sigmoid(-0.5) * max(1, 2)\n"
    yield "cell t(x; h, c)\nc' = 0.5\nh' = hard_sigmoid[x, h] * c'\n"


@pytest.mark.parametrize("text", list(texts()))
def test_a_number_of_a_cell_is_no_tensor(text: str) -> None:
    """On a GPU a tensor without axes would be a copy from the host in every step, which a graph may not hold."""
    assert +passes(parse(text)).without_axes == Counter()


def test_layer_norm_asks_for_no_more_means_than_it_has() -> None:
    """Forward the mean and the variance of each norm; backward the variance again and two means more."""
    cell = zoo.load("layernorm_lstm")
    norms = sum(getattr(node, "op", "") == "norm" for node in cell.nodes)
    inner = norms - 4  # those of x are computed for all steps at once
    means = passes(cell).all["aten.mean.dim"]
    assert means == inner * STEPS * (2 + 4) + (norms - inner) * (2 + 4)
