"""The C engine's own parts: intrinsics, compiler, cache."""

import ctypes
import gc
import math
from pathlib import Path

import caches
import numpy as np
import pytest
import torch
from agreement import differences

from cellsearch.compiler.engines.formula import function
from cellsearch.compiler.engines.native import loop, pointwise, source, toolchain
from cellsearch.compiler.plan.schedule import plan
from cellsearch.compiler.run import layer
from cellsearch.compiler.run.layout import layout
from cellsearch.compiler.run.stack import first
from cellsearch.compiler.torch.recurrent import Recurrent
from cellsearch.dsl import zoo
from cellsearch.dsl.formulas.form import INTRINSICS, formula
from cellsearch.dsl.ops import TABLE, Kind, Op
from cellsearch.dsl.text import parse
from cellsearch.errors import RunError

on_linux = pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads /proc")
needs_compiler = pytest.mark.skipif(toolchain.compiler() is None, reason="no C compiler here")


def run(text: str, dtype: str, *arguments: np.ndarray) -> np.ndarray:
    """A formula of the op table, compiled, over arrays a and b."""
    text = (
        '#include "pointwise.h"\nvoid each(long n, const real *p, const real *q, real *y) {\n'
        "    for (long i = 0; i < n; i++) { const real a = p[i], b = q[i]; "
        f"y[i] = {pointwise.expression(formula(text))}; }}\n}}\n"
    )
    arrays = [np.ascontiguousarray(x, dtype=dtype) for x in arguments]
    first, second = arrays[0], arrays[-1]
    y = np.empty_like(first)
    pointers = [ctypes.c_void_p(x.ctypes.data) for x in (first, second, y)]
    toolchain.library(text, dtype).each(ctypes.c_long(len(y)), *pointers)
    return y


@needs_compiler
@pytest.mark.parametrize("name", [i for i in INTRINSICS if i != "where"])
def test_intrinsics_are_exact_to_a_few_units_in_the_last_place(name: str) -> None:
    positive = name in ("log", "log1p", "sqrt")
    a = np.concatenate(
        [np.linspace(1e-3 if positive else -88.0, 88.0, 40_001), np.geomspace(1e-30, 1e-2, 2_000)]
    )
    a = a.astype(np.float32)
    exact = function(formula(f"{name}(a)"), ("a",))(torch.from_numpy(a.astype(np.float64))).numpy()
    with np.errstate(over="ignore"):
        ours, spacing = run(f"{name}(a)", "float32", a), np.spacing(np.abs(exact).astype(np.float32))
    assert np.all(np.abs(ours - exact) <= 4 * np.maximum(spacing, np.finfo(np.float32).tiny))


@needs_compiler
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_edges_of_exp_sigmoid_and_tanh(dtype: str) -> None:
    edges = np.array([-np.inf, -1e30, -200.0, -0.0, 0.0, 200.0, 1e30, np.inf, np.nan])
    with np.errstate(over="ignore"):
        wanted = {
            "exp": np.exp(edges).astype(dtype),
            "sigmoid": (1 / (1 + np.exp(-edges))).astype(dtype),
            "tanh": np.tanh(edges).astype(dtype),
        }
    for name, exact in wanted.items():
        with np.errstate(over="ignore"):
            ours = run(f"{name}(a)", dtype, edges)
        finite = np.isfinite(exact)
        assert np.array_equal(np.isnan(ours), np.isnan(exact)), name
        assert np.allclose(ours[finite], exact[finite], atol=1e-37), name
        assert np.array_equal(ours[~finite & ~np.isnan(exact)], exact[~finite & ~np.isnan(exact)]), name


