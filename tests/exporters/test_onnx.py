"""One step of an exported module in ONNX Runtime, its states fed back: they are inputs of their own, whatever the
module gave out in the recorded call."""

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils import _pytree as tree

from cellsearch.dsl.graph import Cell
from tests.exporters.constructs import CONSTRUCTS

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

#: By default, one for each form of the tuple of states.
FEW = ("scalar", "before 3", "before in a clock")


@pytest.mark.long
@pytest.mark.parametrize(
    "construct", [c if c in FEW else pytest.param(c, marks=pytest.mark.soak) for c in CONSTRUCTS]
)
def test_steps_agree_with_states_fed_back(
    construct: str, tmp_path: Path, made: Callable[[Cell], type[nn.Module]]
) -> None:
    torch.manual_seed(0)
    module = made(CONSTRUCTS[construct])(3, 6, 2).eval()
    states = module(torch.rand(1, 2, 3))[1]
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        path = tmp_path / "step.onnx"
        torch.onnx.export(module, (torch.rand(1, 2, 3), states), path, dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(path)
    names = [given.name for given in session.get_inputs()]
    fed = states
    for _ in range(3):
        x = torch.rand(1, 2, 3)
        values = [v.numpy(force=True) for v in (x, *tree.tree_leaves(fed))]
        # An input that no output depends on is left out of a graph.
        assert len(names) == len(values)
        output, *last = session.run(None, dict(zip(names, values, strict=True)))
        wanted, states = module(x, states)
        given = [torch.from_numpy(v) for v in (output, *last)]
        torch.testing.assert_close(given, [wanted, *tree.tree_leaves(states)], rtol=1e-4, atol=1e-5)
        fed = tree.tree_unflatten(given[1:], tree.tree_structure(states))
