"""Kernels compiled ahead: under the names that a launch looks for, in processes that may die."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from no_device import launched

from cellsearch.compiler import ahead
from cellsearch.compiler.engines.native import cache, toolchain
from cellsearch.compiler.plan.schedule import plan
from cellsearch.compiler.run import layer, stack
from cellsearch.compiler.run.layout import layout
from cellsearch.dsl import zoo
from cellsearch.dsl.text import show

needs_gcc = pytest.mark.skipif(toolchain.compiler() is None, reason="no C compiler here")


@pytest.fixture
def compilers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ahead.Compilers]:
    """One process, with caches of its own."""
    monkeypatch.setenv("CELLSEARCH_CACHE", str(tmp_path / "native"))
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "triton"))
    root = str(Path(ahead.__file__).parents[2])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]))
    made = ahead.Compilers("cpu", 1)
    yield made
    made.close()


def files(folder: Path) -> set[str]:
    """All that was compiled: machine code for a GPU, and libraries."""
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.suffix in (".cubin", ".so")}


@pytest.mark.long
@pytest.mark.parametrize(
    "name",
    [
        "depth_gated_lstm",
        *(pytest.param(n, marks=pytest.mark.soak) for n in ("lstm", "clockwork", "on_lstm", "qrnn")),
    ],
)
def test_a_launch_finds_what_was_compiled_ahead(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training step of two layers, whose launches go as far as a device would be needed."""
    pytest.importorskip("triton")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    cell, widths = zoo.load(name), (16, 6)
    request = ahead.Request(show(cell), widths, 2, "float32", 90)
    ahead.compile_request(request)
    before = files(tmp_path)
    assert before
    device = launched(monkeypatch)
    for hidden in widths:
        layers = stack.stack([cell] * 2, hidden, hidden)
        row = torch.rand(3, layers.size)
        x = torch.rand(3, 4, 2, hidden)
        states = stack.first_states(layers, 3, 2, row)
        outputs, _, tapes = stack.forward(layers, row, x, states, engine="triton")
        stack.backward(layers, row, tapes, torch.ones_like(outputs), torch.zeros_like(row), engine="triton")
    assert device.started.count("launch") > len(before)
    assert files(tmp_path) == before


@pytest.mark.long
@needs_gcc
def test_a_library_is_compiled_by_another_process(compilers: ahead.Compilers, tmp_path: Path) -> None:
    cells = [zoo.load("gru"), zoo.load("depth_gated_lstm")]
    compilers.prepare(cells, [4], layers=2)
    compilers.wait()
    before = files(tmp_path)
    assert len(before) == 4  # of the second cell two: its lower layers have a gradient from above; products
    cache.opened.cache_clear()
    try:
        lay = layout(plan(cells[0]), 4, 4)
        row, x = torch.rand(2, lay.size), torch.rand(2, 3, 2, 4)
        layer.forward(lay, row, x, [torch.zeros(2, 2, 4)], engine="native")
    finally:
        cache.opened.cache_clear()
    assert files(tmp_path) == before


@pytest.mark.long
def test_kernels_for_a_gpu_are_compiled_by_another_process(
    compilers: ahead.Compilers, tmp_path: Path
) -> None:
    pytest.importorskip("triton")
    compilers.capability = 90
    compilers.prepare([zoo.load("rnn")], [6])
    compilers.wait()
    assert len(files(tmp_path)) == 2


@pytest.mark.long
@needs_gcc
def test_a_process_that_dies_is_started_again(compilers: ahead.Compilers, tmp_path: Path) -> None:
    compilers.prepare([zoo.load("gru")], [4])
    compilers.wait()
    (process,) = compilers._running
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    compilers.prepare([zoo.load("lstm"), zoo.load("rnn")], [4])
    compilers.wait()  # the first of them met a dead process, and is lost
    (again,) = compilers._running
    assert again.pid != process.pid
    assert len(files(tmp_path)) == 3
    compilers.close()
    assert again.poll() is not None
    compilers.prepare([zoo.load("mut1")], [4])  # nothing happens any more
    compilers.wait()


def test_what_cannot_be_compiled_harms_nobody(
    compilers: ahead.Compilers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "STARTS", 1)
    monkeypatch.setattr(ahead.sys, "executable", "/nonexistent/python")
    compilers.prepare([zoo.load("gru")] * (2 * ahead.WAITING), [4])
    compilers.wait()


def test_states_that_are_read_from_above() -> None:
    cell = zoo.load("depth_gated_lstm")
    c = [s.name for s in cell.states].index("c")
    assert ahead.read_above(cell, 1) == [frozenset()]
    assert ahead.read_above(cell, 3) == [frozenset(), frozenset({c})]
    assert ahead.read_above(zoo.load("gru"), 3) == [frozenset()]
