"""`Recurrent` against torch.nn, and the calling convention that it shares with it."""

import copy

import pytest
import torch
from torch import Tensor, nn

from cellsearch.compiler.recurrent import Recurrent
from cellsearch.dsl import zoo
from cellsearch.dsl.text import parse
from cellsearch.errors import CellError

D, H, B, T = 5, 7, 3, 6

# : For each class of torch.nn: our cell, and for each of its gates in order the bracket that holds (input,
# hidden) parts.
TORCH = {
    "LSTM": (nn.LSTM, "lstm", [("i", "i"), ("f", "f"), ("g", "g"), ("o", "o")]),
    "GRU": (nn.GRU, "gru_torch", [("r", "r"), ("z", "z"), ("n_1", "n_2")]),
    "RNN": (nn.RNN, "rnn", None),
}


def brackets(ours: Recurrent, gates: list[tuple[str, str]] | None) -> list[tuple[str, str]]:
    if gates is not None:
        return gates
    only = next(iter(ours.layers[0]._modules))
    return [(only, only)]


def copy_weights(ours: Recurrent, theirs: nn.RNNBase, gates: list[tuple[str, str]]) -> None:
    """Put our weights into torch's module; a gate with one bracket has its bias in the input part."""
    weights = ours.state_dict()
    with torch.no_grad():
        for layer in range(ours.num_layers):
            for k, (x, h) in enumerate(gates):
                rows = slice(k * H, (k + 1) * H)
                getattr(theirs, f"weight_ih_l{layer}")[rows] = weights[f"layers.{layer}.{x}.x"].T
                getattr(theirs, f"weight_hh_l{layer}")[rows] = weights[f"layers.{layer}.{h}.h"].T
                getattr(theirs, f"bias_ih_l{layer}")[rows] = weights[f"layers.{layer}.{x}.bias"]
                hidden = weights[f"layers.{layer}.{h}.bias"] if x != h else torch.zeros(H)
                getattr(theirs, f"bias_hh_l{layer}")[rows] = hidden


def pair(
    name: str, layers: int, batch_first: bool = False
) -> tuple[Recurrent, nn.RNNBase, list[tuple[str, str]]]:
    torch.manual_seed(3)
    kind, cell, gates = TORCH[name]
    ours = Recurrent(zoo.load(cell), D, H, layers, batch_first, dtype=torch.float64)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    theirs = kind(D, H, layers, batch_first=batch_first, dtype=torch.float64)
    found = brackets(ours, gates)
    copy_weights(ours, theirs, found)
    return ours, theirs, found


def close(a: Tensor, b: Tensor | None) -> None:
    assert b is not None
    assert a.shape == b.shape
    a, b = a.detach(), b.detach()
    assert float((a - b).abs().max()) < 1e-10 * max(1.0, float(b.abs().max()))


def both(ours: Recurrent, theirs: nn.RNNBase, x: Tensor, states: object) -> None:
    """Outputs, last states and the gradients of x and of the first states agree."""
    results = []
    for module in (ours, theirs):
        leaf = x.clone().requires_grad_()
        first = states if states is None else tuple(s.clone().requires_grad_() for s in states)  # type: ignore[attr-defined]
        given = first if first is None or len(first) > 1 else first[0]
        output, last = module(leaf, given)
        last = last if isinstance(last, tuple) else (last,)
        torch.manual_seed(5)
        loss = (output * torch.randn_like(output)).sum() + sum((s * torch.randn_like(s)).sum() for s in last)
        loss.backward()
        results.append((output, *last, leaf.grad, *(s.grad for s in first or ())))
    for a, b in zip(*results, strict=True):
        close(a, b)


@pytest.mark.parametrize("given", [True, False], ids=["states given", "no states"])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("name", TORCH)
def test_agrees_with_torch_nn(name: str, layers: int, given: bool) -> None:
    ours, theirs, gates = pair(name, layers)
    count = len(ours.cells[0].states)
    states = [torch.randn(layers, B, H, dtype=torch.float64) for _ in range(count)] if given else None
    both(ours, theirs, torch.randn(T, B, D, dtype=torch.float64), states)
    gradients = dict(ours.named_parameters())
    for layer in range(layers):
        for k, (x, h) in enumerate(gates):
            rows = slice(k * H, (k + 1) * H)
            close(
                gradients[f"layers.{layer}.{x}.x"].grad.T, getattr(theirs, f"weight_ih_l{layer}").grad[rows]
            )
            close(
                gradients[f"layers.{layer}.{h}.h"].grad.T, getattr(theirs, f"weight_hh_l{layer}").grad[rows]
            )
            close(gradients[f"layers.{layer}.{x}.bias"].grad, getattr(theirs, f"bias_ih_l{layer}").grad[rows])
            if x != h:
                close(
                    gradients[f"layers.{layer}.{h}.bias"].grad,
                    getattr(theirs, f"bias_hh_l{layer}").grad[rows],
                )


