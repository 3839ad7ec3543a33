"""The devices of this machine for training: resolves requested devices to names, or raises an error with the
missing part. torch is loaded only for a requested GPU.
"""

import os
from collections.abc import Callable, Sequence

from cellsearch.errors import RunError, printable

CPU = "cpu"
ALL = "all"

#: Usable share of the free memory of a GPU. The rest is for unpredicted memory: recorded steps, library
#: workspaces, fragmentation. Not measured on a device.
SHARE = 0.8


class Gone(RunError):
    """A device that does not respond: its work must run elsewhere."""


def gpus() -> list[str]:
    """The GPUs that this process may use: cuda:0, cuda:1, …"""
    import torch

    return [f"cuda:{k}" for k in range(torch.cuda.device_count())]


def why_none() -> str:
    """The likely reason that there is no GPU."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if torch.version.cuda is None:
        return f"the installed torch {torch.__version__} is one without CUDA; install one with it"
    if visible is not None and not visible.replace("-1", "").strip(", "):
        return f"CUDA_VISIBLE_DEVICES is {printable(visible)!r}, which hides all GPUs; unset it"
    return "`nvidia-smi` shows the GPUs of the driver; without a GPU omit `--devices`"


def chosen(wanted: Sequence[str], found: Callable[[], Sequence[str]] = gpus) -> tuple[str, ...]:
    """The distinct devices of `wanted` (all, cpu, cuda, cuda:2, …), in order. Raises RunError for a missing
    one. "all" means every GPU in `found`, "cuda" the first one.
    """
    if not any(name != CPU for name in wanted):
        return (CPU,)
    there = list(found())
    if not there:
        raise RunError(f"there is no GPU here for `--devices {','.join(wanted)}`\n{why_none()}")
    named: list[str] = []
    for name in wanted:
        named += there if name == ALL else [there[0] if name == "cuda" else name]
    for name in named:
        if name != CPU and name not in there:
            raise RunError(f"there is no {printable(name)} here\nthere: {', '.join(there)}")
    return tuple(dict.fromkeys(named))


def free(device: str, share: float = SHARE) -> float | None:
    """Bytes of a GPU currently available for trainings in total: a share of the memory free of other
    processes, including torch's unused cache. None on a CPU, which trains one cell at a time."""
    if device == CPU:
        return None
    import torch

    left, _ = torch.cuda.mem_get_info(device)
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return share * (left + unused)


def check(device: str) -> None:
    """Raises Gone if `device` cannot compute."""
    if device == CPU:
        return
    import torch

    try:
        ones = torch.ones(8, device=device)
        right = float((ones + ones).sum()) == 16.0
    except (RuntimeError, AssertionError) as error:  # the latter: a torch without CUDA
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise Gone(f"{device} does not respond: {printable(first, 300)}") from error
    if not right:
        raise Gone(f"{device} computes wrongly: 1 + 1 is not 2 there")
