"""Compare the compiled cell with its equations: `Recurrent` against `reference`, in float64.

For the outputs, the last states and every gradient gives the largest difference, relative to the largest
value (or to 1 if all are smaller).
"""

import torch
from torch import Tensor

from cellsearch.compiler.reference import reference
from cellsearch.compiler.torch.recurrent import Recurrent
from cellsearch.dsl.graph import Cell, uses_raw_x

TOLERANCE = 1e-10  # float64 over a few steps: rounding errors are smaller


def agreement(
    cell: Cell,
    layers: int = 2,
    steps: int = 10,
    batch: int = 3,
    width: int = 5,
    hidden: int = 6,
    seed: int = 0,
) -> dict[str, float]:
    """The differences by name: `outputs`, `last h`, `gradient of layers.0.i.x`, …; infinite if exactly one of
    the two is non-finite, NaN if both are. The same seed gives the same numbers.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return 0.5 * torch.randn(*shape, generator=generator, dtype=torch.float64)

    with torch.random.fork_rng(devices=[]):  # torch's global generator draws the initial values
        torch.manual_seed(seed)
        rnn = Recurrent(cell, hidden if uses_raw_x(cell) else width, hidden, layers, dtype=torch.float64)
    with torch.no_grad():
        for parameter in rnn.parameters():
            free = (parameter != 0) | (parameter.dim() == 1)  # in a matrix zeros may have to stay zero
            parameter.add_(0.4 * draw(*parameter.shape) * free)
    x = draw(steps, batch, rnn.input_size).requires_grad_()
    states = [draw(layers, batch, hidden).requires_grad_() for _ in cell.states]
    leaves = {"x": x, **{s.name: v for s, v in zip(cell.states, states, strict=True)}}
    leaves |= dict(rnn.named_parameters())

    output, packed = rnn(x, tuple(states))
    last = [packed] if isinstance(packed, Tensor) else list(packed)[: len(states)]
    parameters = [dict(layer.named_parameters()) for layer in rnn.layers]
    first = [[s[k] for s in states] for k in range(layers)]
    expected, ends = reference(rnn.cells, parameters, x, first)
    expected_last = [torch.stack(s) for s in zip(*ends, strict=True)]

    weights = [draw(*value.shape) for value in (output, *last)]

    def gradients(values: list[Tensor]) -> list[Tensor]:
        loss = sum((value * w).sum() for value, w in zip(values, weights, strict=True))
        assert isinstance(loss, Tensor)
        if not loss.requires_grad:  # a cell without weights that forgets its states
            return [torch.zeros_like(leaf) for leaf in leaves.values()]
        found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
        return [
            torch.zeros_like(leaf) if g is None else g for g, leaf in zip(found, leaves.values(), strict=True)
        ]

    names = ["outputs", *(f"last {s.name}" for s in cell.states), *(f"gradient of {name}" for name in leaves)]
    ours = [output, *last, *gradients([output, *last])]
    theirs = [expected, *expected_last, *gradients([expected, *expected_last])]
    return {name: _difference(a, b) for name, a, b in zip(names, ours, theirs, strict=True)}


def _difference(ours: Tensor, theirs: Tensor) -> float:
    finite = bool(ours.isfinite().all()), bool(theirs.isfinite().all())
    if not all(finite):
        return float("inf") if any(finite) else float("nan")
    scale = max(1.0, float(theirs.detach().abs().max()))
    return float((ours - theirs).detach().abs().max()) / scale