@needs_compiler
@pytest.mark.parametrize("op", [op for op in TABLE if op.kind is not Kind.UNITS], ids=lambda op: op.name)
def test_every_op_is_the_same_in_c_and_in_torch(op: Op) -> None:
    """Ops over the units are compared within whole cells, in test_agreement."""
    rng = np.random.default_rng(0)
    a, b = (rng.uniform(*op.domain, 500) for _ in range(2))
    a[:50] = b[:50]  # ties
    a[50:54], b[54:58] = math.nan, math.nan
    names = ("a", "b")[: op.arity]
    theirs = function(op.value, names)(*(torch.from_numpy(x) for x in (a, b)[: op.arity])).numpy()
    ours = run(op.forward, "float64", a, b)
    assert np.allclose(ours, theirs, rtol=1e-13, atol=1e-15, equal_nan=True)


def test_without_a_compiler_auto_is_eager_and_native_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain, "compiler", lambda: None)
    like = torch.zeros(1)
    assert layer.choose_engine("auto", like) == "eager"
    with pytest.raises(RunError, match="C compiler"):
        layer.choose_engine("native", like)
    with pytest.raises(RunError, match="unknown engine"):
        layer.choose_engine("fast", like)
    with pytest.raises(RunError, match="no C compiler"):
        toolchain._load("int x;", ("-never",))


@needs_compiler
def test_a_kernel_that_does_not_compile_is_one_clear_error() -> None:
    with pytest.raises(RunError, match="could not compile"):
        toolchain.library("this is not C", "float32")


