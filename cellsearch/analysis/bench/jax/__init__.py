"""JAX as a contestant, for any cell: an extra, `pip install cellsearch[bench]`.

layer   a layer from its plan and the formulas of the op table, in the usual style: everything in a scan
loop    the same, optimised by hand
step    the whole training step: lax.map over members by hand, vmap of the scan

Only this module may be imported without JAX.
"""

import os
import sys
from importlib.metadata import PackageNotFoundError, version

ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


def installed() -> str:
    """The installed version of JAX; "" if there is none."""
    try:
        return version("jax")
    except PackageNotFoundError:
        return ""


def on_one_thread() -> None:
    """Products on one thread, as for all contestants: XLA reads its flags when JAX is first used."""
    if "jax" not in sys.modules:
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {ONE_THREAD}".strip()
