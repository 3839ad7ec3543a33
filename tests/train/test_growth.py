"""A process that meets one new cell after another stays as large as it is: caches end, kernels are unloaded."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from caches import caches

from cellsearch.compiler.engines.native import toolchain
from cellsearch.dsl.graph import RECENT

SOAK = Path(__file__).parents[1] / "soak.py"
BOUND = 4 << 20  # bytes, over the last two thirds; before, every cell took 190,000

on_linux = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
needs_compiler = pytest.mark.skipif(toolchain.compiler() is None, reason="no C compiler here")


@on_linux
@needs_compiler
@pytest.mark.parametrize(
    "count",
    [
        pytest.param(90, marks=pytest.mark.long),
        pytest.param(1_000, marks=[pytest.mark.soak, pytest.mark.timeout(1_800)]),
    ],
)
def test_new_cells_take_no_more_memory(count: int) -> None:
    done = subprocess.run([sys.executable, SOAK, str(count)], capture_output=True, text=True, check=True)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert found[-1]["cells"] == count
    third = next(row for row in found if 3 * row["cells"] >= count)
    assert found[-1]["bytes"] - third["bytes"] < BOUND
    assert {row["kernels"] for row in found} == {1}  # that of the products


def test_every_cache_has_a_bound_and_those_of_cells_a_small_one() -> None:
    bounds = {name: cache.cache_parameters()["maxsize"] for name, cache in caches()}
    endless = {name for name, bound in bounds.items() if bound is None}
    assert endless == {
        "cellsearch.dsl.zoo._names", "cellsearch.dsl.zoo.load", "cellsearch.analysis.bench.cells.load",
        "cellsearch.compiler.engines.native.one_by_one._keep_memory",  # without arguments
    }  # fmt: skip
    for name in (
        "compiler.plan.schedule.plan",
        "compiler.plan.delays.lower",
        "dsl.weights.weights",
        "dsl.identity.functional.function_of",
    ):
        assert bounds[f"cellsearch.{name}"] == RECENT
