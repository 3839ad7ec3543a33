"""`torch.compile` on `Recurrent`: one graph without a break, and the numbers of the plain call."""

from typing import Any

import pytest
import torch
from beside_torch import close
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from cellsearch.compiler.torch import custom_op
from cellsearch.compiler.torch.recurrent import Recurrent
from cellsearch.dsl import zoo
from cellsearch.dsl.text import parse, show

D, H, B = 3, 4, 2


class Model(nn.Module):
    """The layer between two others."""

    def __init__(self, cell: str, **options: Any) -> None:
        super().__init__()
        self.below = nn.Linear(D, D, dtype=torch.float64)
        self.rnn = Recurrent(zoo.load(cell), D, H, 2, dtype=torch.float64, **options)
        self.above = nn.LazyLinear(2, dtype=torch.float64)

    def forward(self, x: Tensor) -> tuple[Tensor, Any]:
        output, states = self.rnn(torch.relu(self.below(x)))
        return self.above(torch.tanh(output)), states


def results(module: nn.Module, function: Any, x: Tensor) -> list[Tensor]:
    leaf = x.clone().requires_grad_()
    module.zero_grad()
    torch.manual_seed(0)
    output, states = function(leaf)
    states = states if isinstance(states, tuple) else (states,)
    (output.square().sum() + sum(s.sum() for s in states if s.is_floating_point())).backward()
    gradients = [p.grad.clone() for p in module.parameters() if p.grad is not None]
    assert leaf.grad is not None
    return [output, *states, leaf.grad, *gradients]


@pytest.mark.long
@pytest.mark.parametrize(
    ("cell", "options"),
    [("depth_gated_lstm", {"batch_first": True, "bidirectional": True}), ("clockwork", {})],
)
def test_one_graph_gives_the_same(cell: str, options: dict[str, Any]) -> None:
    torch.compiler.reset()
    torch.manual_seed(1)
    model = Model(cell, **options)
    model(torch.randn(2, 2, D, dtype=torch.float64))
    function = torch.compile(model, backend="aot_eager", fullgraph=True)
    for steps in (4, 6):
        x = torch.randn(steps, B, D, dtype=torch.float64)
        for mine, its in zip(results(model, function, x), results(model, model, x), strict=True):
            close(mine, its)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch looks at it where a graph breaks
def test_packed_sequences_break_the_graph_and_nothing_else() -> None:
    torch.compiler.reset()
    rnn = Recurrent(zoo.load("gru"), D, H, bidirectional=True)
    function = torch.compile(rnn, backend="eager")
    for lengths in ([4, 2], [1, 3]):
        packed = pack_padded_sequence(torch.randn(4, B, D), lengths, enforce_sorted=False)
        close(function(packed)[0].data, rnn(packed)[0].data, 1e-6)
        close(function(packed)[1], rnn(packed)[1], 1e-6)


@pytest.mark.parametrize("need_x", [True, False])
@pytest.mark.parametrize("name", ["clockwork", "depth_gated_lstm", "qrnn"])
def test_the_operator_keeps_its_word(name: str, need_x: bool) -> None:
    """Torch's own checks: the schema, the shapes that are said beforehand, the gradient."""
    torch.manual_seed(0)
    cell = parse(show(zoo.load(name)))
    rnn = Recurrent(cell, D, H)
    lay = rnn._derived.levels[0].lay
    states = [torch.randn(B, H, requires_grad=True) for _ in lay.plan.cell.states]
    if lay.plan.cell.past:
        states.append(torch.randn(lay.plan.cell.past, B, D))
    below = [torch.randn(5, B, H, requires_grad=True)] if name == "depth_gated_lstm" else []
    wanted = cell.states[-1].name
    x = torch.randn(5, B, D, requires_grad=need_x)
    arguments = (
        show(cell),
        wanted,
        x,
        torch.zeros(B, dtype=torch.int64),
        list(rnn.parameters()),
        states,
        below,
    )
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    found = torch.library.opcheck(custom_op.layer.default, arguments, test_utils=checks)
    assert set(found.values()) == {"SUCCESS"}
