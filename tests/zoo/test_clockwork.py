"""The clockwork RNN (Koutnik et al. 2014) with any periods and widths, against its definition by blocks: a group of
units is computed when its period divides the time step, from groups of its own or a longer period, and copies
its last value otherwise.
"""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from zoo.plain import TOLERANCE, Now, Step, Weights, differences

from cellsearch.compiler.torch.recurrent import Recurrent
from cellsearch.dsl import zoo
from cellsearch.dsl.graph import Cell
from cellsearch.dsl.text import parse
from cellsearch.dsl.weights import count

CLOCKS = [
    ((1, 2, 4, 8), 8),
    ((1, 2, 4, 8), 6),  # two units left, for the periods 1 and 2
    ((1, 2, 4, 8), 11),
    ((1, 2, 4, 8, 16, 32, 64, 128, 256), 11),  # the nine groups of the paper's first task
    ((1, 3, 5), 7),  # no period divides another
    ((2, 3), 5),  # nobody ticks at every step
    ((4, 2, 1), 7),  # not sorted: the unit left goes to the last group
    ((3, 1, 3), 8),  # two groups of one period hear each other
    ((5,), 4),
    ((1,), 4),
    ((1, 2, 4, 8), 3),  # a group without units
]


def groups(periods: Sequence[int], hidden: int) -> list[range]:
    """The units of each group: as many for each as divide, the rest one each to the shortest periods."""
    sizes = [hidden // len(periods)] * len(periods)
    by_speed = sorted(range(len(periods)), key=lambda g: periods[g])
    for g in by_speed[: hidden % len(periods)]:
        sizes[g] += 1
    ends = [sum(sizes[: g + 1]) for g in range(len(periods))]
    return [range(end - size, end) for end, size in zip(ends, sizes, strict=True)]


def blockwise(periods: Sequence[int], hidden: int) -> Step:
    units = groups(periods, hidden)

    def step(p: Weights, now: Now, h: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        parts = []
        for mine, period in zip(units, periods, strict=True):
            if now.t % period:
                parts.append(h[:, list(mine)])
                continue
            total = now.x @ p["n.x"][:, list(mine)] + p["n.bias"][list(mine)]
            for theirs, other in zip(units, periods, strict=True):
                if other >= period:
                    block = p["n.h"][list(theirs)][:, list(mine)]
                    total = total + h[:, list(theirs)] @ block
            parts.append(torch.tanh(total))
        h = torch.cat(parts, -1)
        return h, (h,)

    return step


def with_clock(periods: Sequence[int]) -> Cell:
    text = zoo.text("clockwork")
    return parse(text.replace("clock 1, 2, 4, 8\n", f"clock {', '.join(map(str, periods))}\n"))


@pytest.mark.parametrize("periods, hidden", CLOCKS, ids=lambda value: str(value).replace(" ", ""))
def test_equals_its_definition(periods: Sequence[int], hidden: int) -> None:
    found = differences(with_clock(periods), blockwise(periods, hidden), hidden=hidden, length=12)
    assert max(found.values()) < TOLERANCE, found


def test_the_zoo_cell() -> None:
    cell = zoo.load("clockwork")
    found = differences(cell, blockwise((1, 2, 4, 8), 9), hidden=9, length=20)
    assert max(found.values()) < TOLERANCE, found


@pytest.mark.parametrize("groups_", [1, 2, 3, 4, 8])
def test_recurrent_parameters_are_those_of_the_paper(groups_: int) -> None:
    """(g + 1) / (2 g) of the SRN's n squared, in section 3 of the paper: n n/2 + n k/2."""
    n, d = 24, 7
    cell = with_clock([2**i for i in range(groups_)])
    recurrent = count(cell, d, n) - (d * n + n)
    assert recurrent * 2 * groups_ == n * n * (groups_ + 1)
    k = n // groups_
    assert 2 * recurrent == n * n + n * k


def test_the_example_of_figure_2() -> None:
    """At t = 6 the groups with the periods 1 and 2 are computed, and those of 4, 8 and 16 keep their values."""
    torch.manual_seed(0)
    rnn = Recurrent(with_clock((1, 2, 4, 8, 16)), 3, 10, dtype=torch.float64)
    output, _ = rnn(torch.randn(7, 1, 3, dtype=torch.float64))
    moved = (output[6, 0] != output[5, 0]).tolist()
    assert moved == [True] * 4 + [False] * 6


def test_with_one_period_it_is_the_plain_network() -> None:
    def plain(p: Weights, now: Now, h: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        h = torch.tanh(now.x @ p["n.x"] + h @ p["n.h"] + p["n.bias"])
        return h, (h,)

    found = differences(with_clock((1, 1)), plain, hidden=5)
    assert max(found.values()) < TOLERANCE, found
