"""The compilers here, and the instructions that they may use, for tests of C code."""

import shutil
from collections.abc import Iterator
from itertools import product

from cellsearch.compiler.engines.native import toolchain

#: Flags that leave out instructions.
NARROWER = {
    "": (),
    "without AVX-512": ("-mno-avx512f",),
    "without AVX": ("-mno-avx512f", "-mno-avx"),
}
COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)]


def builds() -> Iterator[tuple[str, str]]:
    """Every compiler with all instructions of this processor, and with fewer."""
    processor = toolchain._processor()
    for cc, (name, flags) in product(COMPILERS, NARROWER.items()):
        left_out = [flag.removeprefix("-mno-") for flag in flags[-1:]]
        if all(instructions in processor for instructions in left_out):
            yield cc, name
