"""The whole model: its gradient against autograd, its size, its first values, its windows."""

import pytest
import torch
from covering import CELLS, load
from hypothesis import given
from hypothesis import strategies as st

from cellsearch.compiler.reference import reference
from cellsearch.compiler.run.layout import named
from cellsearch.compiler.run.structures import free as free_entries
from cellsearch.dsl import zoo
from cellsearch.train import model, windows
from cellsearch.train.resources import cost


@pytest.mark.parametrize("masked", [False, True], ids=["all scored", "some scored"])
@pytest.mark.parametrize("name", ["lstm", "gru", "mut1", "clockwork", "depth_gated_lstm"])
def test_loss_and_gradient_agree_with_autograd(name: str, masked: bool) -> None:
    cell, vocabulary, hidden, layers, batch, steps = zoo.load(name), 7, 6, 2, 3, 5
    shape = model.Shape(cell, vocabulary, layers, hidden)
    rows = model.first_rows(shape, [1.0, 2.0], [1, 2], torch.float64)
    generator = torch.Generator().manual_seed(4)
    tokens = torch.randint(vocabulary, (batch, steps), generator=generator)
    targets = torch.randint(vocabulary, (batch, steps), generator=generator)
    if masked:
        targets[torch.rand(batch, steps, generator=generator) < 0.6] = -1
    window = windows.cut(tokens, targets, steps)[0]
    gradient = torch.full_like(rows, torch.nan)
    score, last = model.run(shape, rows, window, model.first_states(shape, 2, batch, rows), 3, gradient)
    for k in range(2):
        row = rows[k : k + 1].clone().requires_grad_()
        table = row[0, : shape.embedding].view(vocabulary, hidden)
        body = row[:, shape.embedding : shape.output]
        parameters = [
            {n: v[0] for n, v in named(lay, part).items()}
            for lay, part in zip(shape.stack.layers, shape.stack.rows(body), strict=True)
        ]
        states = [[s[0] for s in layer] for layer in model.first_states(shape, 1, batch, rows)]
        outputs, end = reference([cell] * layers, parameters, table[tokens.T], states, t=3)
        stop = shape.output + hidden * vocabulary
        logits = outputs @ row[0, shape.output : stop].view(hidden, vocabulary) + row[0, stop:]
        chosen = targets.T.reshape(-1)
        losses = torch.nn.functional.cross_entropy(
            logits.reshape(-1, vocabulary), chosen, ignore_index=-1, reduction="sum"
        )
        (losses / batch).backward()
        assert score.count == int((targets >= 0).sum())
        assert torch.isclose(score.loss[k], losses.detach(), rtol=1e-12)
        right = (logits.argmax(-1).reshape(-1) == chosen).sum()
        assert int(score.right[k]) == int(right)
        masks = [free_entries(lay) for lay in shape.stack.layers]
        expected = row.grad[0].clone()
        for part, mask in zip(
            shape.stack.rows(expected[None, shape.embedding : shape.output]), masks, strict=True
        ):
            if mask is not None:
                part *= mask
        assert torch.allclose(gradient[k], expected, rtol=1e-10, atol=1e-12)
        assert torch.allclose(last[1][0][k], end[1][0].detach(), rtol=1e-12)


@pytest.mark.parametrize("name", CELLS)
def test_the_number_of_parameters_is_the_number_of_free_entries(name: str) -> None:
    shape = model.Shape(load(name), 11, 3, 9)
    free = sum(
        lay.size if free_entries(lay) is None else int(free_entries(lay).sum()) for lay in shape.stack.layers
    )
    assert cost.parameters(shape.cell, 11, 3, 9) == shape.size - shape.stack.size + free


def test_first_values_lie_within_their_bound_and_biases_at_what_the_cell_says() -> None:
    shape = model.Shape(zoo.load("peephole_lstm"), 5, 2, 16)
    rows = model.first_rows(shape, [2.0], [3], torch.float64)
    body = rows[:, shape.embedding : shape.output]
    for lay, part in zip(shape.stack.layers, shape.stack.rows(body), strict=True):
        for name, value in named(lay, part).items():
            if name.endswith("bias"):
                assert bool((value == (1.0 if name == "f.bias" else 0.0)).all()), name
            else:
                assert 0.3 < float(value.abs().max()) <= 0.5, name
    assert bool((rows[:, -5:] == 0).all())


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 4))
def test_windows_hold_every_position_once(length: int, steps: int, batch: int) -> None:
    tokens = torch.arange(batch * length).view(batch, length)
    targets = torch.where(tokens % 3 == 0, -1, tokens)
    found = windows.cut(tokens, targets, steps)
    assert torch.equal(torch.cat([w.inputs for w in found]).T, tokens)
    scored = torch.cat([w.targets for w in found])
    assert sorted(scored.tolist()) == sorted(targets[targets >= 0].tolist())
