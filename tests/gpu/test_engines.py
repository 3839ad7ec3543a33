"""The engines on a GPU against `reference` on the CPU, in float64; and in float32 against each other."""

import copy

import pytest
import torch
from agreement import differences
from mutants import mutants

from cellsearch.compiler.engines.triton import toolchain
from cellsearch.compiler.run import layer
from cellsearch.compiler.torch.recurrent import Recurrent
from cellsearch.dsl import zoo
from cellsearch.dsl.nodes import Apply
from cellsearch.train import model, windows

needs_triton = pytest.mark.skipif(not toolchain.available("cuda"), reason="triton is not here")
ENGINES = ["eager", *(pytest.param(name, marks=needs_triton) for name in ("triton", "whole"))]
FEW = (
    "lstm",
    "gru",
    "mut1",
    "peephole_lstm",
    "clockwork",
    "layernorm_lstm",
    "on_lstm",
    "depth_gated_lstm",
    "qrnn",
)


def worst(found: dict[str, float]) -> tuple[float, str]:
    return max((value, name) for name, value in found.items())


def test_auto_takes_triton_where_it_is() -> None:
    expected = "triton" if toolchain.available("cuda") else "eager"
    assert layer.choose_engine("auto", torch.zeros(1, device="cuda")) == expected


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.soak] * (n not in FEW)) for n in zoo.names()]
)
def test_zoo_cells_agree_with_reference(name: str, engine: str) -> None:
    for hidden in (5, 32):
        found = differences(
            [zoo.load(name)] * 2, engine, members=3, steps=6, width=hidden, hidden=hidden, device="cuda"
        )
        assert worst(found)[0] < 1e-10, worst(found)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("count", [10, pytest.param(300, marks=pytest.mark.soak)])
def test_mutants_agree_with_reference(count: int, engine: str) -> None:
    for k, cell in enumerate(mutants(count)):
        found = differences([cell], engine, seed=k, steps=4, device="cuda")
        assert worst(found)[0] < 1e-10, f"mutant {k}: {worst(found)}\n{cell}"


@needs_triton
@pytest.mark.parametrize("engine", ["triton", "whole"])
@pytest.mark.parametrize("name", FEW)
def test_float32_is_near_float64(name: str, engine: str) -> None:
    """In float32 alone `whole` runs its loops on a GPU. Each operation rounds to 2^-24, and exponentials err by a few of these; over T steps and H terms a few
    hundred such errors add up at random. `norm` divides by a spread that can be small."""
    cell = zoo.load(name)
    shape = model.Shape(cell, 11, 2, 24)
    exact = model.first_rows(shape, [1.0, 0.7], [1, 2], torch.float64)
    tokens = torch.randint(11, (4, 35), generator=torch.Generator().manual_seed(0))
    found = {}
    for device, dtype, chosen in (("cpu", torch.float64, "eager"), ("cuda", torch.float32, engine)):
        rows = exact.to(device, dtype)
        window = windows.cut(tokens.to(device), tokens.roll(1, 1).to(device), 35)[0]
        gradient = torch.zeros_like(rows)
        score, _ = model.run(shape, rows, window, model.first_states(shape, 2, 4, rows), 0, gradient, chosen)
        found[device] = (score.loss.double().cpu(), gradient.double().cpu())
    room = 100 if any(isinstance(node, Apply) and node.op == "norm" for node in cell.nodes) else 1
    for ours, exactly in zip(found["cuda"], found["cpu"], strict=True):
        bound = room * 4 * 35 * 24**0.5 * 2**-24
        assert float((ours - exactly).abs().max()) < bound * float(exactly.abs().max())


@pytest.mark.parametrize("name", ["lstm", "clockwork", "qrnn"])
def test_recurrent_on_a_gpu_is_that_of_the_cpu(name: str) -> None:
    torch.manual_seed(0)
    ours = Recurrent(zoo.load(name), 5, 8, 2, dtype=torch.float64)
    theirs = copy.deepcopy(ours).cuda()
    x = torch.randn(6, 3, 5, dtype=torch.float64)
    found = []
    for rnn, given in ((ours, x), (theirs, x.cuda())):
        given.requires_grad_()
        output, _ = rnn(given)
        output.square().sum().backward()
        found.append([output, given.grad, *(p.grad for p in rnn.parameters())])
    for a, b in zip(*found, strict=True):
        assert a is not None and b is not None
        assert torch.allclose(a, b.cpu(), rtol=1e-10, atol=1e-12)
