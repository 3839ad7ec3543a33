"""The Triton engine, run by Triton's interpreter on a CPU; and its kernels compiled for a GPU that need not be
there. tests/gpu runs them on one."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from agreement import differences
from cells import random_cell
from covering import CELLS, load
from mutants import mutants

from cellsearch.compiler.engines.formula import function
from cellsearch.compiler.engines.triton import loop, output, source, toolchain, whole
from cellsearch.compiler.plan.kernels import Kernel, Let, Ref, Store
from cellsearch.compiler.plan.schedule import plan
from cellsearch.compiler.run import layer
from cellsearch.dsl import zoo
from cellsearch.dsl.formulas.form import INTRINSICS, Variable, formula
from cellsearch.dsl.nodes import Apply
from cellsearch.dsl.ops import TABLE, Kind, Op
from cellsearch.dsl.text import parse
from cellsearch.errors import RunError
from cellsearch.train import model, windows
from cellsearch.train import output as train_output

triton = pytest.importorskip("triton", reason="triton is not installed here")


def worst(found: dict[str, float]) -> tuple[float, str]:
    return max((value, name) for name, value in found.items())


@pytest.mark.long
@pytest.mark.parametrize("name", CELLS)
def test_zoo_cells_agree_with_reference(name: str) -> None:
    found = differences([load(name)], "triton", steps=2)
    assert worst(found)[0] < 1e-10, worst(found)


WHOLE = ("lstm", "gru", "mut1", "peephole_lstm", "clockwork", "depth_gated_lstm", "cornn", "slstm", "qrnn")


@pytest.mark.long
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.soak] * (n not in WHOLE)) for n in zoo.names()]
)
def test_the_whole_loop_as_one_kernel_agrees_with_reference(name: str) -> None:
    found = differences([zoo.load(name)] * 2, "whole", steps=3, start=2)
    assert worst(found)[0] < 1e-10, worst(found)


@pytest.mark.long
@pytest.mark.parametrize(("steps", "batch", "hidden"), [(1, 1, 1), (4, 17, 18)])
def test_the_whole_loop_at_every_size(steps: int, batch: int, hidden: int) -> None:
    """Also where there are more sequences than a tile has rows."""
    cells = [zoo.load("lstm")]
    found = differences(cells, "whole", steps=steps, batch=batch, hidden=hidden, width=hidden, members=3)
    assert worst(found)[0] < 1e-10, worst(found)


@pytest.mark.long
@pytest.mark.parametrize("count", [10, pytest.param(300, marks=pytest.mark.soak)])
def test_the_whole_loop_of_mutants_agrees_with_reference(count: int) -> None:
    for k, cell in enumerate(mutants(count)):
        found = differences([cell], "whole", seed=k, steps=2)
        assert worst(found)[0] < 1e-10, f"mutant {k}: {worst(found)}\n{cell}"


def test_matrices_that_a_program_cannot_hold_leave_the_loop_step_by_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(whole, "HELD", 0)
    found = differences([zoo.load("lstm")], "whole", steps=2)
    assert worst(found)[0] < 1e-10, worst(found)


@pytest.mark.long
@pytest.mark.parametrize("first", range(0, 30, 10))
def test_mutants_agree_with_reference(first: int) -> None:
    for k, cell in enumerate(mutants(30)[first : first + 10], first):
        found = differences([cell], "triton", seed=k, steps=2)
        assert worst(found)[0] < 1e-10, f"mutant {k}: {worst(found)}\n{cell}"


@pytest.mark.soak
@pytest.mark.parametrize("name", CELLS)
def test_stacks_of_zoo_cells_agree_with_reference(name: str) -> None:
    found = differences([load(name)] * 2, "triton", steps=7)
    assert worst(found)[0] < 1e-10, worst(found)


@pytest.mark.soak
def test_more_mutants_and_any_graph_agree_with_reference() -> None:
    """As in test_agreement: where a graph can divide by zero only the values are compared."""
    for k, cell in enumerate(mutants(300)):
        found = differences([cell], "triton", seed=k, steps=3)
        assert worst(found)[0] < 1e-10, f"mutant {k}: {worst(found)}\n{cell}"
    for seed in range(100):
        cell = random_cell(np.random.default_rng(seed), nodes=14, tame=True)
        found = differences([cell], "triton", seed=seed, steps=4)
        if {node.op for node in cell.nodes if isinstance(node, Apply)} & {"div", "log", "sqrt"}:
            found = {name: value for name, value in found.items() if " d " not in f" {name}"}
        assert worst(found)[0] < 1e-9, f"cell {seed}: {worst(found)}\n{cell}"


@pytest.mark.long
@pytest.mark.parametrize(
    ("batch", "hidden", "layers"),
    [(1, 1, 2), (3, 9, 1), pytest.param(5, 17, 2, marks=pytest.mark.soak)],
)
def test_every_size_agrees(batch: int, hidden: int, layers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles of 8 units and 4 rows, so that every size has edges."""
    monkeypatch.setattr(loop, "UNITS", 8)
    monkeypatch.setattr(loop, "TILE", 32)
    for name in ("depth_gated_lstm", "layernorm_lstm"):
        cells = [zoo.load(name)] * layers
        found = differences(cells, "triton", steps=2, batch=batch, hidden=hidden, width=hidden)
        assert worst(found)[0] < 1e-10, (name, worst(found))


