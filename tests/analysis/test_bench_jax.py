"""JAX as a contestant: any cell, by hand and by vmap, does the same work as everyone else."""

from dataclasses import replace

import pytest
import torch

from cellsearch.analysis.bench import contestants, jax
from cellsearch.analysis.bench.contestants import in_jax, ours
from cellsearch.analysis.bench.work import Sizes, make
from cellsearch.compiler.run.layer import choose_engine
from cellsearch.dsl import zoo
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.text import parse
from cellsearch.errors import RunError
from cellsearch.train import model

pytestmark = pytest.mark.long

SMALL = Sizes(population=2, steps=6, batch=3, hidden=6, layers=2, vocabulary=7)
needed = pytest.mark.skipif(not jax.installed(), reason="JAX is not installed")

#: What a layer reads from elsewhere; structures of matrices; learned vectors and scalars.
OWN = {
    "earlier": "cell earlier(x; h)\nn = tanh[x, before(x, 2), h, before(h, 3)]\nh' = n + 0.5 * before(n)",
    "structures": "cell structures(x; h, c)\nclock 1, 2\na = tanh[x@rank(2), h@slower, .c]\n"
    "b = sigmoid[x@toeplitz, h@skew, c@blocks(2), bias=none]\nc' = c + tick * (a * b - c)\n"
    "h' = c' * [bias=0.5] + [scalar=0.3] * norm(a)",
}


def _agree(cell: Cell, sizes: Sizes) -> None:
    work = make(cell, sizes, "cpu")
    losses = []
    for contestant in (ours(choose_engine("auto", work.rows)), *in_jax()):
        step = contestant.ready(work)
        losses.append(torch.stack([step() for _ in range(4)]))
    assert bool((losses[0][-1] < losses[0][0]).all())  # it learns
    for found in losses[1:]:
        assert torch.allclose(found, losses[0], rtol=1e-5), cell.name


@needed
@pytest.mark.parametrize("name", ["lstm", "gru_torch", "depth_gated_lstm", *OWN])
def test_jax_comes_to_the_same_losses(name: str) -> None:
    _agree(parse(OWN[name]) if name in OWN else zoo.load(name), SMALL)


@needed
def test_a_large_vocabulary_is_not_read_by_symbol() -> None:
    sizes = replace(SMALL, vocabulary=40, layers=1)
    work = make(zoo.load("mut1"), sizes, "cpu")
    assert not model.by_symbol(work.shape, work.window.inputs.numel(), work.rows)
    _agree(zoo.load("mut1"), sizes)


def test_without_jax_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contestants.jax, "installed", lambda: "")
    with pytest.raises(RunError, match=r"pip install .cellsearch\[bench\]"):
        in_jax()
