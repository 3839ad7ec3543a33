"""Tensors on a CUDA device that is not there: they have a shape, a dtype and a device, and no data.

Every call of torch works on them, so that a mistake with devices shows on a machine without one.
"""

import ctypes
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

SOURCE = Path(__file__).with_suffix(".cpp")


@cache
def registered(folder: Path) -> None:
    """Builds the guard and loads it, once a process; skips the test where that cannot be."""
    if torch.version.cuda is not None:
        pytest.skip("this build of torch has a device guard for CUDA; tests/gpu runs on a device")
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("there is no C++ compiler here")
    from torch.utils.cpp_extension import include_paths, library_paths

    library = folder / "fake_cuda.so"
    include = [f"-I{path}" for path in include_paths()]
    link = [f"-L{path}" for path in library_paths()]
    command = [compiler, "-std=c++20", "-w", "-shared", "-fPIC", *include, str(SOURCE), *link, "-lc10"]
    command += ["-o", str(library)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"the guard cannot be built here: {done.stderr[:300]}")
    ctypes.CDLL(str(library))


class Watch(TorchDispatchMode):
    """Counts the calls inside `step`, and collects those that a GPU would pay for or refuse: tensors on two
    kinds of devices in one call, or a result on the CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()
        self.mistakes: list[str] = []
        self.inside = 0

    @contextmanager
    def step(self) -> Iterator[None]:
        """Where every tensor has to lie on the device."""
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if self.inside:
            given, made = (
                {t.device.type for t in tree_leaves(some) if isinstance(t, torch.Tensor)}
                for some in ((args, kwargs), result)
            )
            self.calls[str(func)] += 1
            if len(given | made) > 1 or "cpu" in made:
                self.mistakes.append(f"{func}: from {sorted(given)} to {sorted(made)}")
        return result


@contextmanager
def fake_cuda() -> Iterator[Watch]:
    """Where tensors have no data, and may lie on a CUDA device."""
    watch = Watch()
    with FakeTensorMode(allow_non_fake_inputs=True), watch:
        yield watch


@contextmanager
def real() -> Iterator[None]:
    """Where tensors have data again, on the CPU."""
    with unset_fake_temporarily():
        yield
