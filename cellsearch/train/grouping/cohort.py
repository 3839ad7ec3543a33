"""Trainings that share a device and take turns: populations of different cells, or of one cell in different
shapes.

A training is a generator: it pauses after every window and returns its result. On a GPU each has its own lane
(a stream), so that small kernels of several trainings overlap; turns keep all lanes filled. On a CPU they run
in sequence: one fills a core, and several would compete for the cache. Trainings share no state; each gives
the result it would give alone.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch

T = TypeVar("T")
Turns = Generator[None, None, T]
Alone = Callable[[], bool]  # whether no other training currently holds memory on the device


def always() -> bool:
    """For a training that is alone on its device."""
    return True


@dataclass(frozen=True)
class Lane:
    """The queue of one training's work on a device, from its first tensor to its last."""

    stream: torch.cuda.Stream | None  # None on a CPU

    @contextmanager
    def here(self) -> Iterator[None]:
        """A context whose calls are queued in this lane."""
        if self.stream is None:
            yield
            return
        with torch.cuda.device(self.stream.device), torch.cuda.stream(self.stream):
            yield


def lane(device: str) -> Lane:
    """A lane on a device, ordered after all work queued so far."""
    if torch.device(device).type != "cuda":
        return Lane(None)
    stream = torch.cuda.Stream(torch.device(device))
    stream.wait_stream(torch.cuda.current_stream(stream.device))
    return Lane(stream)


def together(
    trainings: Sequence[Turns[T]], lanes: Sequence[Lane], *, in_turns: bool | None = None
) -> Turns[list[T]]:
    """Combines several trainings, each in its lane, and returns their results in order. `in_turns`: window by
    window, as on a GPU, else in sequence, as on a CPU.
    """
    if in_turns is None:
        in_turns = any(lane.stream is not None for lane in lanes)
    found: dict[int, T] = {}
    waiting = dict(enumerate(zip(trainings, lanes, strict=True)))
    while waiting:
        for k, (training, lane) in list(waiting.items()):
            while k in waiting:
                with lane.here():
                    try:
                        next(training)
                    except StopIteration as end:
                        found[k] = end.value
                        del waiting[k]
                yield
                if in_turns:
                    break
    return [found[k] for k in range(len(trainings))]


def finish(training: Turns[T]) -> T:
    """Trains to the end."""
    while True:
        try:
            next(training)
        except StopIteration as end:
            return end.value
