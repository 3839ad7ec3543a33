"""From Triton text to functions: compiled for a CUDA device at the first call, or run by Triton's
interpreter, which takes tensors on a CPU and is only for tests.

Triton reads the source of its functions from the lines that Python keeps for tracebacks, so no file is
executed. It keeps compiled kernels in its cache on disk (TRITON_CACHE_DIR), under names computed from the
text, the device and its version.
"""

import hashlib
import linecache
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import torch

from cellsearch.errors import RunError, printable


@lru_cache(maxsize=4)
def available(kind: str) -> bool:
    """Whether Triton runs on this kind of device: it must be installed (CUDA builds of torch include it), and
    for a GPU it needs a C compiler for its launchers: $CC, gcc or clang."""
    if find_spec("triton") is None:
        return False
    return kind == "cpu" or bool(os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang"))


@lru_cache(maxsize=1)
def precision() -> str:
    """The precision of products of float32 tiles: exact ("ieee"), or three TF32 products, nearly as accurate,
    if Triton aborts the process for the first ("tf32x3": 3.9 does, 3.6 does not)."""
    major, minor = version("triton").split(".")[:2]
    return "ieee" if (int(major), int(minor)) <= (3, 6) else "tf32x3"


@contextmanager
def on(device: torch.device) -> Iterator[None]:
    """The context of launches: Triton uses the current device. Raises RunError if it cannot."""
    from triton.errors import TritonError  # here: it is optional

    try:
        if device.type == "cpu":
            with np.errstate(all="ignore"):  # the interpreter computes in numpy
                yield
        else:
            with torch.cuda.device(device):
                yield
    except TritonError as error:
        said = printable(str(error).strip().partition("\n")[0] or type(error).__name__, 300)
        raise RunError(f"Triton could not make or start a kernel: {said}") from error


def functions(text: str, interpreted: bool) -> Mapping[str, Any]:
    """The kernels of a text by name, called as `kernel[grid](*arguments)`; made once while they are in
    use."""
    found = _made.get((text, interpreted))
    if found is None:
        found = _made[text, interpreted] = _Kernels(_functions(text, interpreted))
    return found


class _Kernels(dict[str, Any]):
    """Kernels by name; unlike a plain `dict` it supports weak references."""

    __slots__ = ("__weakref__",)


#: The kernels in use, by text: plans with equal texts share them.
_made: WeakValueDictionary[tuple[str, bool], _Kernels] = WeakValueDictionary()


def _functions(text: str, interpreted: bool) -> dict[str, Any]:
    import triton  # here: it is optional, and slow to load
    import triton.language as tl
    from triton.runtime.interpreter import InterpretedFunction

    made: list[Any] = []

    def kernel(unspecialized: Sequence[str]) -> Callable[[Any], Any]:
        def decorate(function: Any) -> Any:
            made.append(
                InterpretedFunction(function)
                if interpreted
                else triton.jit(do_not_specialize=unspecialized)(function)
            )
            return made[-1]

        return decorate

    def part(function: Any) -> Any:  # the combining function of a reduction
        return InterpretedFunction(function) if interpreted else triton.jit(function)

    def helper(function: Any) -> Any:  # inside a kernel the interpreter runs Python callables
        return function if interpreted else triton.jit(function)

    name = f"<cellsearch {hashlib.sha256(text.encode()).hexdigest()[:16]}>"
    scope: dict[str, Any] = {"__name__": name, "tl": tl, "kernel": kernel, "part": part, "helper": helper}
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    try:
        exec(compile(text, name, "exec"), scope)  # consists of rows of the op table and numbers
        if interpreted:
            for function in made:
                function.rewrite()  # reads its source here
    finally:
        del linecache.cache[name]
    return {function.__name__: function for function in made}
