"""The measured peak of this CPU: fused multiply-adds of one thread in registers, and its BLAS."""

import ctypes
import platform
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from cellsearch.analysis.bench import jax
from cellsearch.compiler.engines.native import toolchain

RUNS = 25  # of each measurement; the best counts, because other load only slows it
LOOPS = 400_000  # about 10 ms
SIDE = 1024  # of the BLAS's product

#: Independent sums, as many as fit into the registers beside two constants: more than
#: the latency of a multiply-add times the number that begin in a cycle (4 x 2 on x86).
TEXT = """
#if defined(__AVX512F__)
#define BYTES 64
#define SUMS 24
#define NAME "AVX-512"
#elif defined(__FMA__)
#define BYTES 32
#define SUMS 12
#define NAME "AVX2 with FMA"
#elif defined(__AVX__)
#define BYTES 32
#define SUMS 12
#define NAME "AVX without FMA"
#elif defined(__ARM_NEON)
#define BYTES 16
#define SUMS 24
#define NAME "NEON"
#else
#define BYTES 16
#define SUMS 12
#define NAME "no vectors that this program knows"
#endif
typedef float vector __attribute__((vector_size(BYTES)));

const char *instructions(void) { return NAME; }
long operations(void) { return 2L * SUMS * (BYTES / 4); }

float multiply_adds(long loops, float factor, float term)
{
    vector a[SUMS], m = (vector){} + factor, t = (vector){} + term, total = (vector){};
    for (int k = 0; k < SUMS; k++) a[k] = (vector){} + (float)k;
    for (long i = 0; i < loops; i++) {
#pragma GCC unroll 24
        for (int k = 0; k < SUMS; k++) a[k] = a[k] * m + t;
    }
    for (int k = 0; k < SUMS; k++) total += a[k];
    float sum = 0;
    for (unsigned k = 0; k < BYTES / 4; k++) sum += total[k];
    return sum;
}
"""


def machine() -> dict[str, Any]:
    """The conditions of a CPU's numbers. Without a C compiler the peak is missing."""
    found: dict[str, Any] = {"blas": blas(), "blas_gflop_per_s": round(blas_rate(), 1)}
    if toolchain.compiler() is not None:
        found["compiler"] = compiler()
        found["instructions"], rate = multiply_adds()
        found["peak_gflop_per_s"] = round(rate, 1)
    if jax.installed():
        found["jax"] = jax.installed()
    return found


def multiply_adds() -> tuple[str, float]:
    """The instruction set that the compiler uses here, and the GFLOP/s of float32 multiply-adds with it: one
    thread, in registers, an upper bound for any step. Raises RunError without a C compiler."""
    library = toolchain.library(TEXT, "float32")
    library.instructions.restype = ctypes.c_char_p
    library.operations.restype = ctypes.c_long
    run = library.multiply_adds
    run.restype, run.argtypes = ctypes.c_float, [ctypes.c_long, ctypes.c_float, ctypes.c_float]
    seconds = _best(lambda: run(LOOPS, 0.5, 1.0))
    return library.instructions().decode(), LOOPS * library.operations() / seconds / 1e9


def blas_rate() -> float:
    """GFLOP/s of torch's product of two float32 matrices of 1024 x 1024 on one thread."""
    a, b = torch.randn(2, SIDE, SIDE)
    out, before = torch.empty(SIDE, SIDE), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return 2 * SIDE**3 / _best(lambda: torch.mm(a, b, out=out)) / 1e9
    finally:
        torch.set_num_threads(before)


def _best(call: Callable[[], object]) -> float:
    """The shortest CPU time of a call, in seconds."""
    found = []
    for _ in range(RUNS):
        begun = time.thread_time()
        call()
        found.append(time.thread_time() - begun)
    return min(found)


def compiler() -> str:
    """The first line of the C compiler's version; "" if there is none."""
    path = toolchain.compiler()
    if path is None:
        return ""
    said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=60, check=False)
    return said.stdout.partition("\n")[0]


def blas() -> str:
    """The name of torch's BLAS, as reported by torch."""
    shown = torch.__config__.show()
    full = re.search(r"(Intel.*Math Kernel Library Version \S+|OpenBLAS\S*)", shown)
    short = re.search(r"BLAS_INFO=(\w+)", shown)
    return full[1] if full else short[1] if short else "unknown"


def processor() -> str:
    """The model of the CPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), platform.machine())
