"""Cells held against plain versions of their papers' equations, on the same weights, in float64.

A plain version is one function, the step of one layer, written from the paper with nothing but torch:
`step(p, now, *states) -> (output, (new states …))`. `p` gives the layer's weights by name ("i.x" is [D, H]), and
`affine` the sum W·x + U·h + b of one bracket. `differences` runs the cell and the step over the same sequence.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from cellsearch.compiler.torch.recurrent import Recurrent
from cellsearch.dsl.graph import Cell, uses_raw_x

TOLERANCE = 1e-10

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Now:
    """What a step sees besides its states: x [B, D], that of the step before (zeros at first), the number of
    the step, and the new states of the layer below (None for the lowest)."""

    x: Tensor
    before: Tensor
    t: int
    below: tuple[Tensor, ...] | None


Step = Callable[..., tuple[Tensor, tuple[Tensor, ...]]]


@dataclass(frozen=True)
class Row:
    """A cell of the zoo and a plain version of it. `positive` names states that are positive in use; `size` is
    the number of parameters that the paper's equations have at input width D and hidden width H."""

    cell: str
    step: Step
    size: Callable[[int, int], int]
    against: str = "paper"
    positive: tuple[str, ...] = field(default=())


def affine(p: Weights, bracket: str, bias: bool = True, **values: Tensor) -> Tensor:
    """The sum of `value @ W` over the values, each by the name of its weight, and the bias."""
    total = sum(value @ p[f"{bracket}.{name}"] for name, value in values.items())
    assert isinstance(total, Tensor)
    return total + p[f"{bracket}.bias"] if bias else total


def plain(
    steps: Sequence[Step], weights: Sequence[Weights], x: Tensor, first: Sequence[Sequence[Tensor]]
) -> tuple[Tensor, list[tuple[Tensor, ...]]]:
    """A stack of plain layers, bottom first, over x [T, B, D]: outputs [T, B, H] and last states by layer."""
    states = [tuple(layer) for layer in first]
    seen: list[Tensor | None] = [None] * len(steps)
    outputs = []
    for t, value in enumerate(x):
        below = None
        for k, step in enumerate(steps):
            before = seen[k]
            now = Now(value, torch.zeros_like(value) if before is None else before, t, below)
            seen[k] = value
            value, below = step(weights[k], now, *states[k])
            states[k] = below
        outputs.append(value)
    return torch.stack(outputs), states


def differences(
    cells: Cell | Sequence[Cell],
    steps: Step | Sequence[Step],
    layers: int = 2,
    width: int = 5,
    hidden: int = 6,
    length: int = 7,
    batch: int = 3,
    positive: Sequence[str] = (),
    idle: tuple[str, ...] = (),
    seed: int = 0,
) -> dict[str, float]:
    """Relative differences of outputs, last states, and all gradients: of x, of the first states, of the
    weights. Weights and first states are random, and so are the factors of the loss. `idle` says how the names
    of weights begin that do nothing here."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return 0.5 * torch.randn(*shape, generator=generator, dtype=torch.float64)

    stacked = (cells,) * layers if isinstance(cells, Cell) else tuple(cells)
    by_layer = [steps] * layers if callable(steps) else list(steps)
    names = [s.name for s in stacked[0].states]
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # not what other tests have left: a relu may be dead for some weights
        rnn = Recurrent(stacked, hidden if uses_raw_x(stacked[0]) else width, hidden, dtype=torch.float64)
    with torch.no_grad():
        for parameter in rnn.parameters():
            # entries that are zero at the start are no parameters, unless they are biases
            free = (parameter != 0) | (parameter.dim() == 1)
            parameter.add_(0.6 * draw(*parameter.shape) * free)
    x = draw(length, batch, rnn.input_size).requires_grad_()
    first = [draw(len(stacked), batch, hidden) for _ in names]
    first = [
        (s.abs() + 0.5 if n in positive else s).requires_grad_() for n, s in zip(names, first, strict=True)
    ]
    weights = [dict(layer.named_parameters()) for layer in rnn.layers]
    leaves = {"x": x, **dict(zip(names, first, strict=True)), **dict(rnn.named_parameters())}

    output, packed = rnn(x, tuple(first))
    ours = [output, *([packed] if isinstance(packed, Tensor) else list(packed)[: len(names)])]
    output, last = plain(by_layer, weights, x, [[s[k] for s in first] for k in range(len(stacked))])
    theirs = [output, *(torch.stack(s) for s in zip(*last, strict=True))]

    factors = [draw(*value.shape) for value in ours]
    ours += _gradients(ours, factors, leaves)
    expected = _gradients(theirs, factors, leaves)
    used = [n for n in leaves if n not in names and not n.startswith(idle)]
    dead = [n for n, g in zip(leaves, expected, strict=True) if n in used and not bool(g.any())]
    assert not dead, f"no gradient reaches {dead}: the comparison would not see them"
    theirs += expected
    labels = ["outputs", *(f"last {n}" for n in names), *(f"gradient of {n}" for n in leaves)]
    return {n: _relative(a, b) for n, a, b in zip(labels, ours, theirs, strict=True)}


def _gradients(values: list[Tensor], factors: list[Tensor], leaves: dict[str, Tensor]) -> list[Tensor]:
    loss: Any = sum((value * factor).sum() for value, factor in zip(values, factors, strict=True))
    found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    return [torch.zeros_like(v) if g is None else g for g, v in zip(found, leaves.values(), strict=True)]


def _relative(ours: Tensor, theirs: Tensor) -> float:
    assert bool(theirs.isfinite().all()), "the plain version is not finite here"
    scale = max(1.0, float(theirs.detach().abs().max()))
    return (
        float((ours - theirs).detach().abs().max()) / scale if bool(ours.isfinite().all()) else float("inf")
    )
