"""Both directions and sequences of several lengths, for every cell of the zoo, against one loop per sequence."""

from typing import Any

import pytest
import torch
from beside_torch import close
from covering import ZOO
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence

from cellsearch.compiler.reference import step
from cellsearch.compiler.torch import sequences
from cellsearch.compiler.torch.recurrent import Recurrent
from cellsearch.dsl import zoo
from cellsearch.dsl.text import parse

D, H = 5, 6
LENGTHS = (2, 4, 1, 3)
STARTS = (0, 3, 1, 6)  # where the clock of each sequence stands


def numbers(*shape: int) -> Tensor:
    return 0.5 * torch.randn(*shape, dtype=torch.float64)


def module(cell: Any, **options: Any) -> Recurrent:
    torch.manual_seed(11)
    return Recurrent(cell, D, H, 2, bidirectional=True, dtype=torch.float64, **options)


def one_sequence(rnn: Recurrent, x: Tensor, states: list[Tensor], start: int) -> tuple[Tensor, list[Tensor]]:
    """What both directions of two layers give for one sequence [T, D], by the plain loop: outputs [T, 2H], and
    the last states, each [4, H]. `states` are like the latter."""
    names = [s.name for s in rnn.cells[0].states]
    below: list[list[dict[str, Tensor]]] = [[{} for _ in x] for _ in range(2)]
    last: list[list[Tensor]] = []
    for layer, cell in enumerate(rnn.cells):
        tables = dict(rnn.layers[layer].named_parameters())
        if "project.weight" in tables:
            x = x @ tables["project.weight"].T
        outputs = torch.zeros(len(x), 2, H, dtype=x.dtype)
        for d in range(2):
            prefix = "reverse." if d else ""
            weights = {n.removeprefix(prefix): p for n, p in tables.items() if n.startswith(prefix)}
            now, earlier = [s[None, len(last)] for s in states], []
            for k, t in enumerate(reversed(range(len(x))) if d else range(len(x))):
                values = step(cell, weights, x[None, t], now, start + k, below[d][t], earlier)
                earlier.append(values)
                now = [values[i] for i in cell.new]
                below[d][t] = dict(zip(names, now, strict=True))
                outputs[t, d] = values[cell.output][0]
            last.append([s[0] for s in now])
        x = outputs.flatten(1)
    return x, [torch.stack(s) for s in zip(*last, strict=True)]


LOWER = parse("cell lower(x; h, c)\nc' = 0.5 * c + tanh[x, h]\nh' = tanh(c')")
UPPER = parse("cell upper(x; h, c)\nc' = sigmoid[before(c), .below(c)] + x * below(h)\nh' = tanh(c')")


@pytest.mark.parametrize(
    "cell",
    [*ZOO, (LOWER, UPPER), (UPPER, LOWER)],
    ids=lambda c: c if isinstance(c, str) else "a list",
)
def test_every_cell_in_both_directions_over_several_lengths(cell: Any) -> None:
    rnn = module(zoo.load(cell) if isinstance(cell, str) else cell)
    xs = [numbers(n, D).requires_grad_() for n in LENGTHS]
    states = [(numbers(4, len(LENGTHS), H) + s.initial).requires_grad_() for s in rnn.cells[0].states]
    clock = [torch.tensor(STARTS)] if rnn.cells[0].clock else []
    starts = STARTS if clock else (0,) * len(LENGTHS)
    leaves = [*xs, *states, *rnn.parameters()]

    given: Any = (*states,)
    if clock:
        fresh = rnn(pack_sequence(xs, enforce_sorted=False))[1][len(states) : -1]
        given += (
            *([torch.zeros_like(v) for v in looked] for looked in fresh),
            *clock,
        )
    output, packed = rnn(pack_sequence(xs, enforce_sorted=False), given)
    last = [packed] if isinstance(packed, Tensor) else list(packed)[: len(states)]
    if clock:
        assert packed[-1].tolist() == [s + n for s, n in zip(STARTS, LENGTHS, strict=True)]

    found = [one_sequence(rnn, x, [s[:, k] for s in states], starts[k]) for k, x in enumerate(xs)]
    expected = pack_sequence([y for y, _ in found], enforce_sorted=False).data
    ends = [torch.stack(s, 1) for s in zip(*(e for _, e in found), strict=True)]
    factors = [torch.randn_like(v) for v in (output.data, *last)]

    def gradients(values: list[Tensor]) -> list[Tensor]:
        loss = sum((v * f).sum() for v, f in zip(values, factors, strict=True))
        assert isinstance(loss, Tensor)
        some = torch.autograd.grad(loss, leaves, allow_unused=True)
        return [torch.zeros_like(v) if g is None else g for g, v in zip(some, leaves, strict=True)]

    ours, theirs = [output.data, *last], [expected, *ends]
    for a, b in zip([*ours, *gradients(ours)], [*theirs, *gradients(theirs)], strict=True):
        close(a, b)


