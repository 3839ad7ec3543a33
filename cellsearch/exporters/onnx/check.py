"""Check an ONNX model against its module before the file is written.

Runs the reference evaluator of the package onnx in float64: an independent interpretation of the graph.
"""

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cellsearch.compiler.torch.recurrent import Recurrent
from cellsearch.errors import not_written
from cellsearch.exporters.header import Provenance
from cellsearch.exporters.onnx.graph import package
from cellsearch.exporters.onnx.model import model

TOLERANCE = 1e-10  # relative to the largest value of a tensor, if that exceeds 1
COARSE = {"Erf": 1e-5}  # operators that the reference evaluator computes in float32
_STEPS, _BATCH = 4, 3


def feed(module: Recurrent, x: Tensor, states: Any) -> dict[str, np.ndarray]:
    """The model's inputs for a call of the module."""
    return {"input": x.detach().numpy()} | _named(module, states)


def results(module: Recurrent, output: Tensor, states: Any) -> dict[str, np.ndarray]:
    """The model's outputs for a call of the module."""
    last = {f"last_{name}": value for name, value in _named(module, states).items()}
    return {"output": output.detach().numpy()} | last


def _named(module: Recurrent, states: Any) -> dict[str, np.ndarray]:
    """The states of a call by the names of the model's inputs."""
    names = [s.name for s in module.cells[0].states]
    values = [states] if isinstance(states, Tensor) else list(states)
    found = {f"state_{name}": v.detach().numpy() for name, v in zip(names, values, strict=False)}
    for extra in values[len(names) :]:
        if isinstance(extra, Tensor):
            found["steps"] = extra.numpy()
        else:
            found |= {f"earlier_{k}": v.detach().numpy() for k, v in enumerate(extra)}
    return found


def checked(module: Recurrent, provenance: Provenance | None = None) -> bytes:
    """The model of a module as bytes, after the check."""
    check(module)
    data: bytes = model(module, provenance=provenance).SerializeToString()
    return data


def check(module: Recurrent) -> None:
    """Compares the model with its module in two consecutive calls: from given states, and from the returned
    ones. Raises ExportError if they differ."""
    exact = copy.deepcopy(module).double().cpu().eval()
    made = model(exact, torch.float64)
    evaluator = package().reference.ReferenceEvaluator(made)
    tolerance = max([TOLERANCE, *(COARSE[kind] for kind in _operators(made.graph) & COARSE.keys())])
    generator = torch.Generator().manual_seed(0)
    shape = (_BATCH, _STEPS) if module.batch_first else (_STEPS, _BATCH)
    states: Any = None
    with torch.no_grad(), np.errstate(all="ignore"):
        for _ in range(2):
            x = torch.rand((*shape, module.input_size), generator=generator, dtype=torch.float64) - 0.5
            if states is None:
                states = exact(x)[1]
            given = feed(exact, x, states)
            output, states = exact(x, states)
            wanted = results(exact, output, states)
            found = dict(zip(evaluator.output_names, evaluator.run(None, given), strict=True))
            for name, value in wanted.items():
                if not _near(found[name], value, tolerance):
                    what = f"the ONNX model of {module.cells[0].name}"
                    raise not_written(what, f"its {name} differs from that of the compiled cell")


def _operators(graph: Any) -> set[str]:
    """The operators of a graph and of the bodies of its loops."""
    bodies = (a.g for node in graph.node for a in node.attribute if a.HasField("g"))
    return {node.op_type for node in graph.node}.union(*map(_operators, bodies))


def _near(value: np.ndarray, wanted: np.ndarray, tolerance: float) -> bool:
    if value.shape != wanted.shape:
        return False
    finite = np.isfinite(wanted)
    scale = max(1.0, float(np.abs(wanted[finite]).max(initial=0)))
    return bool(np.all(np.abs(value - wanted)[finite] <= tolerance * scale))
