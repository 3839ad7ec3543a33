"""The peak of multiply-adds: the loop computes what it says, and no product is faster."""

import ctypes

import pytest

from cellsearch.analysis.bench.cpu import peak
from cellsearch.compiler.engines.native import toolchain


@pytest.mark.skipif(toolchain.compiler() is None, reason="there is no C compiler here")
def test_every_sum_is_computed_in_every_lane() -> None:
    """a -> a / 2 + 1 ends at 2, so that the total is twice the number of sums: that of the operations."""
    library = toolchain.library(peak.TEXT, "float32")
    run = library.multiply_adds
    run.restype, run.argtypes = ctypes.c_float, [ctypes.c_long, ctypes.c_float, ctypes.c_float]
    library.operations.restype = ctypes.c_long
    assert run(60, 0.5, 1.0) == pytest.approx(library.operations())
    assert library.operations() >= 2 * 12 * 4


def test_the_machine_is_named() -> None:
    found = peak.machine()
    assert found["blas_gflop_per_s"] > 1
    assert found["blas"] != "unknown"
    if toolchain.compiler() is None:
        assert "peak_gflop_per_s" not in found
    else:
        assert found["compiler"] and found["instructions"]
        assert found["peak_gflop_per_s"] > 0.5 * found["blas_gflop_per_s"]


def test_without_a_compiler_there_is_no_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain, "compiler", lambda: None)
    assert "peak_gflop_per_s" not in peak.machine()
    assert peak.compiler() == ""
