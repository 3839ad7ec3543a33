"""Trainings that share a device, each of which may fail, and what is done where memory does not suffice.

In: trainings that can be begun, with the bytes each is predicted to take. Out: each result as soon as there
is one, or the exception that ended the training; the others go on.

A training that runs out of memory while others are resident is not the reason by itself. It is given up, and
what it held is freed; once the rest has ended, all that were given up are trained again in two halves, and so
on. At last one is alone on the device: what runs out of memory there is too large by itself. So the one that
is too large fails, and no other does.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from cellsearch.train.grouping.cohort import Alone, Lane, Turns, lane
from cellsearch.train.resources.shortage import give_back, ran_out

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Start(Generic[T]):
    """A training that can be begun, more than once."""

    begin: Callable[[Alone], Turns[T]]
    memory: float = 0.0  # bytes that it is predicted to take


#: The place of a training among those that were given, and its result or the exception that ended it.
Ended = tuple[int, T | Exception]


def side_by_side(
    starts: Sequence[Start[T]],
    device: str,
    *,
    room: float | None = None,
    in_turns: bool | None = None,
) -> Generator[Ended[T], None, None]:
    """Trains all; gives each result when its training has ended.

    Trainings begin in their order, as many as take no more than `room` bytes together (None: no bound), and
    take turns; the next one begins when another has ended. `in_turns`: window by window, as on a GPU, or one
    training after the other, as on a CPU.
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
    """Trains some; returns those that ran out of memory while others were resident, fewer than there were."""
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
                del training, found  # with the frames of its traceback, which hold what was allocated
            if len(again) > before:
                give_back(device)
    finally:
        for training, _ in resident.values():
            training.close()
    return again
