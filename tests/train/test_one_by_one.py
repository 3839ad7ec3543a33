"""Members that go through a window one by one, on one tape: not a bit differs from all of them at once."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from cellsearch.compiler.engines.native import one_by_one, toolchain
from cellsearch.compiler.engines.native.one_by_one import OneByOne
from cellsearch.compiler.run.order import Together, some
from cellsearch.dsl import zoo
from cellsearch.train import model, windows
from cellsearch.train.model import Shape

pytestmark = pytest.mark.skipif(toolchain.compiler() is None, reason="no C compiler here")

MEMBERS, STEPS, BATCH = 4, 6, 5


def passed(name: str, sizes: tuple[torch.dtype, int, int], layers: int, masked: bool) -> Iterator[Tensor]:
    """Everything that comes of two windows, in training and without it."""
    dtype, hidden, vocabulary = sizes
    shape = Shape(zoo.load(name), vocabulary, layers, hidden)
    rows = model.first_rows(shape, [1.0] * MEMBERS, range(MEMBERS), dtype)
    tokens = torch.randint(vocabulary, (BATCH, 2 * STEPS), generator=torch.Generator().manual_seed(1))
    targets = tokens.roll(1, 1)
    if masked:
        targets[:, ::3] = -1
    states, at = model.first_states(shape, MEMBERS, BATCH, rows), 0
    for window in windows.cut(tokens, targets, STEPS):
        gradient = torch.full_like(rows, torch.nan)
        score, states = model.run(shape, rows, window, states, at, gradient)
        looked, _ = model.run(shape, rows, window, states, at)
        at += STEPS
        yield from (score.loss, score.right, gradient, looked.loss, looked.right)
        yield from (state for layer in states for state in layer)


# its weights stand alone, a clock, a norm, a matrix that is made, inputs of the steps before, states below
CELLS = (
    "lstm", "mut1", "peephole_lstm", "clockwork", "layernorm_lstm", "low_rank_lstm", "qrnn", "depth_gated_lstm"
)  # fmt: skip


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    ("sizes", "layers"),
    [
        ((torch.float32, 19, 40), 2),  # more symbols than a table pays for
        ((torch.float32, 16, 3), 1),
        ((torch.float64, 16, 15), 2),
    ],
)
def test_one_by_one_changes_no_bit(
    name: str,
    masked: bool,
    sizes: tuple[torch.dtype, int, int],
    layers: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alone = list(passed(name, sizes, layers, masked))
    monkeypatch.setattr(model, "OneByOne", lambda members, *_, **__: Together(members))
    together = list(passed(name, sizes, layers, masked))
    assert len(alone) == len(together) > 10
    for a, b in zip(alone, together, strict=True):
        assert torch.equal(a, b)


def values(*shape: int) -> Tensor:
    return torch.arange(1.0, 1 + torch.Size(shape).numel()).view(shape)


def test_every_step_of_an_order_gives_the_same() -> None:
    """By one tape, and by room for each member."""
    table, rows, symbols = values(3, 4, 2), values(3, 5, 2), torch.tensor([1, 0, 1, 3, 1])

    def of(order: Together) -> list[Tensor]:
        tape, added = order.empty(table, 4, 2), order.zeros(table, 4, 2)
        order.copy(tape, table)
        seen = order.lookup(tape, symbols)
        sums = table.new_empty(3, 4, 2)
        order.add_up(sums, symbols, rows)

        def add(members: slice) -> None:
            some(added, members).add_(some(tape, members))  # twice what it was, were it not zero again

        order.work(add)
        turned = table.new_empty(3, 2, 4)
        order.copy(turned, tape.transpose(1, 2))  # not side by side
        found = [order.keep(value) for value in (tape, added, seen)]
        order.last(lambda: found.append(found[1] + found[0]))
        order.run()
        return [*found, sums, turned]

    one, together = of(OneByOne(3, torch.float32)), of(Together(3))
    assert len(one) == 6
    for a, b in zip(one, together, strict=True):
        assert torch.equal(a, b)
    wanted = torch.zeros(3, 4, 2).index_add_(1, symbols, rows)
    assert torch.equal(one[-2], wanted)


def test_one_tape_serves_all() -> None:
    order = OneByOne(1000, torch.float32)
    assert order.empty(torch.zeros(1), 50, 7).untyped_storage().nbytes() == 50 * 7 * 4


def test_clocked_members_count_their_parts() -> None:
    one_by_one.times()
    shape = Shape(zoo.load("gru"), 5, 1, 8)
    rows = model.first_rows(shape, [1.0] * 2, range(2), torch.float32)
    tokens = torch.randint(5, (4, 31), generator=torch.Generator().manual_seed(0))
    window = windows.cut(tokens[:, :-1], tokens[:, 1:], 30)[0]
    states = model.first_states(shape, 2, 4, rows)
    model.run(shape, rows, window, states, 0, torch.zeros_like(rows), "native")
    assert not any(one_by_one.times().values())
    model.run(shape, rows, window, states, 0, torch.zeros_like(rows), "clocked")
    found = one_by_one.times()
    assert found[one_by_one.LAYERS] > 0
    assert found[one_by_one.OUTPUT] > 0