@pytest.mark.parametrize("steps", [1, 5])
def test_a_clock_goes_on_and_looks_back_add_up(steps: int) -> None:
    clock = zoo.load("clockwork")
    text = "cell twice(x; h)\na = tanh[x, before(x), h]\nb = sigmoid[before(x), before(x, 3)]\nh' = a * b"
    for cell in (clock, parse(text)):
        found = differences([cell] * 2, "triton", steps=steps, start=3 if cell is clock else 0)
        assert worst(found)[0] < 1e-10, worst(found)


def run(text: str, dtype: str, *arguments: np.ndarray) -> np.ndarray:
    """A formula of the op table through the interpreter, over arrays a and b [1, 1, n, 1]."""
    refs = (Ref("dx"), Ref("dout"))[: len(arguments)]
    loads = tuple(zip("ab", refs, strict=False))
    each = Kernel(loads, (Let("y", formula(text)),), (Store(Ref("dpast", 1), Variable("y")),))
    made = source.stage(plan(zoo.load("rnn")), dtype, "each", [each], True)
    assert made is not None
    tensors = {
        r: torch.from_numpy(np.ascontiguousarray(x, dtype)) for r, x in zip(refs, arguments, strict=True)
    }
    y = tensors[Ref("dpast", 1)] = torch.empty_like(tensors[refs[0]])
    with np.errstate(all="ignore"):
        kernel = toolchain.functions(made.text, True)["each"]
        kernel[(1, 1)](
            *(tensors[r] for r in made.arrays), 1, 1, 1, 1, len(y), 1, R=1 << (len(y) - 1).bit_length(), W=1
        )
    return y.numpy()


@pytest.mark.parametrize("name", [i for i in INTRINSICS if i != "where"])
@pytest.mark.parametrize(("dtype", "ulps"), [("float32", 4), ("float64", 8)])
def test_intrinsics_are_exact_to_a_few_units_in_the_last_place(name: str, dtype: str, ulps: int) -> None:
    small = np.geomspace(1e-20, 1e-2, 200)
    a = np.concatenate([np.linspace(1e-3, 20, 400), small])
    if name not in ("log", "log1p", "sqrt"):
        a = np.concatenate([a, -a])
    a = a.astype(dtype).astype(np.longdouble)
    exact = {
        "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
        "abs": np.abs,
        "erf": np.vectorize(math.erf, otypes=[np.longdouble]),
    }.get(name) or getattr(np, name)
    wanted = exact(a)
    apart = np.abs(run(f"{name}(a)", dtype, a.astype(dtype)) - wanted)
    assert np.all(apart <= ulps * np.spacing(np.abs(wanted).astype(dtype)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_edges_of_the_intrinsics(dtype: str) -> None:
    edges = np.array([-np.inf, -1e30, -200.0, -0.0, 0.0, 200.0, 1e30, np.inf, np.nan]).astype(dtype)
    with np.errstate(all="ignore"):
        for name in ("exp", "sigmoid", "tanh", "log1p", "expm1", "sqrt", "log", "abs"):
            exact = 1 / (1 + np.exp(-edges)) if name == "sigmoid" else getattr(np, name)(edges)
            assert np.allclose(run(f"{name}(a)", dtype, edges), exact, atol=1e-37, equal_nan=True), name


@pytest.mark.parametrize("op", [op for op in TABLE if op.kind is not Kind.UNITS], ids=lambda op: op.name)
def test_every_op_is_the_same_in_triton_and_in_torch(op: Op) -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.uniform(*op.domain, 100) for _ in range(2))
    a[:10] = b[:10]  # ties
    a[10:14], b[14:18] = math.nan, math.nan
    names, values = ("a", "b")[: op.arity], (a, b)[: op.arity]
    theirs = function(op.value, names)(*map(torch.from_numpy, values)).numpy()
    assert np.allclose(run(op.forward, "float64", *values), theirs, rtol=1e-13, atol=1e-15, equal_nan=True)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("positions", "vocabulary"), [(5, 7), (3, 1), (0, 4)])
