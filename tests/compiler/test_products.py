"""The matrix products in C, for every width of vectors that this machine can run, and by every compiler here."""

import ctypes
import shutil
from collections.abc import Callable
from itertools import product as pairs

import numpy as np
import pytest
from builds import NARROWER, builds

from cellsearch.compiler.engines.native import toolchain

pytestmark = pytest.mark.skipif(toolchain.compiler() is None, reason="no C compiler here")

Build = Callable[[str], ctypes.CDLL]
ROWS, INNER, COLUMNS = (1, 2, 5, 6, 7, 13, 20, 25), (0, 1, 3, 29), (1, 7, 8, 9, 16, 17, 33)


@pytest.fixture(params=[*builds()], ids=lambda build: " ".join(build).strip())
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Build:
    """The library of products for a dtype, made by one compiler for some of the instructions."""
    cc, name = request.param
    monkeypatch.setattr(toolchain, "compiler", lambda: shutil.which(cc))
    monkeypatch.setattr(toolchain, "FLAGS", (*toolchain.FLAGS, *NARROWER[name]))
    return lambda dtype: toolchain.library(toolchain._resource("product.c"), dtype)


def at(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def longs(*numbers: int) -> list[ctypes.c_long]:
    return [ctypes.c_long(n) for n in numbers]


def multiplied(
    library: ctypes.CDLL,
    a: np.ndarray,
    w: np.ndarray,
    c: np.ndarray,
    bias: np.ndarray | None,
    *,
    turned: bool,
) -> np.ndarray:
    """C = A @ W + bias, or C += A @ W where there is no bias. `c` may be wider than that."""
    (rows, inner), n = a.shape, w.shape[1]
    stored = np.ascontiguousarray(w.T if turned else w)
    packed = np.full((inner + 1) * (n + 2 * library.panel_width()), np.nan, a.dtype)
    library.products(
        *longs(1, rows, inner, n), at(a), *longs(0, a.strides[0] // a.itemsize), at(stored),
        *longs(0, max(1, stored.shape[1])), ctypes.c_int(turned), None if bias is None else at(bias), ctypes.c_long(0),
        at(c), *longs(0, c.shape[1]), ctypes.c_int(bias is None), at(packed),
    )  # fmt: skip
    return c


@pytest.mark.long
@pytest.mark.parametrize(("dtype", "close"), [("float32", 1e-5), ("float64", 1e-13)])
def test_products_of_any_sizes(library: Build, dtype: str, close: float) -> None:
    rng, made = np.random.default_rng(0), library(dtype)
    for rows, inner, n, turned, biased in pairs(ROWS, INNER, COLUMNS, (False, True), (False, True)):
        a = rng.uniform(-1, 1, (rows, inner + 2)).astype(dtype)[:, :inner]
        w, bias = rng.uniform(-1, 1, (inner, n)).astype(dtype), rng.uniform(-1, 1, n).astype(dtype)
        c = rng.uniform(-1, 1, (rows, n + 3)).astype(dtype)
        exact = c.astype("float64")
        exact[:, :n] = a.astype("float64") @ w.astype("float64") + (bias if biased else exact[:, :n])
        found = multiplied(made, a, w, c, bias if biased else None, turned=turned)
        assert np.abs(found - exact).max() < close * (1 + inner), (rows, inner, n, turned, biased)


@pytest.mark.parametrize(("dtype", "close"), [("float32", 1e-5), ("float64", 1e-13)])
def test_gradients_of_any_sizes(library: Build, dtype: str, close: float) -> None:
    """Also such as are taken in pieces, along the steps and along the columns of all A together."""
    rng = np.random.default_rng(0)
    gradients, panel = library(dtype).gradients, library(dtype).panel_width()
    sizes = [
        *pairs((0, 1, 29, 257), ((5,), (1, 13), (6, 7)), (1, 8, 9, 16, 17, 33)),
        (700, (300, 2, 150), 40),
    ]
    for inner, widths, n in sizes:
        many = [rng.uniform(-1, 1, (inner, width + 1)).astype(dtype) for width in widths]
        g = rng.uniform(-1, 1, (inner, n + 5)).astype(dtype)
        found = [np.full((width, n), np.nan, dtype) for width in widths]
        places = [
            (a.ctypes.data, 0, a.shape[1], c.ctypes.data, 0, n) for a, c in zip(many, found, strict=True)
        ]
        place = np.array(places, dtype=np.int64)
        packed = np.empty((inner + 1) * panel, dtype)
        gradients(
            *longs(1, inner, n), at(g), *longs(0, n + 5, len(widths)), at(np.array(widths, dtype=np.int64)),
            at(place), at(packed),
        )  # fmt: skip
        for a, c in zip(many, found, strict=True):
            exact = a[:, :-1].astype("float64").T @ g[:, :n].astype("float64")
            assert np.abs(c - exact).max() < close * (1 + inner) ** 0.5, (inner, widths, n)
