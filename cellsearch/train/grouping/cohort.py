"""Trainings that share a device and take turns: populations of different cells, or of one cell in different
shapes.

A training is a generator: it pauses after every window and returns what it came to. On a GPU each has a lane
of its own, a stream, so that small kernels of one run beside those of another; taking turns keeps all lanes
filled. On a CPU one follows the other: a core is full with one of them, and a cache is not with several. A
training never reads what is another's, so that its numbers are those it comes to alone.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch

T = TypeVar("T")
Turns = Generator[None, None, T]
Alone = Callable[[], bool]  # whether no other training holds memory on the device now


def always() -> bool:
    """Of a training that shares its device with no other."""
    return True


@dataclass(frozen=True)
class Lane:
    """Where the work of one training queues on a device, from its first tensor to its last."""

    stream: torch.cuda.Stream | None  # None on a CPU

    @contextmanager
    def here(self) -> Iterator[None]:
        """What is called inside queues in this lane."""
        if self.stream is None:
            yield
            return
        with torch.cuda.device(self.stream.device), torch.cuda.stream(self.stream):
            yield


def lane(device: str) -> Lane:
    """A lane on a device. It starts behind what has been queued so far."""
    if torch.device(device).type != "cuda":
        return Lane(None)
    stream = torch.cuda.Stream(torch.device(device))
    stream.wait_stream(torch.cuda.current_stream(stream.device))
    return Lane(stream)


def together(
    trainings: Sequence[Turns[T]], lanes: Sequence[Lane], *, in_turns: bool | None = None
) -> Turns[list[T]]:
    """A training that is several of them, each in its lane: what they came to, in their order.

    `in_turns`: window by window, as on a GPU, or one after the other, as on a CPU.
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