def test_softmax_and_its_gradient(
    positions: int, vocabulary: int, masked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows beyond a tile, units beyond the vocabulary, ties, and positions that do not count."""
    monkeypatch.setattr(output, "TILE", 32)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, positions, vocabulary, generator=generator, dtype=torch.float64)
    logits[0, :1] = 0.5  # a tie: the first one is the guess
    targets = torch.randint(vocabulary, (positions,), generator=generator)
    targets[:1] = 0
    scored = torch.arange(positions) % 3 != 1 if masked else None
    leaf = logits.clone().requires_grad_()
    wanted = torch.nn.functional.cross_entropy(leaf.flatten(0, 1), targets.repeat(3), reduction="none").view(
        3, -1
    )
    right = logits.argmax(-1) == targets
    if scored is not None:
        wanted, right = wanted * scored, right & scored
    (wanted.sum() / 4).backward()
    for back in (False, True):
        found = logits.clone()
        losses, hits = output.softmax(found, targets, scored, 4, back)
        assert torch.allclose(losses, wanted, rtol=1e-13, atol=1e-14)
        assert torch.equal(hits.bool(), right)
        assert leaf.grad is not None
        assert (
            torch.allclose(found, leaf.grad, rtol=1e-13, atol=1e-15) if back else torch.equal(found, logits)
        )


def test_a_nan_stays_in_its_row_of_the_softmax() -> None:
    logits = torch.zeros(2, 1, 3)
    logits[0, 0, 1] = math.nan
    losses, _ = output.softmax(logits, torch.tensor([0]), None, 1, True)
    assert losses.isnan().tolist() == [[True], [False]]
    assert logits.isnan().any(-1).tolist() == [[True], [False]]


@pytest.mark.long
def test_a_whole_model_in_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also its softmax, with either engine."""
    asked = []
    plain = train_output.triton_softmax
    monkeypatch.setattr(train_output, "triton_softmax", lambda *given: asked.append(given) or plain(*given))
    shape = model.Shape(zoo.load("gru"), 7, 1, 4)
    rows = model.first_rows(shape, [1.0, 0.7], [1, 2], torch.float64)
    tokens = torch.randint(7, (2, 3), generator=torch.Generator().manual_seed(0))
    targets = tokens.roll(1, 1)
    targets[0, 1] = -1
    window = windows.cut(tokens, targets, 3)[0]
    found = {}
    for engine in ("eager", "triton", "whole"):
        gradient = torch.zeros_like(rows)
        score, _ = model.run(shape, rows, window, model.first_states(shape, 2, 2, rows), 0, gradient, engine)
        found[engine] = (score.loss, score.right, gradient)
    assert len(asked) == 2
    for engine in ("triton", "whole"):
        for ours, theirs in zip(found[engine], found["eager"], strict=True):
            assert torch.allclose(ours, theirs, rtol=1e-12, atol=1e-14)


def test_numbers_are_exact_in_either_dtype() -> None:
    """0.1 in float64 is no 0.1 in float32; and what is known beforehand is no part of a kernel."""
    cell = parse("cell n(x; h)\ndt = 0.1\na = exp(dt) + max(0.3, dt)\nh' = a * h + dt * tanh[x]\n")
    found = differences([cell], "triton", steps=2)
    assert worst(found)[0] < 1e-15, worst(found)
    text = "".join(f.text for f in source.source(plan(cell), frozenset(), "float64").functions)
    assert "tl.exp(0.1)" not in text and repr(math.exp(0.1) + 0.3) in text


def test_no_name_of_a_user_enters_the_text() -> None:
    ours = parse("cell a(x; h, c)\ni = sigmoid[x, h]\nc' = i * c\nh' = tanh(c') + i\n")
    theirs = parse(
        "cell evil(u; exec, os)\nsystem = sigmoid[u, exec]\nos' = system * os\nexec' = tanh(os') + system\n"
    )
    texts = {
        tuple(f.text for f in source.source(plan(cell), frozenset(), "float32").functions)
        for cell in (ours, theirs)
    }
    assert len(texts) == 1
    assert not re.search(r"evil|exec|os'|system", "".join(*texts))


def test_equal_stages_of_different_cells_are_one_kernel() -> None:
    """A GRU, and one whose tape has other slots for a state beside it."""
    ours = zoo.load("gru")
    theirs = parse(
        "cell more(x; h, c)\nz = sigmoid[x, h, c]\nr = sigmoid[x, h, c]\nrh = r * h\nn = tanh[x, rh]\n"
        "h' = z * h + (1 - z) * n\nc' = tanh[x, h']\n"
    )
    assert plan(ours).slots != plan(theirs).slots
    a, b = (source.source(plan(cell), frozenset(), "float32").functions for cell in (ours, theirs))
    text = next(f.text for f in a if f.name == "forward_inner")
    (other,) = (f for f in b if f.text == text)
    assert toolchain.functions(text, True) is toolchain.functions(other.text, True)


@pytest.mark.parametrize(("name", "stages"), [("lstm", 1), ("peephole_lstm", 1), ("gru", 2)])
def test_a_stage_is_one_kernel_forward_and_one_backward(name: str, stages: int) -> None:
    """The LSTM has one depth of products in its loop; the GRU's second one waits for r * h."""
    found = source.source(plan(zoo.load(name)), frozenset(), "float32")
    for group in (found.forward_inner, found.backward_inner):
        assert sum(f is not None for f in group) == stages


def compiled(cell: str, dtype: str, aligned: bool) -> list[dict[str, str]]:
    """What Triton makes of the kernels of a cell for compute capability 9.0: by kernel, by kind of text."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    number = {"float32": "fp32", "float64": "fp64"}[dtype]
    found = []
    for f in source.source(plan(zoo.load(cell)), frozenset(), dtype).functions:
        kernel = toolchain.functions(f.text, False)[f.name]
        names = list(kernel.signature.parameters)
        kinds = {"a": f"*{number}", "R": "constexpr", "W": "constexpr"}
        signature = {n: kinds.get(n.rstrip("0123456789"), "i32") for n in names}
        special = [i for i, n in enumerate(names) if n not in f.unspecialized and n not in "RW"]
        attributes = {(i,): [["tt.divisibility", 16]] for i in special if aligned}
        made = ASTSource(kernel, signature, {"R": 16, "W": 32}, attributes)
        target = GPUTarget("cuda", 90, 32)
        found.append(triton.compile(made, target=target, options={"enable_fp_fusion": True}).asm)
    return found


@pytest.mark.long
@pytest.mark.parametrize(
    "cell", [pytest.param(n, marks=[pytest.mark.soak] * (n != "lstm")) for n in zoo.names()]
)
def test_kernels_compile_for_a_gpu(cell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For both dtypes down to machine code. Where H is a multiple of 16 the tape is read and written 16 bytes
    at a time."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    for dtype, aligned in (("float32", True), ("float64", False)):
        for texts in compiled(cell, dtype, aligned):
            assert texts["cubin"]
            if aligned and cell == "lstm":  # its outer stages have no pointwise work
                assert "st.global.v4" in texts["ptx"] and not re.search(r"st\.global\.b32", texts["ptx"])


@pytest.mark.soak
@pytest.mark.parametrize("name", ["lstm", "mi_lstm", "layernorm_lstm", "on_lstm", "lem", "peephole_lstm"])
def test_the_whole_loop_fits_on_a_chip(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the largest width at which a program holds the matrices."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    code = whole.loops(plan(zoo.load(name)), frozenset(), "float32")
    for made in (code.forward, code.backward):
        width = next(w for w in (128, 64, 32, 16) if made.fits(w))
        kernel = toolchain.functions(code.text, False)[made.name]
        constants = {"T": 35, "R": 16, "W": width, "EXACT": toolchain.precision()}
        kinds = {"a": "*fp32", "s": "i64"}
        names = list(kernel.signature.parameters)
        signature = {n: "constexpr" if n in constants else kinds.get(n[0], "i32") for n in names}
        options = {"enable_fp_fusion": True, "num_warps": 8}
        wanted = ASTSource(kernel, signature, constants, {})
        found = triton.compile(wanted, target=GPUTarget("cuda", 90, 32), options=options)
        assert found.metadata.shared <= 227 * 1024


def test_what_triton_cannot_do_is_one_clear_error() -> None:
    from triton.errors import TritonError

    with pytest.raises(RunError, match="Triton could not make or start a kernel: out of resource"):
        with toolchain.on(torch.device("cpu")):
            raise TritonError("out of resource\nand more")


def test_for_a_gpu_triton_needs_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", "")
    toolchain.available.cache_clear()
    try:
        assert toolchain.available("cpu")
        assert not toolchain.available("cuda")
    finally:
        toolchain.available.cache_clear()


def test_the_engine_is_chosen_by_device_and_refused_where_it_cannot_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class On:  # what is asked of a tensor on a GPU
        device = torch.device("cuda")
        dtype = torch.float32

    like, on_gpu = torch.zeros(1), On()
    assert layer.choose_engine("triton", like) == "triton"
    assert layer.choose_engine("auto", like) != "triton"  # the interpreter is for tests
    assert layer.choose_engine("auto", on_gpu) == "triton"  # type: ignore[arg-type]
    with pytest.raises(RunError, match="float32 or float64"):
        layer.choose_engine("triton", like.to(torch.bfloat16))
    monkeypatch.setattr(layer, "triton_runs", lambda kind: False)
    assert layer.choose_engine("auto", on_gpu) == "eager"  # type: ignore[arg-type]
    with pytest.raises(RunError, match="needs the package triton"):
        layer.choose_engine("triton", like)
