"""`Recurrent` and autograd: exact gradients, and what torch's own layers do beside."""

import copy
from typing import Any

import pytest
import torch
from beside_torch import close
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils.checkpoint import checkpoint

from cellsearch.compiler.torch.recurrent import Recurrent
from cellsearch.dsl import zoo
from cellsearch.errors import CellError

D, H, B, T = 3, 4, 2, 4


def numbers(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


@pytest.mark.long
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["clockwork", "depth_gated_lstm", "mut1", "qrnn"])
def test_gradcheck(name: str, packed: bool) -> None:
    torch.manual_seed(2)
    cell = zoo.load(name)
    rnn = Recurrent(cell, D, H, 2, bidirectional=True, dtype=torch.float64)

    def function(x: Tensor, *values: Tensor) -> Any:
        states = values[: len(cell.states)]
        weights = dict(zip(dict(rnn.named_parameters()), values[len(states) :], strict=True))
        given: Any = pack_padded_sequence(x, [3, 4], enforce_sorted=False) if packed else x
        output, last = torch.func.functional_call(rnn, weights, (given, states))
        last = last if isinstance(last, tuple) else (last,)
        return (output.data if packed else output, *last[: len(states)])

    states = [numbers(4, B, H).requires_grad_() for _ in cell.states]
    inputs = (numbers(T, B, D).requires_grad_(), *states, *rnn.parameters())
    assert torch.autograd.gradcheck(function, inputs, fast_mode=True)


def small() -> tuple[Recurrent, Tensor]:
    torch.manual_seed(4)
    return Recurrent(zoo.load("lstm"), D, H, 2), torch.randn(T, B, D)


@pytest.mark.parametrize("square", [False, True])
def test_second_derivatives_are_refused(square: bool) -> None:
    rnn, x = small()
    output = rnn(x.requires_grad_())[0]
    loss = output.square().sum() if square else output.sum()
    gradients = torch.autograd.grad(loss, [x, *rnn.parameters()], create_graph=True)
    rnn.zero_grad()
    rnn(x)[0].sum().backward()
    assert all(p.grad is not None for p in rnn.parameters())  # a gradient may be had, and used as a number
    for gradient in gradients:
        with pytest.raises(CellError, match="cannot be differentiated once more"):
            (gradient.square().sum() + rnn(x)[0].sum()).backward(retain_graph=True)


def test_going_back_twice_is_refused_by_torch_or_asked_for() -> None:
    rnn, x = small()
    loss = rnn(x.requires_grad_())[0].sum()
    loss.backward(retain_graph=True)
    first = x.grad
    assert first is not None
    first = first.clone()
    loss.backward()
    assert x.grad is not None
    close(x.grad, 2 * first, 1e-6)
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


def test_an_input_that_was_changed_meanwhile_is_noticed() -> None:
    rnn, x = small()
    loss = rnn(x)[0].sum()
    x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_results_may_be_changed_in_place() -> None:
    rnn, x = small()
    output, (h, c) = rnn(x)
    (output.sum() + h.sum() + c.sum()).backward()
    wanted = [p.grad.clone() for p in rnn.parameters() if p.grad is not None]
    rnn.zero_grad()
    output, (h, c) = rnn(x)
    loss = output.sum() + h.sum() + c.sum()
    for value in (output, h, c):
        value.detach().zero_()
    loss.backward()
    for parameter, gradient in zip(rnn.parameters(), wanted, strict=True):
        assert torch.equal(parameter.grad, gradient)


@pytest.mark.parametrize("free", ["x", "weights", "one weight", "a state", "nothing"])
def test_only_what_wants_a_gradient_gets_one(free: str) -> None:
    rnn, x = small()
    whole = copy.deepcopy(rnn)
    leaf = x.clone().requires_grad_()
    state = torch.zeros(2, B, H, requires_grad=True)
    whole(leaf, (state, torch.zeros(2, B, H)))[0].sum().backward()
    h = torch.zeros(2, B, H, requires_grad=free == "a state")
    rnn.requires_grad_(free == "weights")
    if free == "one weight":
        rnn.layers[0]._modules["i"].h.requires_grad_()
    x.requires_grad_(free == "x")
    output, _ = rnn(x, (h, torch.zeros(2, B, H)))
    assert output.requires_grad == (free != "nothing")
    if free == "nothing":
        return
    output.sum().backward()
    found = [(x, leaf), (h, state), *zip(rnn.parameters(), whole.parameters(), strict=True)]
    for mine, its in found:
        if mine.requires_grad:
            close(mine.grad, its.grad, 1e-6)
        else:
            assert mine.grad is None


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_without_gradients(mode: Any) -> None:
    rnn, x = small()
    wanted = rnn(x)[0]
    with mode():
        output, states = rnn(x)
        assert torch.equal(output, wanted) and not output.requires_grad
        assert torch.equal(rnn(x, states)[0], rnn(x, tuple(s.clone() for s in states))[0])
        made = Recurrent(zoo.load("mut2"), D, H)
    made(x)


