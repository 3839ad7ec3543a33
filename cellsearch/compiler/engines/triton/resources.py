"""The use of a multiprocessor by a compiled kernel: registers, bytes spilled from them, shared memory."""

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Resources:
    """The resources of one kernel, as reported by ptxas."""

    registers: int  # of a thread; 255 at most
    spilled: int  # bytes that a thread stores and reloads because it lacks registers
    shared: int  # bytes of a program


def resources(compiled: Any) -> Resources:
    """The resources of a kernel that Triton compiled for a CUDA device: the same assembler assembles its PTX
    again and reports them."""
    from triton.backends.nvidia.compiler import get_ptxas

    text = compiled.asm["ptx"]
    (target,) = set(re.findall(r"^\.target (sm_\w+)", text, re.MULTILINE))
    program = get_ptxas(compiled.metadata.target.arch).path
    with tempfile.TemporaryDirectory() as folder:
        ptx = Path(folder) / "kernel.ptx"
        ptx.write_text(text)
        command = [program, "-v", f"--gpu-name={target}", str(ptx), "-o", f"{folder}/kernel.cubin"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    registers = max(map(int, re.findall(r"Used (\d+) registers", said)))
    moved = re.findall(r"(\d+) bytes spill stores, (\d+) bytes spill loads", said)
    return Resources(registers, max(max(map(int, both)) for both in moved), compiled.metadata.shared)
