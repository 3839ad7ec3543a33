"""From C text to a loaded library, compiled once and cached on disk.

`cache` chooses the directory. A library's name is the hash of its text, its flags and the compiler, so a
changed library is another file.
"""

import _ctypes
import ctypes
import hashlib
import os
import platform
import shutil
import signal
import subprocess
import tempfile
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary, finalize

from cellsearch.compiler.engines.native import cache
from cellsearch.compiler.engines.native.cache import Cache
from cellsearch.errors import RunError, printable

FLAGS = (
    "-O3",
    "-march=native",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-shared",
    "-fPIC",
    "-std=gnu11",
    "-w",
)
#: With threaded jumps gcc copies the code after the bounds of an exponential for each side of them, and
#: blends the copies: nearly twice the time of a pointwise kernel with many gates. clang refuses the flag.
OF_GCC = ("-fno-thread-jumps",)
REALS = {"float32": ("-DREAL=float", "-DIS_FLOAT=1"), "float64": ("-DREAL=double",)}
HEADERS = ("pointwise.h", "layer.h")
CPU_SECONDS = 120  # of one compilation; usual is 0.2
# Wall time, against a hang. On an overloaded machine a compilation waits: that is not an error, and
# must not end a search, or move it to another engine, whose numbers differ in the last bits.
TIMEOUT = 1_800
BOUNDED = ("/bin/sh", "-c", 'ulimit -t "$0"; exec "$@"', str(CPU_SECONDS))

#: The libraries in use, by name. A function of a library holds it; it is unloaded with the last one.
_loaded: WeakValueDictionary[str, ctypes.CDLL] = WeakValueDictionary()


@lru_cache(maxsize=1)
def compiler() -> str | None:
    """The C compiler: $CC, cc, gcc or clang; None if there is none."""
    for name in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
        found = shutil.which(name) if name else None
        if found and _version(found):
            return found
    return None


@lru_cache(maxsize=8)
def _version(path: str) -> str:
    """The compiler's report on itself and this processor; "" if it does not run."""
    try:
        command = [path, "--version"]
        said = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return f"{said.stdout.splitlines()[0]} {_processor()}" if said.returncode == 0 and said.stdout else ""


def _processor() -> str:
    """Identifies the instruction set of this machine: a library built for another one must not be loaded."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.machine())


def library(text: str, dtype: str) -> ctypes.CDLL:
    """The library of a C text, for numbers of `dtype`. Raises RunError if it cannot be built."""
    return _load(text, (*FLAGS, *REALS[dtype]))


def function(library: ctypes.CDLL, name: str, kind: type[Any]) -> Any:
    """A function of a library, of a type made by `ctypes.CFUNCTYPE`. It holds the library. (A function looked
    up by ctypes also holds itself, and would keep the library until a garbage collection.)"""
    found = kind(_ctypes.dlsym(library._handle, name))
    found.library = library
    return found


@lru_cache(maxsize=4)
def products(dtype: str) -> ctypes.CDLL:
    """The library of matrix products, of the output layer, which uses them, and of the loop over members and
    steps of a window."""
    loaded = library("".join(map(_resource, ("product.c", "output.c", "members.c"))), dtype)
    loaded.panel_width.restype = ctypes.c_long
    loaded.in_turn.restype = None
    return loaded


def _load(text: str, flags: tuple[str, ...]) -> ctypes.CDLL:
    cc = compiler()
    if cc is None:
        raise RunError("there is no C compiler here; install gcc or clang, or choose the engine 'eager'")
    headers = {name: _resource(name) for name in HEADERS}
    flags = flags if "clang" in _version(cc) else (*OF_GCC, *flags)
    key = hashlib.sha256("\0".join((text, *headers.values(), *flags, _version(cc))).encode()).hexdigest()[:40]
    found = _loaded.get(key)
    if found is not None:
        return found
    here, name = cache.opened(), f"{key}.so"
    for last in (False, True):
        path = cache.find(here, name)
        if path is None:
            _compile(cc, text, headers, flags, here, name)
            path = cache.find(here, name)
        try:
            library = ctypes.CDLL(path or str(here.path / name))
            break
        except OSError as error:  # truncated by a crash of the machine, or removed by another process
            cache.remove(here, name)
            if last:
                raise RunError(
                    f"a compiled kernel cannot be loaded: {printable(str(error), 400)}\n"
                    f"is the disk of {printable(str(here.path))} full, or mounted noexec? choose another "
                    "CELLSEARCH_CACHE"
                ) from error
    # ctypes never unloads. Not at the end of the process: other threads may still run it.
    finalize(library, _ctypes.dlclose, library._handle).atexit = False
    _loaded[key] = library
    return library


def _compile(
    cc: str, text: str, headers: dict[str, str], flags: tuple[str, ...], here: Cache, target: str
) -> None:
    with tempfile.TemporaryDirectory(dir=here.path, prefix=cache.MAKING) as name:
        folder = Path(name)
        (folder / "kernel.c").write_text(text)
        for header, content in headers.items():
            (folder / header).write_text(content)
        command = [*BOUNDED, cc, *flags, "-o", "kernel.so", "kernel.c", "-lm"]
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT, check=False
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise RunError(f"the C compiler did not run: {error}") from error
        if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL, 128 + signal.SIGXCPU):
            raise RunError(f"{cc} took more than {CPU_SECONDS} s of CPU time for a kernel, or was killed")
        if done.returncode != 0:
            raise RunError(f"{cc} could not compile a kernel:\n{done.stderr.strip()[:2000]}")
        cache.put(here, folder / "kernel.so", target)


@lru_cache(maxsize=8)
def _resource(name: str) -> str:
    return files("cellsearch.compiler.engines.native").joinpath(name).read_text(encoding="utf-8")