def test_frozen_parts_and_checkpoints() -> None:
    rnn, x = small()
    leaf = x.clone().requires_grad_()
    rnn(leaf)[0].square().sum().backward()
    wanted = [leaf.grad, *(p.grad for p in rnn.parameters())]
    again = copy.deepcopy(rnn)
    again.zero_grad()
    other = x.clone().requires_grad_()
    checkpoint(lambda v: again(v)[0], other, use_reentrant=False).square().sum().backward()
    for a, b in zip([other.grad, *(p.grad for p in again.parameters())], wanted, strict=True):
        close(a, b, 1e-6)


def test_inputs_and_gradients_in_any_layout() -> None:
    rnn, _ = small()
    rnn = rnn.double()
    x = numbers(D, B, T)
    results = []
    for make in (lambda v: v.permute(2, 1, 0), lambda v: v.permute(2, 1, 0).contiguous()):
        leaf = x.clone().requires_grad_()
        output, (h, c) = rnn(
            make(leaf), (numbers(1, 1, 1).zero_().expand(2, B, H), torch.zeros(2, B, H).double())
        )
        (
            output.sum()
            + (output.transpose(0, 2) * torch.ones(H, B, T).cumsum(0)).sum()
            + h.sum()
            + c[0].sum()
        ).backward()
        results.append((output, leaf.grad))
    for a, b in zip(*results, strict=True):
        close(a, b)


@pytest.mark.parametrize("name", ["lstm", "low_rank_lstm", "mut1"])
def test_autocast_leaves_a_layer_in_the_dtype_of_its_weights(name: str) -> None:
    torch.manual_seed(6)
    rnn = Recurrent(zoo.load(name), D, H, 2, bidirectional=True)
    x = torch.randn(T, B, D)
    wanted, last = rnn(x)
    wanted.sum().backward()
    gradients = [p.grad.clone() for p in rnn.parameters() if p.grad is not None]
    rnn.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output, states = rnn(x)
        if not rnn.projects:  # torch.nn.Linear, which that is, goes back in low precision here
            output.sum().backward()
        low = nn.functional.linear(x, torch.eye(D))
        assert low.dtype == torch.bfloat16
        some = (states,) if isinstance(states, Tensor) else states
        mixed, more = rnn(low, tuple(s.bfloat16() for s in some))
    if rnn.projects:
        output.sum().backward()
    assert torch.equal(output, wanted)
    assert torch.equal(some[0], (last,)[0] if isinstance(last, Tensor) else last[0])
    for parameter, gradient in zip(rnn.parameters(), gradients, strict=True):
        assert torch.equal(parameter.grad, gradient)
    assert mixed.dtype == (more if isinstance(more, Tensor) else more[0]).dtype == torch.float32
    close(mixed, rnn(low.float(), tuple(s.bfloat16().float() for s in some))[0], 1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_dtypes(dtype: torch.dtype) -> None:
    rnn, x = small()
    wanted, last = rnn(x)
    rnn.to(dtype)
    output, states = rnn(x.to(dtype))
    assert output.dtype == states[1].dtype == dtype
    close(output.float(), wanted, 2e-2)
    close(states[1].float(), last[1], 2e-2)
    output.sum().backward()
    assert all(p.grad is not None and p.grad.dtype == dtype for p in rnn.parameters())


def test_a_state_that_a_dtype_cannot_hold_is_refused() -> None:
    with pytest.raises(
        CellError, match=r"state m of slstm starts at -1e\+30, which torch.float16 cannot hold"
    ):
        Recurrent(zoo.load("slstm"), D, H).half()(torch.zeros(T, B, D).half())


@pytest.mark.parametrize("name", ["lstm", "clockwork", "qrnn"])
def test_everything_lies_on_the_device_of_the_weights(name: str) -> None:
    """On the device `meta` nothing is computed, but tensors of another device are refused as on a GPU."""
    rnn = Recurrent(zoo.load(name), D, H, 2, bidirectional=True, dropout=0.5).to("meta")
    x = torch.randn(T, B, D, device="meta", requires_grad=True)
    output, states = rnn(x)
    assert output.device.type == "meta" and output.shape == (T, B, 2 * H)
    packed = pack_padded_sequence(torch.randn(T, B, D), [2, 4], enforce_sorted=False).to("meta")
    output, states = rnn(packed, states)
    output.data.sum().backward()
    assert states[0].device.type == "meta"
    assert all(p.grad is not None and p.grad.device.type == "meta" for p in rnn.parameters())
