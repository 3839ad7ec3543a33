"""The identities of the literature: one cell becomes another where its gates or weights are fixed."""

import torch
from torch import Tensor

from cellsearch.compiler.torch.recurrent import Recurrent
from cellsearch.dsl import zoo
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.text import parse

D, H, T, B = 4, 6, 9, 3


def module(cell: str | Cell) -> Recurrent:
    torch.manual_seed(1)
    return Recurrent(zoo.load(cell) if isinstance(cell, str) else cell, D, H, 2, dtype=torch.float64)


def output(rnn: Recurrent) -> Tensor:
    return rnn(torch.randn(T, B, D, generator=torch.Generator().manual_seed(2), dtype=torch.float64))[0]


def copy_shared(to: Recurrent, source: Recurrent) -> None:
    """Weights of equal names are taken over."""
    state = source.state_dict()
    to.load_state_dict({name: state.get(name, value) for name, value in to.state_dict().items()})


def same(a: Tensor, b: Tensor) -> bool:
    return float((a - b).detach().abs().max()) < 1e-10


def test_gru_with_reset_1_and_update_0_is_the_plain_rnn() -> None:
    """Gates pinned by their biases: sigmoid(40) is 1 and sigmoid(-40) is 0 to 1e-17."""
    gru, rnn = module("gru"), module("rnn")
    ours, plain = gru.state_dict(), rnn.state_dict()
    candidate = next(n for n in ours if n.startswith("layers.0.n.") and n.endswith(".x")).removesuffix(".x")
    for layer in ("layers.0", "layers.1"):
        for gate, pinned in (("r", 40.0), ("z", -40.0)):
            ours[f"{layer}.{gate}.x"].zero_()
            ours[f"{layer}.{gate}.h"].zero_()
            ours[f"{layer}.{gate}.bias"].fill_(pinned)
        bracket = next(n for n in plain if n.startswith(layer)).rsplit(".", 1)[0]
        hidden = next(n for n in ours if n.startswith(f"{layer}.n.") and not n.endswith((".x", ".bias")))
        plain[f"{bracket}.x"].copy_(ours[f"{layer}.{candidate.rsplit('.', 1)[1]}.x"])
        plain[f"{bracket}.h"].copy_(ours[hidden])
        plain[f"{bracket}.bias"].copy_(ours[f"{layer}.n.bias"])
    assert same(output(gru), output(rnn))


def test_gru_text_with_the_gates_replaced_is_the_plain_rnn() -> None:
    limit = parse("cell limit(x; h)\nr = 1\nz = 0\nn = tanh[x, r * h]\nh' = z * h + (1 - z) * n")
    one, rnn = module(limit), module("rnn")
    theirs = list(rnn.state_dict().values())
    one.load_state_dict(dict(zip(one.state_dict(), theirs, strict=True)))
    assert same(output(one), output(rnn))


def test_peepholes_at_zero_give_the_lstm() -> None:
    for name in ("peephole_lstm", "peephole_input", "peephole_forget", "peephole_output"):
        peephole, plain = module(name), module("lstm_b")
        copy_shared(plain, peephole)
        assert not same(output(peephole), output(plain))
        for key, value in peephole.named_parameters():
            if key.rsplit(".", 1)[1] in ("c", "c_new"):
                value.data.zero_()
        assert same(output(peephole), output(plain)), name


def test_cifg_is_the_lstm_whose_input_gate_is_one_minus_its_forget_gate() -> None:
    """1 - sigmoid(a) = sigmoid(-a): an LSTM whose input gate has the negated weights of its forget gate."""
    coupled, plain = module("cifg"), module("lstm")
    copy_shared(plain, coupled)
    state = plain.state_dict()
    for layer in ("layers.0", "layers.1"):
        for term in ("x", "h", "bias"):
            state[f"{layer}.i.{term}"].copy_(-state[f"{layer}.f.{term}"])
    assert same(output(coupled), output(plain))


def test_lstm_with_open_forget_gate_and_shut_input_gate_keeps_its_cell() -> None:
    lstm = module("lstm")
    for layer in lstm.layers:
        for gate, pinned in (("f", 40.0), ("i", -40.0)):
            bracket = layer._modules[gate]
            bracket.x.data.zero_()
            bracket.h.data.zero_()
            bracket.bias.data.fill_(pinned)
    cell = torch.randn(2, B, H, dtype=torch.float64)
    _, (_, last) = lstm(torch.randn(T, B, D, dtype=torch.float64), (torch.zeros_like(cell), cell))
    assert same(last, cell)