@pytest.mark.parametrize("name", TORCH)
def test_batch_first_and_single_sequences(name: str) -> None:
    ours, theirs, _ = pair(name, 2, batch_first=True)
    both(ours, theirs, torch.randn(B, T, D, dtype=torch.float64), None)
    count = len(ours.cells[0].states)
    both(
        ours, theirs, torch.randn(T, D, dtype=torch.float64), [torch.randn(2, H, dtype=torch.float64)] * count
    )


def test_names_of_weights_and_a_copy() -> None:
    rnn = Recurrent(zoo.load("peephole_lstm"), D, H)
    shapes = {name: tuple(p.shape) for name, p in rnn.named_parameters()}
    assert shapes["layers.0.i.x"] == (D, H)
    assert shapes["layers.0.o.h"] == (H, H)
    assert shapes["layers.0.o.c_new"] == shapes["layers.0.f.c"] == shapes["layers.0.f.bias"] == (H,)
    assert bool((rnn.state_dict()["layers.0.f.bias"] == 1).all())
    other = copy.deepcopy(rnn)
    x = torch.randn(T, B, D)
    assert torch.equal(rnn(x)[0], other(x)[0])
    fresh = Recurrent(zoo.load("peephole_lstm"), D, H)
    assert not torch.equal(rnn(x)[0], fresh(x)[0])
    fresh.load_state_dict(rnn.state_dict())
    assert torch.equal(rnn(x)[0], fresh(x)[0])


def test_a_bracket_may_be_called_like_a_method() -> None:
    cell = parse("cell odd(x; h)\ntrain = sigmoid[x, h]\nh' = train * h + x")
    rnn = Recurrent(cell, H, H)
    assert set(rnn.state_dict()) == {"layers.0.train.x", "layers.0.train.h", "layers.0.train.bias"}
    assert rnn(torch.randn(T, B, H))[0].shape == (T, B, H)
    rnn.eval()
    with pytest.raises(CellError, match="project"):
        Recurrent(parse("cell odd(x; h)\nproject = sigmoid[x, h]\nh' = project"), D, H)


def test_windows_give_what_the_whole_gives_with_a_clock() -> None:
    rnn = Recurrent(zoo.load("clockwork"), D, 9, 2, dtype=torch.float64)
    x = torch.randn(11, B, D, dtype=torch.float64)
    whole, last = rnn(x)
    first, states = rnn(x[:4])
    second, states = rnn(x[4:], states)
    close(torch.cat([first, second]), whole)
    for a, b in zip(states, last, strict=True):
        close(a.double(), b.double())
    assert states[-1].tolist() == [11] * B


def test_a_stack_may_be_a_list_of_cells_and_projects_raw_x() -> None:
    lower = parse("cell lower(x; h, c)\nc' = c + tanh[x, h]\nh' = tanh(c')")
    upper = parse("cell upper(x; h, c)\nc' = c + sigmoid[x, .below(c)]\nh' = c' * x")
    rnn = Recurrent([lower, upper], D, H)
    assert rnn(torch.randn(T, B, D))[0].shape == (T, B, H)
    assert not rnn.projects
    mut1 = Recurrent(zoo.load("mut1"), D, H)
    assert mut1.projects
    assert "projected" in repr(mut1)
    assert "layers.0.project.weight" in mut1.state_dict()
    assert mut1(torch.randn(T, B, D))[0].shape == (T, B, H)
    with pytest.raises(CellError, match=r"below\(q\)"):
        Recurrent([lower, parse("cell upper(x; h, c)\nc' = c + below(q)\nh' = tanh[x, c']")], D, H)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: r(torch.randn(T, B, D + 1)), "takes an input"),
        (lambda r: r(torch.randn(T, B, D), torch.randn(1, B, H)), "2 states"),
        (
            lambda r: r(torch.randn(T, B, D), (torch.randn(1, B, H), torch.randn(1, B, H + 1))),
            "state c must be",
        ),
        (lambda r: Recurrent(r.cells[0], 0, H), "at least 1"),
    ],
)
def test_wrong_calls_are_refused(call: object, message: str) -> None:
    rnn = Recurrent(zoo.load("lstm"), D, H)
    with pytest.raises(CellError, match=message):
        call(rnn)  # type: ignore[operator]
