"""`Recurrent` beside the module of torch.nn that computes the same, with the same weights."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from cellsearch.compiler.torch.recurrent import Recurrent
from cellsearch.dsl import zoo

D, H, B, T = 5, 7, 3, 6

#: For each class of torch.nn: our cell, and for each of its gates in order the brackets that hold the input
#: and the hidden part.
TORCH = {
    "LSTM": (nn.LSTM, "lstm", [("i", "i"), ("f", "f"), ("g", "g"), ("o", "o")]),
    "GRU": (nn.GRU, "gru_torch", [("r", "r"), ("z", "z"), ("n_1", "n_2")]),
    "RNN": (nn.RNN, "rnn", None),
}


def pair(name: str, layers: int, **options: Any) -> tuple[Recurrent, nn.RNNBase]:
    """Ours and torch's in float64, with the same weights."""
    torch.manual_seed(3)
    kind, cell, _ = TORCH[name]
    ours = Recurrent(zoo.load(cell), D, H, layers, dtype=torch.float64, **options)
    theirs = kind(D, H, layers, dtype=torch.float64, **options)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        for parameter in theirs.parameters():
            parameter.zero_()
        for weight, place in _places(name, ours, theirs):
            place.copy_(weight.t())
    return ours, theirs


def _places(name: str, ours: Recurrent, theirs: nn.RNNBase, gradient: bool = False) -> list[tuple[Any, Any]]:
    """Each of our weights, or its gradient, and the part of torch's that corresponds to it. A gate with one
    bracket has its bias in the input part."""
    gates = TORCH[name][2]
    if gates is None:
        only = next(iter(ours.layers[0]._modules))
        gates = [(only, only)]
    parameters = dict(ours.named_parameters())

    def place(which: str, suffix: str, k: int) -> Any:
        found = getattr(theirs, f"{which}_l{suffix}")
        return (found.grad if gradient else found)[k * H : (k + 1) * H]

    def weight(name: str) -> Any:
        return parameters[name].grad if gradient else parameters[name]

    found = []
    for layer in range(ours.num_layers):
        for prefix, suffix in (("", ""), ("reverse.", "_reverse"))[: 1 + ours.bidirectional]:
            for k, (x, h) in enumerate(gates):
                mine, its = f"layers.{layer}.{prefix}", f"{layer}{suffix}"
                found.append((weight(f"{mine}{x}.x"), place("weight_ih", its, k)))
                found.append((weight(f"{mine}{h}.h"), place("weight_hh", its, k)))
                found.append((weight(f"{mine}{x}.bias"), place("bias_ih", its, k)))
                if x != h:
                    found.append((weight(f"{mine}{h}.bias"), place("bias_hh", its, k)))
    return found


def close(a: Tensor, b: Tensor, tolerance: float = 1e-10) -> None:
    """The tensors agree, relative to the largest value or to 1."""
    assert a is not None and b is not None
    assert a.shape == b.shape
    assert a.dtype == b.dtype
    a, b = a.detach(), b.detach()
    assert bool(a.isfinite().all())
    if a.numel():
        assert float((a - b).abs().max()) < tolerance * max(1.0, float(b.abs().max()))


def call(module: Any, x: Any, states: Any, seed: int = 5) -> list[Tensor]:
    """Outputs, last states, and the gradients of x and of the states, of a loss that all of them enter.

    `x` may be a function from a leaf to the input: `(function, leaf)`.
    """
    make, leaf = x if isinstance(x, tuple) and callable(x[0]) else (lambda v: v, x)
    leaf = leaf.clone().requires_grad_()
    first = None if states is None else [s.clone().requires_grad_() for s in states]
    given = first if first is None else tuple(first) if len(first) > 1 else first[0]
    torch.manual_seed(seed)  # the same dropout
    output, last = module(make(leaf), given)
    packed = [output.data] if isinstance(output, PackedSequence) else [output]
    values = [*packed, *(last if isinstance(last, tuple) else (last,))]
    module.zero_grad()
    torch.manual_seed(seed)
    loss = sum((value * torch.randn_like(value)).sum() for value in values if value.is_floating_point())
    assert isinstance(loss, Tensor)
    loss.backward()
    return [*values, leaf.grad, *(s.grad for s in first or ())]  # type: ignore[list-item]


def agree(name: str, ours: Recurrent, theirs: nn.RNNBase, x: Any, states: Any = None) -> None:
    """Outputs, last states and all gradients agree to 1e-10."""
    for a, b in zip(call(ours, x, states), call(theirs, x, states), strict=True):
        close(a, b)
    for mine, its in _places(name, ours, theirs, gradient=True):
        close(mine.t(), its)


def first_states(name: str, layers: int, batch: int | None = B, directions: int = 1) -> list[Tensor]:
    """States for a call, each [layers * directions, B, H]."""
    count = 2 if name == "LSTM" else 1
    axes = (layers * directions, H) if batch is None else (layers * directions, batch, H)
    return [torch.randn(axes, dtype=torch.float64) for _ in range(count)]
