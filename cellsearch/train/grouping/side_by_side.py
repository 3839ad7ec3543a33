"""Trainings that share a device and fail independently, and the handling of out-of-memory.

Yields each result, or the exception that ended the training, as soon as it is available; the others continue.

A training that runs out of memory while others are resident need not be the cause. It is aborted and its
memory freed; after the rest, all aborted ones are trained again in two halves, and so on. Eventually each is
alone on the device, and only a training that is too large alone fails.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from cellsearch.train.grouping.cohort import Alone, Lane, Turns, lane
from cellsearch.train.resources.shortage import give_back, ran_out

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Start(Generic[T]):
    """A training that can be started repeatedly."""

    begin: Callable[[Alone], Turns[T]]
    memory: float = 0.0  # predicted bytes


#: The index of a training, and its result or the exception that ended it.
Ended = tuple[int, T | Exception]


def side_by_side(
    starts: Sequence[Start[T]],
    device: str,
    *,
    room: float | None = None,
    in_turns: bool | None = None,
) -> Generator[Ended[T], None, None]:
    """Trains all; yields each result when its training ends. Trainings start in order, as many as fit in
    `room` bytes together (None: no limit), and take turns; the next one starts when another ends. `in_turns`:
    window by window, as on a GPU, else in sequence, as on a CPU.
    """
    if in_turns is None:
        in_turns = lane(device).stream is not None
    groups = [list(range(len(starts)))]
    while groups:
        again = yield from _group(starts, groups.pop(0), device, room, in_turns)
        middle = (len(again) + 1) // 2
        groups[:0] = [half for half in (again[:middle], again[middle:]) if half]


def _group(
    starts: Sequence[Start[T]], group: Sequence[int], device: str, room: float | None, in_turns: bool
) -> Generator[Ended[T], None, list[int]]:
    """Trains some; returns those that ran out of memory while others were resident, always fewer."""
    waiting, again = list(group), list[int]()
    resident: dict[int, tuple[Turns[T], Lane]] = {}

    def alone() -> bool:
        return len(resident) == 1

    def fits(k: int) -> bool:
        if not resident:
            return True
        taken = sum(starts[other].memory for other in resident)
        return in_turns and (room is None or taken + starts[k].memory <= room)

    try:
        while waiting or resident:
            while waiting and fits(waiting[0]):
                k = waiting.pop(0)
                resident[k] = starts[k].begin(alone), lane(device)
            before = len(again)
            for k, (training, mine) in list(resident.items()):
                found: T | Exception
                try:
                    with mine.here():
                        next(training)
                    continue
                except StopIteration as end:
                    found = end.value
                except Exception as error:
                    found = error
                crowded = isinstance(found, Exception) and ran_out(found) and not alone()
                del resident[k]
                if not crowded:
                    yield k, found
                    continue
                again.append(k)
                del training, found  # with the frames of its traceback, which hold allocated tensors
            if len(again) > before:
                give_back(device)
    finally:
        for training, _ in resident.values():
            training.close()
    return again