def test_what_is_looked_back_at_is_that_of_each_sequence() -> None:
    cell = parse(
        "cell looks(x; h)\nclock 1, 2, 3\nn = tanh[x, before(x, 2), h, before(h, 3)]\nh' = h + tick * (n - h)"
    )
    torch.manual_seed(1)
    rnn = Recurrent(cell, D, H, 2, dtype=torch.float64)
    xs = [numbers(n, D) for n in (5, 7, 9)]
    whole = rnn(pack_sequence(xs, enforce_sorted=False))
    first, states = rnn(
        pack_sequence([x[:k] for x, k in zip(xs, (3, 1, 4), strict=True)], enforce_sorted=False)
    )
    second, states = rnn(
        pack_sequence([x[k:] for x, k in zip(xs, (3, 1, 4), strict=True)], enforce_sorted=False), states
    )
    for k, x in enumerate(xs):
        alone, last = rnn(x)
        parts = [nn.utils.rnn.unpack_sequence(p)[k] for p in (first, second)]
        close(torch.cat(parts), alone)
        for packed in (states, whole[1]):
            h, earlier, steps = packed
            close(h[:, k], last[0])
            for mine, its in zip(earlier, last[1], strict=True):
                close(mine[..., k, :], its)
            assert int(steps[k]) == int(last[2]) == len(x)


def test_no_step_is_computed_behind_the_end() -> None:
    """The state of this cell overflows after some steps: not within the short sequence, but soon after it."""
    rnn = Recurrent(
        parse("cell grows(x; h)\nh' = [x] + 1e60 * h * h"), D, H, bidirectional=True, dtype=torch.float64
    )
    x = torch.ones(12, 2, D, dtype=torch.float64).requires_grad_()
    x.data[:, 0] = 0
    output, last = rnn(pack_padded_sequence(x, [12, 2]))
    (last[:, 1].sum() + output.data[[1, 3]].sum()).backward()
    assert bool(last[:, 1].isfinite().all()) and not bool(rnn(x)[0][:, 1].isfinite().all())
    assert x.grad is not None and bool(x.grad.isfinite().all())
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in rnn.parameters())
    assert bool((x.grad[2:, 1] == 0).all()) and bool((x.grad[:2, 1] != 0).all())


@pytest.mark.parametrize("lengths", [(4, 4), (4, 2, 2, 1), (1,), (5, 4, 3, 2, 1)], ids=str)
def test_rows_turn_around_within_each_length(lengths: tuple[int, ...]) -> None:
    xs = [torch.randn(n, 2) for n in lengths]
    given = sequences.read(pack_sequence(xs), 2, False)
    assert given.lengths().tolist() == list(lengths)
    around = given.backwards()
    turned = pack_sequence([x.flip(0) for x in xs]).data
    assert torch.equal(given.rows[around], turned)
    assert torch.equal(around[around], torch.arange(len(around)))


def test_windows_give_what_the_whole_gives_with_a_clock() -> None:
    rnn = Recurrent(zoo.load("clockwork"), D, 9, 2, dtype=torch.float64)
    x = numbers(11, 3, D)
    whole, last = rnn(x)
    first, states = rnn(x[:4])
    second, states = rnn(x[4:], states)
    close(torch.cat([first, second]), whole)
    for a, b in zip(states, last, strict=True):
        close(a.double(), b.double())
    assert states[-1].tolist() == [11] * 3
