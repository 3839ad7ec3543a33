"""ONNX models: another program's reading of the graph agrees with the compiled cell, at every step and from any
state."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cells import random_cell
from mutants import mutants

import cellsearch as cs
from cellsearch.compiler.torch.recurrent import Recurrent
from cellsearch.dsl import zoo
from cellsearch.dsl.formulas.form import Call
from cellsearch.dsl.graph import Cell, uses_raw_x
from cellsearch.dsl.nodes import lookback
from cellsearch.dsl.ops import OPS
from cellsearch.dsl.text import parse
from cellsearch.errors import ExportError
from cellsearch.exporters.onnx import formulas
from cellsearch.exporters.onnx.check import check, feed, results
from cellsearch.exporters.onnx.model import model

onnx = pytest.importorskip("onnx", reason="needs the package onnx")
EVERY_OP = "\n".join(
    ["cell every(x; h, c)", "a = tanh[x, h, .c]", "b = sigmoid[x]"]
    + [f"u_{n} = {n}({'0.7 + b' if op.domain[0] > 0 else 'a'})" for n, op in OPS.items() if not op.symbol and op.arity == 1]
    + ["c' = max(a, b) + min(a, 0.1) - a / (2 + b) - -a", "h' = tanh(" + " + ".join(
        f"u_{n}" for n, op in OPS.items() if not op.symbol and op.arity == 1) + " + c')"]
)  # fmt: skip
CELLS = {
    "lstm": "",
    "clockwork": "",
    "qrnn": "",
    "depth_gated_lstm": "",
    "layernorm_lstm": "",
    "low_rank_lstm": "",
    "on_lstm": "",
    "slstm": "",
    "mut1": "",
    "every op": EVERY_OP,
    "structures": "cell s(x; h)\nh' = tanh[x@rank(2), h@blocks(2), (h * 0.5)@skew, (1 + h)@eye(0.5)]\n",
    "looks back": "cell b(x; h, c)\nc' = before(h, 3) + [before(x, 2), before(c)]\nh' = tanh[c', x]\n",
    "numbers": "cell n(x; h)\nr = [bias=0.5] * [scalar=2]\nh' = softmax(0.5) + norm(r) + tanh[h, .(r * 2), (3 - r)]\n",
    "no weights": "cell w(x; h)\nh' = 0.5 * h + x\n",
    "no loop": "cell o(x; h)\nh' = tanh[x]\n",
    "nothing below": "cell p(x; h)\nh' = [x, h] * softsign(below(h)) + relu(below(h)) + softplus(below(h))\n",
    "names of other inputs": "cell m(x; steps, earlier_0)\nclock 1, 2\nearlier_0' = [before(x), steps]\n"
    "steps' = tick * tanh[x, earlier_0]\n",
    "no input": "cell i(x; h=1)\nh' = sin(h)\n",
}  # fmt: skip


def cell_of(name: str) -> Cell:
    return parse(CELLS[name]) if CELLS.get(name) else zoo.load(name)


def module(cell: Cell, **options: Any) -> Recurrent:
    torch.manual_seed(1)
    made = Recurrent(cell, 3, 6, **options)
    with torch.no_grad():  # biases that start at zero would hide that one is missing
        for p in made.parameters():
            p += 0.1 * torch.randn_like(p) * (p != 0 if p.dim() == 2 else 1)
    return made


@pytest.mark.parametrize("name", CELLS)
def test_the_reference_evaluator_agrees(name: str) -> None:
    check(module(cell_of(name)))
    check(module(cell_of(name), num_layers=2, bidirectional=True, batch_first=True))


@pytest.mark.soak
@pytest.mark.parametrize("name", zoo.names())
def test_the_reference_evaluator_agrees_on_the_zoo(name: str) -> None:
    check(module(zoo.load(name), num_layers=2, bidirectional=True))


@pytest.mark.long
def test_the_reference_evaluator_agrees_on_mutants_and_random_graphs() -> None:
    graphs = [random_cell(np.random.default_rng(seed)) for seed in range(60)]
    for cell in (*mutants(40), *(c for c in graphs if max(lookback(c.nodes)) <= 8)):
        check(module(cell))


def test_a_wrong_node_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(formulas._OPERATORS, "tanh", "Sigmoid")
    with pytest.raises(ExportError, match="its output differs"):
        check(module(zoo.load("lstm")))


@pytest.mark.parametrize("name", CELLS)
def test_onnx_runtime_runs_it_step_by_step_and_at_once(name: str) -> None:
    """With states fed back, one step at a time, on any number of sequences; and all steps in one call."""
    runtime = pytest.importorskip("onnxruntime", reason="needs the package onnxruntime")
    made = module(cell_of(name), num_layers=2)
    session = runtime.InferenceSession(model(made).SerializeToString())
    names = [value.name for value in session.get_outputs()]

    def call(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        known = {value.name for value in session.get_inputs()}  # it drops what nothing reads
        return dict(
            zip(names, session.run(None, {k: v for k, v in inputs.items() if k in known}), strict=True)
        )

    x = 0.5 * torch.randn(5, 4, 3)
    with torch.no_grad():
        begun = made(torch.randn(3, 4, 3))[1]
        output, last = made(x, begun)
    wanted = results(made, output, last)
    whole = call(feed(made, x, begun))
    for key, value in wanted.items():
        np.testing.assert_allclose(whole[key], value, rtol=1e-3, atol=1e-4, err_msg=key)
    inputs, outputs = feed(made, x, begun), []
    for t in range(len(x)):
        inputs["input"] = x[t : t + 1].numpy()
        found = call(inputs)
        outputs.append(found.pop("output"))
        inputs |= {name.removeprefix("last_"): value for name, value in found.items()}
    np.testing.assert_allclose(np.concatenate(outputs), wanted["output"], rtol=1e-3, atol=1e-4)


def test_steps_and_sequences_are_free_and_the_loop_is_one_node() -> None:
    """Written step by step, 50 steps of an LSTM were 859 nodes."""
    made = model(module(zoo.load("lstm")))
    assert [n.op_type for n in made.graph.node].count("Scan") == 1
    assert len(made.graph.node) < 20
    shape = made.graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in shape] == ["T", "B", 3]


@pytest.mark.parametrize("name", [name for name, op in OPS.items() if op.onnx])
def test_an_operator_of_onnx_is_the_formula(name: str) -> None:
    """Where ONNX has an operator for an op, both ways of writing it give the same numbers."""
    op = OPS[name]
    assert isinstance(op.value, Call)
    from onnx import TensorProto, helper
    from onnx.reference import ReferenceEvaluator

    from cellsearch.exporters.onnx.graph import OPSET, Graph

    values = np.linspace(-4, 4, 41)
    args = {"a": values, "b": values[::-1].copy()} if op.arity == 2 else {"a": values}
    found = []
    for direct in (True, False):
        graph = Graph(np.dtype("float64"))
        end = graph.op(op.onnx, *args) if direct else formulas.emit(graph, op.value, {k: k for k in args}, {})
        value = helper.make_tensor_value_info
        whole = helper.make_graph(
            graph.nodes, "op",
            [value(k, TensorProto.DOUBLE, [41]) for k in args], [value(end, TensorProto.DOUBLE, [41])],
            [onnx.numpy_helper.from_array(v, k) for k, v in graph.constants.items()],
        )  # fmt: skip
        found.append(
            ReferenceEvaluator(helper.make_model(whole, opset_imports=[helper.make_opsetid("", OPSET)])).run(
                None, args
            )[0]
        )
    np.testing.assert_allclose(*found, rtol=1e-12, atol=1e-15)


def test_export_writes_a_checked_model(tmp_path: Path) -> None:
    cell = zoo.load("gru")
    (path,) = cs.export(module(cell), tmp_path / "cell.onnx", provenance={"score": 0.5})
    loaded = onnx.load(path)
    onnx.checker.check_model(loaded, full_check=True)
    facts = {p.key: p.value for p in loaded.metadata_props}
    assert facts["score"] == "0.5" and len(facts["fingerprint"]) == 64
    assert parse(loaded.doc_string) == cell
    with pytest.raises(ExportError, match="an ONNX model has sizes and weights"):
        cs.export(cell, tmp_path / "other.onnx")


def test_a_cell_that_needs_its_own_width_is_projected() -> None:
    cell = zoo.load("mut1")
    assert uses_raw_x(cell)
    check(module(cell))
