"""A `Recurrent` as an ONNX model.

    input          [T, B, D], or [B, T, D] with batch_first
    state_h, …     each state of the cell, [layers * directions, B, H]
    earlier_0, …   what before(...) looks back at, layer after layer: [B, H] or, of x, [steps, B, D]
    steps          [B], int64: the number of steps seen, for a cell with a clock

and out of it `output`, and for each other input X the `last_X` that the next call takes: `last_state_h`. T
and B are free. Matrices stand as they are used; dropout, which only training has, is left out.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from cellsearch.compiler.run.stack import first
from cellsearch.compiler.torch.recurrent import Recurrent
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.text import show
from cellsearch.exporters.header import Provenance
from cellsearch.exporters.onnx.graph import IR, OPSET, Graph, package
from cellsearch.exporters.onnx.layer import Given, Writer
from cellsearch.version import version

if TYPE_CHECKING:
    import onnx


def model(
    module: Recurrent, dtype: torch.dtype = torch.float32, provenance: Provenance | None = None
) -> "onnx.ModelProto":
    """The model with the module's weights, in their type of numbers (`dtype` where it has none), and facts in
    its metadata. ExportError where the package onnx is missing."""
    helper = package().helper
    weights = {name: value.detach() for name, value in module.state_dict().items()}
    like = next(iter(weights.values()), torch.zeros(1, dtype=dtype))
    graph = Graph(np.dtype(str(like.dtype).removeprefix("torch.")))
    kind = helper.np_dtype_to_tensor_dtype(graph.dtype)
    cells, directions = module.cells, 1 + module.bidirectional
    depth, hidden = len(cells) * directions, module.hidden_size
    names = [s.name for s in cells[0].states]
    clocked = any(cell.clock for cell in cells)
    axes = ("B", "T") if module.batch_first else ("T", "B")
    value = helper.make_tensor_value_info
    ins = [value(graph.fresh("input"), kind, (*axes, module.input_size))]
    outs = [value(graph.fresh("output"), kind, (*axes, hidden * directions))]
    for name in names:
        ins.append(value(graph.fresh(f"state_{name}"), kind, (depth, "B", hidden)))
        outs.append(value(graph.fresh(f"last_state_{name}"), kind, (depth, "B", hidden)))
    if clocked:
        ins.append(value(graph.fresh("steps"), package().TensorProto.INT64, ("B",)))
        outs.append(value(graph.fresh("last_steps"), package().TensorProto.INT64, ("B",)))

    x = graph.op("Transpose", "input", perm=(1, 0, 2)) if module.batch_first else "input"
    steps = "steps" if clocked else ""
    below: list[dict[str, str]] = [{}, {}]
    last: list[list[str]] = []
    looked = 0
    for k, level in enumerate(module._derived.levels):
        if level.projects:
            matrix = weights[f"layers.{k}.project.weight"].cpu().numpy().T
            x = graph.op("MatMul", x, graph.constant(matrix, f"layers.{k}.project"))
        outputs = []
        for d in range(directions):
            stem = f"layers.{k}" + ".reverse" * d
            states = [graph.op("Gather", f"state_{name}", graph.index(len(last))) for name in names]
            for start in first(level.lay, 1, 1, like)[len(names) :]:
                shape = [*start.shape[1:-2], "B", start.shape[-1]]
                states.append(graph.fresh(f"earlier_{looked}"))
                looked += 1
                ins.append(value(states[-1], kind, shape))
                outs.append(value(graph.fresh(f"last_{states[-1]}"), kind, shape))
            own = own_weights(weights, stem)
            given = Given(_turned(graph, x) if d else x, states, steps, below[d])
            made = Writer(graph, level.lay, own, given, stem).layer(level.read_above)
            for name, state in zip(states[len(names) :], made.last[len(names) :], strict=True):
                graph.op("Identity", state, outputs=[f"last_{name}"])
            below[d] = made.new
            last.append(made.last[: len(names)])
            outputs.append(_turned(graph, made.output) if d else made.output)
        x = outputs[0] if directions == 1 else graph.op("Concat", *outputs, axis=-1)
    if module.batch_first:
        graph.op("Transpose", x, outputs=["output"], perm=(1, 0, 2))
    else:
        graph.op("Identity", x, outputs=["output"])
    for k, name in enumerate(names):
        rows = [graph.op("Unsqueeze", states[k], graph.int64(0)) for states in last]
        graph.op("Concat", *rows, outputs=[f"last_state_{name}"], axis=0)
    if clocked:
        graph.op("Add", "steps", graph.length(x), outputs=["last_steps"])

    constants = [package().numpy_helper.from_array(array, name) for name, array in graph.constants.items()]
    made_graph = helper.make_graph(graph.nodes, cells[0].name, ins, outs, constants)
    found = helper.make_model(
        made_graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR,
        producer_name="cellsearch",
        producer_version=version(),
        doc_string="\n".join(dict.fromkeys(show(cell) for cell in cells)),
    )
    facts = {"fingerprint": fingerprint(cells[0]), **(provenance or {})}
    helper.set_model_props(found, {str(key): str(value) for key, value in facts.items()})
    package().checker.check_model(found, full_check=True)
    return found


def own_weights(weights: dict[str, Tensor], stem: str) -> dict[str, Tensor]:
    """The weights of one direction of a layer, by the names of the language."""
    found = {name.removeprefix(f"{stem}."): w for name, w in weights.items() if name.startswith(f"{stem}.")}
    return {name: w for name, w in found.items() if not name.startswith("reverse.")}


def _turned(graph: Graph, sequence: str) -> str:
    """A sequence [T, B, ·] from its end."""
    start, end = graph.int64(-1), graph.int64(np.iinfo(np.int64).min)
    return graph.op("Slice", sequence, start, end, graph.int64(0), graph.int64(-1))
