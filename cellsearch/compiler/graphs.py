"""A step as one launch: on a CUDA device captured as a graph and replayed, elsewhere called.

The function has no arguments or results, works on tensors with fixed addresses, makes the same calls on the
same shapes, and never synchronises.
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
    """The capture pool of steps that are replayed in sequence, never concurrently: their memory, and the
    stream of the capture. Results that outlive a step are stored elsewhere."""

    memory: Any  # a handle of torch
    stream: torch.cuda.Stream


def place(device: torch.device) -> Place | None:
    """A pool on a CUDA device; None elsewhere."""
    if device.type != "cuda":
        return None
    return Place(torch.cuda.graph_pool_handle(), torch.cuda.Stream(device))


def capture(step: Step, changed: Iterable[Tensor], at: Place | None) -> Step:
    """`step`, captured in a pool; `step` itself without one. Capture needs a warm-up run, which compiles
    kernels and initialises libraries. `changed` are all tensors that the step changes and that outlive it;
    they are restored afterwards. A graph holds only addresses: the tensors that the step reads must live as
    long, and must not be owned only by a cache.
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
        torch._C._cuda_clearCublasWorkspaces()  # keep the warm-up's workspace out of the graph
        graph = torch.cuda.CUDAGraph()
        # Other threads of a worker may go on: the graph does not capture their calls.
        with torch.cuda.graph(graph, at.memory, at.stream, capture_error_mode="thread_local"):
            step()
    return graph.replay


@contextmanager
def _own_workspaces() -> Iterator[None]:
    """Keeps the warm-up's workspace out of the graph. cuBLAS has a workspace per stream, and graphs captured
    in one stream would share it, though they may be replayed concurrently. Cleared, each graph gets its own
    workspace in its pool."""
    torch._C._cuda_clearCublasWorkspaces()
    try:
        yield
    finally:
        torch._C._cuda_clearCublasWorkspaces()
