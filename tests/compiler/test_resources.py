"""Registers of the kernels, as compiled for a GPU that need not be there: none is spilled."""

from pathlib import Path

import pytest
import torch
from no_device import launched

from cellsearch.compiler.engines.triton import ahead, loop
from cellsearch.compiler.engines.triton.resources import Resources, resources
from cellsearch.compiler.plan.schedule import plan
from cellsearch.compiler.run import layer
from cellsearch.compiler.run.layout import layout
from cellsearch.dsl import zoo

triton = pytest.importorskip("triton", reason="triton is not installed here")
FEW = ("lstm", "layernorm_lstm")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))


@pytest.mark.long
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.soak] * (n not in FEW)) for n in zoo.names()]
)
def test_no_stage_spills(name: str) -> None:
    with ahead.compiling_for(90):
        found = [resources(made) for made in ahead.stages(plan(zoo.load(name)), frozenset(), "float32", [64])]
    assert found and all(0 < r.registers <= 255 and r.spilled == 0 for r in found), found


def test_a_spill_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(loop.OPTIONS, "maxnreg", 16)
    with ahead.compiling_for(90):
        found = [
            resources(made) for made in ahead.stages(plan(zoo.load("lstm")), frozenset(), "float32", [64])
        ]
    assert max(r.spilled for r in found) > 0 and max(r.registers for r in found) <= 24


def both_ways(name: str, hidden: int) -> None:
    """A layer forward and backward with the engine `whole`."""
    lay = layout(plan(zoo.load(name)), hidden, hidden)
    row, x = torch.rand(2, lay.size), torch.rand(2, 3, 2, hidden)
    states = [torch.zeros(2, 2, hidden) for _ in lay.plan.cell.states]
    outputs, tape = layer.forward(lay, row, x, states, engine="whole")
    layer.backward(lay, row, tape, torch.ones_like(outputs), torch.zeros_like(row), engine="whole")


@pytest.mark.long
def test_a_whole_loop_runs_with_the_warps_that_spill_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    device, asked = launched(monkeypatch), []

    def spilled(made: object) -> Resources:
        asked.append((made.metadata.name, made.metadata.num_warps))  # type: ignore[attr-defined]
        return Resources(255, 8 if asked[-1] == ("f_loop", 8) or asked[-1][0] == "b_loop" else 0, 0)

    monkeypatch.setattr(loop, "resources", spilled)
    caught = zoo.load("rnn")
    plan(caught).kept.clear()
    both_ways("rnn", 16)
    assert asked == [("f_loop", 8), ("f_loop", 16), ("b_loop", 8), ("b_loop", 16)]
    started = [name for name in device.started if name != "launch"]
    assert started[0] == "f_loop" and "b_loop" not in started and "backward_inner" in started
    both_ways("rnn", 16)
    assert len(asked) == 4  # it is known by now
    plan(caught).kept.clear()


@pytest.mark.soak
@pytest.mark.parametrize("name", ["lstm", "gru", "mut1", "slstm", "layernorm_lstm"])
@pytest.mark.parametrize("hidden", [16, 32, 64])
def test_whole_loops_spill_nothing(name: str, hidden: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is started; where all of them would spill, the loop runs step by step."""
    device, found, seen = launched(monkeypatch), {}, loop.resources

    def noted(made: object) -> Resources:
        r = seen(made)
        found[made.metadata.name, made.metadata.num_warps] = r  # type: ignore[attr-defined]
        return r

    monkeypatch.setattr(loop, "resources", noted)
    plan(zoo.load(name)).kept.clear()
    both_ways(name, hidden)
    plan(zoo.load(name)).kept.clear()
    print(name, hidden, found)
    for kernel in ("f_loop", "b_loop"):
        clean = any(r.spilled == 0 for (of, _), r in found.items() if of == kernel)
        assert (kernel in device.started) == clean
