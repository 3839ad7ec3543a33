"""The C engine's own parts: intrinsics, compiler, cache."""

import ctypes
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from cellsearch.compiler import layer
from cellsearch.compiler.formula import function
from cellsearch.compiler.native import pointwise, toolchain
from cellsearch.dsl.ops import INTRINSICS, TABLE, Kind, Op
from cellsearch.errors import RunError

needs_compiler = pytest.mark.skipif(toolchain.compiler() is None, reason="no C compiler here")


def run(formula: str, dtype: str, *arguments: np.ndarray) -> np.ndarray:
    """A formula of the op table, compiled, over arrays a and b."""
    text = (
        '#include "pointwise.h"\nvoid each(long n, const real *p, const real *q, real *y) {\n'
        "    for (long i = 0; i < n; i++) { const real a = p[i], b = q[i]; "
        f"y[i] = {pointwise.expression(formula)}; }}\n}}\n"
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
    exact = function(f"{name}(a)", ("a",))(torch.from_numpy(a.astype(np.float64))).numpy()
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
    theirs = function(op.forward, names)(*(torch.from_numpy(x) for x in (a, b)[: op.arity])).numpy()
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


def test_the_cache_is_used_only_where_nobody_else_may_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELLSEARCH_CACHE", str(tmp_path / "mine"))
    toolchain.cache.cache_clear()
    try:
        assert toolchain.cache() == tmp_path / "mine" / "kernels"
        assert (tmp_path / "mine" / "kernels").stat().st_mode & 0o777 == 0o700
        (tmp_path / "mine" / "kernels").chmod(0o777)
        toolchain.cache.cache_clear()
        assert tmp_path not in toolchain.cache().parents
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("CELLSEARCH_CACHE", str(tmp_path / "file"))
        toolchain.cache.cache_clear()
        assert toolchain.cache().is_dir()
    finally:
        toolchain.cache.cache_clear()


@needs_compiler
def test_a_library_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELLSEARCH_CACHE", str(tmp_path))
    toolchain.cache.cache_clear()
    toolchain._load.cache_clear()
    try:
        toolchain.library("int answer(void) { return 42; }", "float32")
        made = list((tmp_path / "kernels").iterdir())
        assert [p.suffix for p in made] == [".so"]
        before = made[0].stat().st_mtime_ns
        toolchain._load.cache_clear()
        assert toolchain.library("int answer(void) { return 42; }", "float32").answer() == 42
        assert made[0].stat().st_mtime_ns == before
    finally:
        toolchain.cache.cache_clear()
        toolchain._load.cache_clear()
