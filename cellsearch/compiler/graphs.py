"""A step that is launched as one: on a CUDA device recorded as a graph and replayed, elsewhere called.

In: a function without arguments or results that works on tensors which stay where they are, always the same
calls on the same shapes, without waiting for the device. Out: a function that does the same.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Step = Callable[[], None]


@dataclass(frozen=True)
class Place:
    """Where steps are recorded that are replayed one after another, never at once: the memory in which they
    compute, and the stream of the recording. What outlives a step lies elsewhere."""

    memory: Any  # a handle of torch
    stream: torch.cuda.Stream


def place(device: torch.device) -> Place | None:
    """A place on a CUDA device; None elsewhere."""
    if device.type != "cuda":
        return None
    return Place(torch.cuda.graph_pool_handle(), torch.cuda.Stream(device))


def capture(step: Step, changed: Iterable[Tensor], at: Place | None) -> Step:
    """`step`, recorded at a place; `step` itself where there is none.

    Recording takes one run beforehand, in which kernels are compiled and libraries make ready. `changed` are
    all tensors that the step changes and that outlive it; afterwards they are as before. A graph knows
    addresses alone: what the step reads has to live as long, and no cache may be all that holds it.
    """
    if at is None:
        return step
    tensors = list(changed)
    before = [t.clone() for t in tensors]
    with torch.cuda.device(at.stream.device), _own_workspaces():
        here = torch.cuda.current_stream()
        at.stream.wait_stream(here)
        with torch.cuda.stream(at.stream):
            step()
        here.wait_stream(at.stream)
        for tensor, value in zip(tensors, before, strict=True):
            tensor.copy_(value)
        del before
        torch._C._cuda_clearCublasWorkspaces()  # that of the run beforehand is none of the graph's
        graph = torch.cuda.CUDAGraph()
        # Other threads of a worker may go on: what they call is none of the graph's either.
        with torch.cuda.graph(graph, at.memory, at.stream, capture_error_mode="thread_local"):
            step()
    return graph.replay


@contextmanager
def _own_workspaces() -> Iterator[None]:
    """cuBLAS keeps a workspace for each stream, and graphs recorded in one stream would share it, though they
    may be replayed at once. Without it a graph gets one of its own, in its memory."""
    torch._C._cuda_clearCublasWorkspaces()
    try:
        yield
    finally:
        torch._C._cuda_clearCublasWorkspaces()
