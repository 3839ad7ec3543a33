"""Identities among the named cells: each becomes its neighbour where a weight or a gate is fixed."""

import pytest
import torch
from torch import Tensor
from zoo.plain import TOLERANCE, Now, Weights, differences, plain
from zoo.table_literature import slstm, sru
from zoo.table_lstm_variants import greff

from cellsearch.compiler.torch.recurrent import Recurrent
from cellsearch.dsl import zoo
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.text import parse
from cellsearch.dsl.weights import count

D, H, T, B = 4, 6, 9, 3


def run(cell: Cell, state: dict[str, Tensor]) -> Tensor:
    """The outputs of a layer with weights by name; those not given are zero."""
    rnn = Recurrent(cell, D, H, dtype=torch.float64)
    assert all(n in rnn.state_dict() for n in state if n in dict(rnn.named_parameters()))
    rnn.load_state_dict({n: state.get(n, torch.zeros_like(v)) for n, v in rnn.state_dict().items()})
    x = torch.randn(T, B, D, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return rnn(x)[0].detach()


def random_weights(cell: str) -> dict[str, Tensor]:
    torch.manual_seed(0)
    rnn = Recurrent(zoo.load(cell), D, H, dtype=torch.float64)
    return {n: torch.randn_like(v) for n, v in rnn.state_dict().items()}


def same(a: Tensor, b: Tensor) -> bool:
    return float((a - b).abs().max()) < TOLERANCE


def test_np_is_the_vanilla_with_zero_peepholes_and_is_the_lstm() -> None:
    weights = random_weights("greff_v")
    bare = {n: v for n, v in weights.items() if not n.endswith((".c", ".c_new"))}
    assert len(weights) - len(bare) == 3
    assert same(run(zoo.load("greff_v"), bare), run(zoo.load("greff_np"), bare))
    assert not same(run(zoo.load("greff_v"), weights), run(zoo.load("greff_np"), bare))
    assert fingerprint(zoo.load("greff_np")) == fingerprint(zoo.load("lstm"))


@pytest.mark.parametrize("variant, gate", [("nig", "i"), ("nfg", "f"), ("nog", "o")])
def test_a_gate_that_is_gone_is_a_gate_at_one(variant: str, gate: str) -> None:
    """sigmoid(40) is 1 in double precision, and the gate is then that of the vanilla."""
    weights = random_weights("greff_v")
    pinned = {n: torch.zeros_like(v) if n.startswith(f"layers.0.{gate}.") else v for n, v in weights.items()}
    pinned[f"layers.0.{gate}.bias"] = torch.full((H,), 40.0, dtype=torch.float64)
    left = {n: v for n, v in weights.items() if not n.startswith(f"layers.0.{gate}.")}
    assert same(run(zoo.load("greff_v"), pinned), run(zoo.load(f"greff_{variant}"), left))


def test_fgr_without_gate_recurrence_is_the_vanilla() -> None:
    weights = random_weights("greff_v")
    moved = {
        n.replace(f".{g}.", f".{g}_new."): v for g in "ifo" for n, v in weights.items() if f".0.{g}." in n
    }
    moved |= {n: v for n, v in weights.items() if ".z." in n}
    assert same(run(zoo.load("greff_fgr"), moved), run(zoo.load("greff_v"), weights))


def test_cifg_is_the_vanilla_whose_forget_gate_is_one_minus_its_input_gate() -> None:
    weights = random_weights("greff_v")
    coupled = {n: -weights[n.replace(".f.", ".i.")] if ".f." in n else v for n, v in weights.items()}
    left = {n: v for n, v in weights.items() if ".f." not in n}
    assert same(run(zoo.load("greff_v"), coupled), run(zoo.load("greff_cifg"), left))


def test_matrices_of_the_variants() -> None:
    """FGR has nine more matrices than the vanilla; coupled gates three quarters of the LSTM's parameters."""
    d, h = 7, 12
    assert count(zoo.load("greff_fgr"), d, h) == count(zoo.load("greff_v"), d, h) + 9 * h * h
    assert count(zoo.load("cifg"), d, h) * 4 == count(zoo.load("lstm"), d, h) * 3
    assert count(zoo.load("greff_np"), d, h) == count(zoo.load("greff_v"), d, h) - 3 * h
    vanilla = count(zoo.load("greff_v"), d, h)
    for gone in ("nig", "nfg", "nog", "cifg"):
        assert vanilla - count(zoo.load(f"greff_{gone}"), d, h) == d * h + h * h + 2 * h
    for kept in ("niaf", "noaf"):
        assert count(zoo.load(f"greff_{kept}"), d, h) == vanilla


def test_slstm_from_its_first_step() -> None:
    """m at -1e30 does at the first step what the code does where n is 0: the new m is the input gate's."""
    torch.manual_seed(1)
    rnn = Recurrent(zoo.load("slstm"), D, H, 2, dtype=torch.float64)
    x = torch.randn(T, B, D, dtype=torch.float64, requires_grad=True)
    weights = [dict(layer.named_parameters()) for layer in rnn.layers]
    zero = torch.zeros(B, H, dtype=torch.float64)
    ours, states = rnn(x)
    theirs, last = plain([slstm] * 2, weights, x, [[zero] * 4] * 2)
    assert same(ours.detach(), theirs.detach())
    for k, state in enumerate(states):
        assert same(state.detach(), torch.stack([layer[k] for layer in last]).detach())
    leaves = [x, *rnn.parameters()]
    for a, b in zip(
        torch.autograd.grad(ours.square().sum(), leaves),
        torch.autograd.grad(theirs.square().sum(), leaves),
        strict=True,
    ):
        assert same(a, b)


def test_slstm_stabilised_is_slstm_plain() -> None:
    """The stabiliser changes no value: h = o c / n with c and n by exp(i) and sigmoid(f) alone."""
    torch.manual_seed(2)
    rnn = Recurrent(zoo.load("slstm"), D, H, dtype=torch.float64)
    x = torch.randn(T, B, D, dtype=torch.float64)
    p = dict(rnn.layers[0].named_parameters())
    h = c = n = torch.zeros(B, H, dtype=torch.float64)
    outputs = []
    for value in x:
        i, f, z, o = (value @ p[f"{g}.x"] + h @ p[f"{g}.h"] + p[f"{g}.bias"] for g in "ifzo")
        i, f = torch.exp(i), torch.sigmoid(f)
        c, n = f * c + i * torch.tanh(z), f * n + i
        h = torch.sigmoid(o) * c / n
        outputs.append(h)
    assert same(rnn(x)[0].detach(), torch.stack(outputs).detach())


def test_qrnn_with_a_wider_window() -> None:
    """More steps are more `before`: a window of three, with the inputs before the start at zero."""
    cell = parse(zoo.text("qrnn").replace("before(x)]", "before(x), before(x, 2)]"))
    torch.manual_seed(4)
    rnn = Recurrent(cell, D, H, dtype=torch.float64)
    x = torch.randn(T, B, D, dtype=torch.float64)
    p = dict(rnn.layers[0].named_parameters())
    kernel = {g: torch.stack([p[f"{g}.before_x_2"], p[f"{g}.before_x"], p[f"{g}.x"]], -1) for g in "zfo"}
    padded = torch.cat([torch.zeros(2, B, D, dtype=torch.float64), x]).permute(1, 2, 0)  # [B, D, T + 2]
    z, f, o = (
        torch.nn.functional.conv1d(padded, kernel[g].transpose(0, 1), p[f"{g}.bias"]).permute(2, 0, 1)
        for g in "zfo"
    )
    c, outputs = torch.zeros(B, H, dtype=torch.float64), []
    for k in range(T):
        c = torch.sigmoid(f[k]) * c + (1 - torch.sigmoid(f[k])) * torch.tanh(z[k])
        outputs.append(torch.sigmoid(o[k]) * c)
    assert same(rnn(x)[0].detach(), torch.stack(outputs).detach())


def test_the_comparison_sees_a_peephole_at_the_wrong_cell_state() -> None:
    def wrong(p: Weights, now: Now, y: Tensor, c: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        _, (_, new) = greff("v")(p, now, y, c)
        o = torch.sigmoid(now.x @ p["o.x"] + y @ p["o.y"] + p["o.bias"] + p["o.c_new"] * c)
        return torch.tanh(new) * o, (torch.tanh(new) * o, new)

    found = differences(zoo.load("greff_v"), wrong)
    assert found["outputs"] > 1e-3
    assert found["gradient of layers.0.o.c_new"] > 1e-3


def test_the_comparison_refuses_weights_that_the_plain_version_never_reads() -> None:
    def deaf(p: Weights, now: Now, c: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        return sru({**p, "f.c": torch.zeros_like(p["f.c"])}, now, c)

    with pytest.raises(AssertionError, match=r"no gradient reaches .*f\.c"):
        differences(zoo.load("sru"), deaf)