@pytest.mark.long
@needs_compiler
def test_a_compilation_is_bounded_in_cpu_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not on the clock: a machine with too many programs makes it wait, and a search must not end for that."""
    endless = tmp_path / "cc"
    endless.write_text('#!/bin/sh\n[ "$1" = --version ] && exec cc --version\nwhile :; do :; done\n')
    endless.chmod(0o755)
    monkeypatch.setattr(toolchain, "compiler", lambda: str(endless))
    monkeypatch.setattr(toolchain, "BOUNDED", (*toolchain.BOUNDED[:3], "1"))
    with pytest.raises(RunError, match="s of CPU time for a kernel"):
        toolchain.library("int endless;", "float32")


#: Products that read what has no value of its own for every step, sequence or unit.
ODD = (
    "cell a(x; h)\nclock 1, 2\nn = tanh[x, h, tick]\nh' = h + tick * (n - h)",
    "cell b(x; h)\ns = [scalar=0.5]\nn = tanh[x, h, s]\nh' = s * n + h",
    "cell c(x; h)\nv = [bias=0.5]\nn = tanh[h, v * x, v]\nh' = n + v",
    "cell d(x; h, c)\nc' = sigmoid[x, below(c), h]\nh' = c' * tanh[below(c)]",
    "cell e(x; h)\nn = tanh[before(x), h, .before(h)]\nh' = n * [x, before(x, 2)]",
)


@needs_compiler
@pytest.mark.parametrize("text", ODD, ids=lambda text: text[5])
@pytest.mark.parametrize(("steps", "batch"), [(1, 1), (5, 1), (1, 3), (6, 3)])
def test_what_has_fewer_axes_is_multiplied_too(text: str, steps: int, batch: int) -> None:
    found = differences([parse(text)] * 2, "native", steps=steps, batch=batch)
    assert max(found.values()) < 1e-10, found


@needs_compiler
@pytest.mark.parametrize("hidden", [1, 7, 15, 16, 17, 29, 32, 33, 47])
def test_strips_and_panels_of_any_width_in_float32(hidden: int) -> None:
    """The float32 code differs from that of the other tests: masks, and vectors of other lengths."""
    for name in ("peephole_lstm", "mut1", "layernorm_lstm"):
        lay = layout(plan(zoo.load(name)), hidden, hidden)
        generator = torch.Generator().manual_seed(hidden)
        row = torch.randn(3, lay.size, generator=generator, dtype=torch.float64) / hidden**0.5
        x = torch.randn(3, 6, 13, hidden, generator=generator, dtype=torch.float64)
        results = []
        for dtype, engine in ((torch.float64, "eager"), (torch.float32, "native")):
            there = row.to(dtype)
            outputs, tape = layer.forward(lay, there, x.to(dtype), first(lay, 3, 13, there), engine=engine)
            d_row = torch.zeros_like(there)
            found = layer.backward(lay, there, tape, outputs.cos(), d_row, engine=engine)
            assert found.x is not None
            results.append((outputs, d_row, found.x))
        for exact, ours in zip(*results, strict=True):
            scale = max(1.0, float(exact.abs().max()))
            assert float((exact - ours).abs().max()) < 2e-5 * scale, name


@needs_compiler
def test_inputs_and_gradients_may_lie_in_any_order() -> None:
    lay = layout(plan(zoo.load("lstm")), 5, 5)
    row, x, d = torch.randn(2, lay.size), torch.randn(2, 4, 3, 5), torch.randn(2, 4, 3, 5)

    def run(x: torch.Tensor, d: torch.Tensor) -> torch.Tensor:
        d_row = torch.zeros_like(row)
        _, tape = layer.forward(lay, row, x, first(lay, 2, 3, row), engine="native")
        layer.backward(lay, row, tape, d, d_row, engine="native")
        return d_row

    def other(t: torch.Tensor, a: int, b: int) -> torch.Tensor:
        return t.transpose(a, b).contiguous().transpose(a, b)

    for a, b in ((1, 2), (2, 3), (0, 1)):
        assert torch.equal(run(other(x, a, b), other(d, a, b)), run(x, d)), (a, b)
    summed = d[:, :, :1, :1].expand_as(d)  # as the gradient of a sum comes
    assert torch.equal(run(x, summed), run(x, summed.contiguous()))


@needs_compiler
def test_a_clocked_layer_computes_the_same_and_tells_its_times() -> None:
    lay = layout(plan(zoo.load("mut1")), 9, 9)
    row, x, d = torch.randn(2, lay.size), torch.randn(2, 4, 3, 9), torch.randn(2, 4, 3, 9)
    rows = []
    for engine in ("native", "clocked"):
        d_row = torch.zeros_like(row)
        _, tape = layer.forward(lay, row, x, first(lay, 2, 3, row), engine=engine)
        layer.backward(lay, row, tape, d, d_row, engine=engine)
        rows.append(d_row)
    assert torch.equal(*rows)
    found = loop.times(lay, frozenset(), "float32")
    assert tuple(found) == source.PARTS
    assert all(seconds > 0 for seconds in found.values())
    assert not any(loop.times(lay, frozenset(), "float32").values())  # they were handed over


def mapped(name: str) -> bool:
    return name in Path("/proc/self/maps").read_text()


@needs_compiler
@on_linux
def test_a_library_is_unloaded_with_the_last_function_that_is_held() -> None:
    library = toolchain.library("int answer(void) { return 43; }", "float32")
    name = Path(library._name).name
    assert toolchain.library("int answer(void) { return 43; }", "float32") is library
    answer = toolchain.function(library, "answer", ctypes.CFUNCTYPE(ctypes.c_int))
    del library
    gc.collect()
    assert mapped(name)
    assert answer() == 43
    del answer
    assert not mapped(name)
    assert toolchain.library("int answer(void) { return 43; }", "float32").answer() == 43


@pytest.mark.long
@needs_compiler
@on_linux
def test_the_kernels_of_a_layer_are_unloaded_with_it_and_not_before() -> None:
    cell = parse("cell unloaded(x; h)\nh' = tanh[x, h] * 0.8125\n")
    rnn, x = Recurrent(cell, 3, 4), torch.rand(5, 2, 3)
    wanted = rnn(x)[0]
    rnn(x)[0].sum().backward()
    loaded = [name for name in toolchain._loaded if mapped(name)]
    caches.clear()
    assert torch.equal(rnn(x)[0], wanted)
    output = rnn(x)[0]
    del rnn
    caches.clear()
    output.sum().backward()  # what autograd holds is enough
    del output, wanted
    gc.collect()
    gone = [name for name in loaded if not mapped(name)]
    assert gone, "the library of the cell is still there"
