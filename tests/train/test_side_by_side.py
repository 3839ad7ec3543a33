"""A cohort that wants more memory than there is: it is halved, and the training that is too large alone fails."""

import random
from collections import Counter
from collections.abc import Iterator

import pytest
import torch

from cellsearch.train.grouping.cohort import Alone, Turns
from cellsearch.train.grouping.side_by_side import Start, side_by_side
from cellsearch.train.resources.shortage import ran_out


class Device:
    """An allocator of `capacity` bytes, and trainings that take their bytes in two parts and keep them until
    they have ended."""

    def __init__(self, capacity: int, error: type[Exception] = torch.OutOfMemoryError) -> None:
        self.capacity, self.error = capacity, error
        self.taken, self.most = 0, 0
        self.begun: Counter[int] = Counter()

    def allocate(self, amount: int) -> None:
        if self.taken + amount > self.capacity:
            raise self.error("CUDA out of memory. Tried to allocate")
        self.taken += amount
        self.most = max(self.most, self.taken)

    def training(self, name: int, amount: int, windows: int) -> Turns[str]:
        self.begun[name] += 1
        held = 0
        try:
            for part in (amount // 2, amount - amount // 2):
                self.allocate(part)
                held += part
                yield
            for _ in range(windows):
                yield
            return f"result {name}"
        finally:
            self.taken -= held

    def start(self, name: int, amount: int, windows: int = 5, predicted: float = 0.0) -> Start[str]:
        return Start(lambda alone: self.training(name, amount, windows), predicted)


def parts(found: Iterator[tuple[int, str | Exception]]) -> tuple[dict[int, str], dict[int, Exception]]:
    """The results and the exceptions by place; each place once."""
    listed = list(found)
    assert len(dict(listed)) == len(listed)
    good = {k: result for k, result in listed if isinstance(result, str)}
    return good, {k: error for k, error in listed if isinstance(error, Exception)}


@pytest.mark.long
@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError])
@pytest.mark.parametrize("guilty", [0, 31, 63])
def test_of_sixty_four_the_one_that_is_too_large_fails_and_no_other(
    guilty: int, error: type[Exception]
) -> None:
    """All others together take four times what there is."""
    device, rng = Device(1_000, error), random.Random(guilty)
    starts = [
        device.start(k, 1_100 if k == guilty else rng.randrange(40, 90), rng.randrange(3, 30))
        for k in range(64)
    ]
    good, bad = parts(side_by_side(starts, "cpu", in_turns=True))
    assert good == {k: f"result {k}" for k in range(64) if k != guilty}
    assert list(bad) == [guilty] and ran_out(bad[guilty])
    assert device.taken == 0
    assert device.most > 800  # it was filled
    assert max(device.begun.values()) <= 8  # 64 are halved six times at most
    assert sum(device.begun.values()) < 3 * 64


@pytest.mark.long
def test_what_fits_only_alone_comes_to_its_result() -> None:
    device = Device(1_000)
    good, bad = parts(side_by_side([device.start(k, 950) for k in range(8)], "cpu", in_turns=True))
    assert len(good) == 8 and not bad


def test_no_more_begin_than_are_predicted_to_fit() -> None:
    device = Device(1_000)
    starts = [device.start(k, 240, predicted=250.0) for k in range(9)]
    good, bad = parts(side_by_side(starts, "cpu", in_turns=True, room=1_000.0))
    assert len(good) == 9 and not bad
    assert set(device.begun.values()) == {1}
    assert device.most == 4 * 240
    device = Device(1_000)  # more than there is room for, and alone it fits all the same
    good, bad = parts(side_by_side([device.start(0, 900, predicted=2_000.0)], "cpu", in_turns=True, room=1.0))
    assert good and not bad


def test_on_a_cpu_one_follows_the_other() -> None:
    device = Device(1_000)
    good, bad = parts(side_by_side([device.start(k, 600) for k in range(4)], "cpu"))
    assert list(good) == [0, 1, 2, 3] and not bad
    assert device.most == 600


def test_a_training_knows_whether_it_is_alone() -> None:
    said: dict[str, list[bool]] = {"short": [], "long": []}

    def training(name: str, windows: int, alone: Alone) -> Turns[str]:
        for _ in range(windows):
            said[name].append(alone())
            yield
        return name

    starts = [
        Start(lambda alone: training("short", 2, alone)),
        Start(lambda alone: training("long", 4, alone)),
    ]
    assert parts(side_by_side(starts, "cpu", in_turns=True)) == ({0: "short", 1: "long"}, {})
    assert said == {"short": [False, False], "long": [False, False, True, True]}


def test_another_error_is_given_at_once_and_the_others_go_on() -> None:
    def broken() -> Turns[str]:
        yield
        raise RuntimeError("device-side assert")

    device = Device(1_000)
    found = list(
        side_by_side(
            [device.start(0, 10), Start(lambda alone: broken()), device.start(2, 10)], "cpu", in_turns=True
        )
    )
    assert [k for k, _ in found] == [1, 0, 2]
    assert isinstance(found[0][1], RuntimeError)
    assert set(device.begun.values()) == {1}


def test_trainings_that_are_not_waited_for_are_closed() -> None:
    device = Device(1_000)
    walk = side_by_side(
        [device.start(0, 10, windows=1), device.start(1, 10, windows=9)], "cpu", in_turns=True
    )
    assert next(walk) == (0, "result 0")
    assert device.taken == 10
    walk.close()
    assert device.taken == 0
