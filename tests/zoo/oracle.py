"""A cell of the zoo held against somebody else's: outputs, last states and every gradient, in float64.

An oracle has parameters of its own, says how our weights follow from them, and runs a sequence. The same
sequence goes through the compiled cell; the gradients of our weights are carried back through the mapping of
the weights, so that the oracle's own gradients, all of them, can be compared.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cellsearch.compiler.recurrent import Recurrent
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.weights import weights

#: Parameters by name, a sequence [T, B, D] and the first states, each [B, H], to outputs [T, B, H] and last states.
Sequence_ = Callable[[Mapping[str, Tensor], Tensor, Sequence[Tensor]], tuple[Tensor, list[Tensor]]]
#: Parameters, one input [B, D] and the states, to the output and the new states.
Step = Callable[..., tuple[Tensor, ...]]


@dataclass(frozen=True)
class Oracle:
    """`parameters` are leaves; `ours` gives our weights as a differentiable function of them."""

    parameters: Mapping[str, Tensor]
    ours: Callable[[], Mapping[str, Tensor]]
    run: Callable[[Tensor, Sequence[Tensor]], tuple[Tensor, list[Tensor]]]


def plain(cell: Cell, sequence: Sequence_, width: int, hidden: int) -> Oracle:
    """The oracle that a plain function over our own names of the weights is."""
    leaves = {
        w.name: torch.empty(w.shape(width, hidden), dtype=torch.float64).uniform_(-1, 1).requires_grad_()
        for w in weights(cell)
    }
    return Oracle(leaves, lambda: leaves, lambda x, states: sequence(leaves, x, states))


def stepwise(step: Step) -> Sequence_:
    """A step (parameters, x, *states) -> (output, *new states), run over a sequence."""

    def sequence(
        p: Mapping[str, Tensor], x: Tensor, states: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        outputs, now = [], list(states)
        for value in x:
            output, *now = step(p, value, *now)
            outputs.append(output)
        return torch.stack(outputs), now

    return sequence


def differences(
    cell: Cell, oracle: Oracle, width: int, hidden: int, steps: int = 14, batch: int = 2
) -> tuple[dict[str, float], dict[str, float]]:
    """The largest difference in outputs, last states and every gradient, relative to the largest value where that
    is above 1; and the largest value of each gradient."""
    rnn = Recurrent(cell, width, hidden, dtype=torch.float64)
    assert not rnn.projects
    mapped = oracle.ours()
    rnn.load_state_dict({f"layers.0.{name}": value.detach() for name, value in mapped.items()})
    x = torch.randn(steps, batch, width, dtype=torch.float64)
    states = [torch.randn(batch, hidden, dtype=torch.float64) for _ in cell.states]
    results = []
    for run in (_compiled(rnn), oracle.run):
        x_leaf, leaves = x.clone().requires_grad_(), [s.clone().requires_grad_() for s in states]
        outputs, last = run(x_leaf, leaves)
        generator = torch.Generator().manual_seed(7)
        loss = sum(
            (v * torch.randn(v.shape, generator=generator, dtype=torch.float64)).sum()
            for v in (outputs, *last)
        )
        loss.backward()
        found = {"outputs": outputs, "d x": x_leaf.grad}
        found |= {s.name: v for s, v in zip(cell.states, last, strict=True)}
        found |= {f"d {s.name}": v.grad for s, v in zip(cell.states, leaves, strict=True)}
        results.append(found)
    ours, theirs = results
    of_ours = dict(rnn.named_parameters())
    names = list(mapped)
    back = torch.autograd.grad(
        [mapped[name] for name in names],
        list(oracle.parameters.values()),
        [of_ours[f"layers.0.{name}"].grad for name in names],
    )
    ours |= {f"d {name}": gradient for name, gradient in zip(oracle.parameters, back, strict=True)}
    theirs |= {f"d {name}": leaf.grad for name, leaf in oracle.parameters.items()}
    return (
        {name: _difference(ours[name], theirs[name]) for name in ours},
        {name: float(value.abs().max()) for name, value in theirs.items() if name.startswith("d ")},
    )


def _compiled(rnn: Recurrent) -> Callable[[Tensor, Sequence[Tensor]], tuple[Tensor, list[Tensor]]]:
    def run(x: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        outputs, last = rnn(x, tuple(s[None] for s in states))
        last = [last] if isinstance(last, Tensor) else last
        return outputs, [s[0] for s in last[: len(states)]]

    return run


def _difference(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape
    return float((ours - theirs).detach().abs().max()) / max(1.0, float(theirs.detach().abs().max()))
