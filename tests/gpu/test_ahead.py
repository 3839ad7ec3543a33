"""Kernels compiled ahead for the GPU that is there: a first training step compiles nothing."""

import os
from pathlib import Path

import pytest
import torch

from cellsearch.compiler import ahead
from cellsearch.compiler.engines.triton import toolchain
from cellsearch.compiler.run import stack
from cellsearch.dsl import zoo


@pytest.mark.skipif(not toolchain.available("cuda"), reason="triton is not here")
@pytest.mark.parametrize("name", ["depth_gated_lstm", "layernorm_lstm"])
def test_a_first_step_compiles_nothing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    root = str(Path(ahead.__file__).parents[2])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]))
    cell, widths = zoo.load(name), (48, 13)
    compilers = ahead.Compilers("cuda", 2)
    compilers.prepare([cell], widths, layers=2)
    compilers.wait()
    compilers.close()
    before = set(tmp_path.rglob("*.cubin"))
    assert before
    for hidden in widths:
        layers = stack.stack([cell] * 2, hidden, hidden)
        row = torch.rand(3, layers.size, device="cuda")
        x = torch.rand(3, 4, 2, hidden, device="cuda")
        states = stack.first_states(layers, 3, 2, row)
        outputs, _, tapes = stack.forward(layers, row, x, states, engine="triton")
        stack.backward(layers, row, tapes, torch.ones_like(outputs), torch.zeros_like(row), engine="triton")
    torch.cuda.synchronize()
    assert set(tmp_path.rglob("*.cubin")) == before
