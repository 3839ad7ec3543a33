"""From Triton text to functions: compiled for a CUDA device when they are first called, or run by Triton's
interpreter, which takes tensors on a CPU and serves tests alone.

Triton reads the source of its functions. It finds the text among the lines that Python keeps for tracebacks,
so that nothing that lies in a file is executed. What it compiles it keeps in its own cache on disk
(TRITON_CACHE_DIR), under names that follow from the text, the device and its own version.
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
    """Whether Triton runs on this kind of device: it has to be there (CUDA builds of torch bring it along),
    and for a GPU it compiles what starts its kernels with a C compiler: $CC, gcc or clang."""
    if find_spec("triton") is None:
        return False
    return kind == "cpu" or bool(os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang"))


@lru_cache(maxsize=1)
def precision() -> str:
    """How tiles of float32 are multiplied: as they are ("ieee"); or as three products of TF32, which comes
    near to it, where Triton aborts the process over the first ("tf32x3": 3.9 does, 3.6 does not)."""
    major, minor = version("triton").split(".")[:2]
    return "ieee" if (int(major), int(minor)) <= (3, 6) else "tf32x3"


@contextmanager
def on(device: torch.device) -> Iterator[None]:
    """Where kernels are started: Triton takes the device that is current. RunError where it cannot."""
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
    """The kernels of a text by name, to be called as `kernel[grid](*arguments)`; made once, as long as they
    are held."""
    found = _made.get((text, interpreted))
    if found is None:
        found = _made[text, interpreted] = _Kernels(_functions(text, interpreted))
    return found


class _Kernels(dict[str, Any]):
    """Kernels by name; unlike a plain `dict` it can be found by a weak reference."""

    __slots__ = ("__weakref__",)


#: The kernels that are in use, by text: plans with equal texts share them.
_made: WeakValueDictionary[tuple[str, bool], _Kernels] = WeakValueDictionary()


def _functions(text: str, interpreted: bool) -> dict[str, Any]:
    import triton  # here: it is optional, and takes a while to load
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

    def part(function: Any) -> Any:  # what a reduction combines with
        return InterpretedFunction(function) if interpreted else triton.jit(function)

    def helper(function: Any) -> Any:  # the interpreter runs inside of a kernel what Python can call
        return function if interpreted else triton.jit(function)

    name = f"<cellsearch {hashlib.sha256(text.encode()).hexdigest()[:16]}>"
    scope: dict[str, Any] = {"__name__": name, "tl": tl, "kernel": kernel, "part": part, "helper": helper}
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    try:
        exec(compile(text, name, "exec"), scope)  # made of rows of the op table and of numbers
        if interpreted:
            for function in made:
                function.rewrite()  # reads its source now
    finally:
        del linecache.cache[name]
    return {function.__name__: function for function in made}
