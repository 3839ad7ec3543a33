"""Recorded steps are the plain ones bit for bit; and between the start of an epoch and its end nothing waits."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from cellsearch.compiler import graphs
from cellsearch.dsl import zoo
from cellsearch.errors import CellsearchError
from cellsearch.train import model, windows
from cellsearch.train.grouping.stacked import alike
from cellsearch.train.steps import Data, Steps

VOCABULARY = 11


def data(scored: float, seed: int = 0) -> Data:
    """Windows of 7 steps and a shorter one, where this share of the positions is scored."""
    generator = torch.Generator().manual_seed(seed)

    def part(length: int) -> list[windows.Window]:
        tokens = torch.randint(VOCABULARY, (4, length), generator=generator)
        targets = tokens.roll(-1, 1).clone()
        targets[torch.rand(4, length, generator=generator) >= scored] = -1
        return windows.cut(tokens, targets, 7)

    return Data(part(40), part(25))


def steps(
    name: str, given: Data, recorded: bool, dtype: torch.dtype = torch.float32, engine: str = "auto"
) -> Steps:
    shape = model.Shape(zoo.load(name), VOCABULARY, 2, 8)
    rows = model.first_rows(shape, [1.0, 0.7, 0.5], [1, 2, 3], dtype)
    return Steps(shape, given, rows, torch.full((3,), 1.0, dtype=dtype), recorded=recorded, engine=engine)


def train(made: Steps, epochs: int = 2) -> list[tuple[np.ndarray, ...]]:
    found = []
    for _ in range(epochs):
        for walk in (made.train(np.array([0.5, 0.3, 0.1])), made.score()):
            for _ in walk:
                pass
        found.append(made.found())
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", ["lstm", "clockwork", "mut1", "qrnn", "depth_gated_lstm"])
def test_recorded_steps_are_the_plain_ones_bit_for_bit(name: str, dtype: torch.dtype) -> None:
    """Clocks and looks back go on over windows, and the shorter window at the end is one of its own."""
    given = data(scored=1.0)
    plain, recorded = (steps(name, given, r, dtype) for r in (False, True))
    for ours, theirs in zip(train(recorded), train(plain), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert torch.equal(recorded.rows, plain.rows)


@pytest.mark.parametrize("scored", [0.0, 0.3, 0.8])
def test_windows_that_are_filled_up_come_to_the_same(scored: float) -> None:
    given = data(scored)
    plain, recorded = (steps("gru", given, r, torch.float64) for r in (False, True))
    if not scored:
        with pytest.raises(CellsearchError, match="no scored positions"):
            train(recorded)
        return
    for ours, theirs in zip(train(recorded), train(plain), strict=True):
        assert all(np.allclose(a, b, rtol=1e-12) for a, b in zip(ours, theirs, strict=True))
    assert torch.allclose(recorded.rows, plain.rows, rtol=1e-12, atol=1e-14)


def test_windows_alike_hold_what_each_window_holds() -> None:
    given = data(0.4)
    groups = alike(given.train)
    assert [len(g) for g in groups] == [5, 1]
    k = 0
    for group in groups:
        assert group.count == sum(len(w.targets) for w in given.train[k : k + len(group)])
        for index in range(len(group)):
            window, found = given.train[k], group.at(torch.tensor([index]))
            assert torch.equal(found.inputs, window.inputs)
            n = len(window.targets)
            assert found.positions is not None and window.positions is not None
            assert torch.equal(found.positions[:n], window.positions)
            assert torch.equal(found.targets[:n], window.targets)
            assert len(set(found.positions.tolist())) == len(found.positions)  # nothing is written twice
            if found.scored is not None:
                assert found.scored.tolist() == [True] * n + [False] * (len(found.targets) - n)
            k += 1


def test_a_member_that_diverges_does_so_alone() -> None:
    made = steps("rnn", data(1.0), recorded=True)
    with torch.no_grad():
        made.rows[1, 0] = float("inf")
    broken, loss, _ = train(made, 1)[0]
    assert broken.tolist() == [False, True, False]
    assert np.isfinite(loss).tolist() == [True, False, True]


@pytest.mark.parametrize("vocabulary", [3, 11, 200])
def test_the_gradient_of_an_embedding_as_products(vocabulary: int) -> None:
    """By symbol where there are fewer of them than positions, else by first positions."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(min(vocabulary, 40), (60,), generator=generator)
    d_x = torch.randn(2, 60, 5, generator=generator, dtype=torch.float64)
    found, wanted = (torch.full((2, vocabulary, 5), torch.nan, dtype=torch.float64) for _ in range(2))
    model.add_by_products(found, tokens, d_x)
    wanted.zero_().index_add_(1, tokens, d_x)
    assert torch.allclose(found, wanted, rtol=1e-13, atol=1e-14)


class Waiting(AssertionError):
    """Something on a GPU would have made the host wait."""


class NobodyWaits(TorchDispatchMode):
    """Refuses what makes the host wait for a GPU: numbers and shapes that depend on data, copies to and from
    the host."""

    BY_DATA = (
        "aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::_unique2", "aten::equal",
        "aten::unique_consecutive", "aten::unique_dim", "aten::is_nonzero", "aten::bincount",
        "aten::repeat_interleave.Tensor",
    )  # fmt: skip

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        name = function.name()
        if name.startswith(self.BY_DATA):
            raise Waiting(name)
        if name.startswith("aten::lift") and args[0].dim() > 0:  # torch.tensor(a list)
            raise Waiting("numbers from the host")
        if name.startswith("aten::index.") and any(i is not None and i.dtype == torch.bool for i in args[1]):
            raise Waiting("an index by a mask")
        return function(*args, **(kwargs or {}))


@contextmanager
def nobody_waits() -> Iterator[None]:
    with NobodyWaits():
        yield


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.sum().item(),
        lambda x: bool((x > 0).any()),
        lambda x: x.nonzero(),
        lambda x: x[x > 0],
        lambda x: x * torch.tensor([1.0, 2.0, 3.0]),
        lambda x: x.unique(),
    ],
)
def test_the_guard_sees_what_waits(call) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(Waiting), nobody_waits():
        call(torch.randn(3))


@pytest.mark.parametrize("name", ["lstm", "clockwork", "low_rank_lstm", "qrnn", "layernorm_lstm", "slstm"])
@pytest.mark.parametrize("recorded", [False, True])
def test_nobody_waits_inside_an_epoch(name: str, recorded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The calls that a GPU gets, on a CPU. What is the same for every window lies ready after the first one."""
    monkeypatch.setattr(model, "_embedding_gradient", lambda to, *of: model.add_by_products(to, *of[:2]))
    made = steps(name, data(0.5), recorded, engine="eager")
    train(made, 1)
    made.rates.fill_(0.1)
    with nobody_waits():
        for _ in made._walk("train", made._train):
            pass
        for _ in made._walk("valid", made._score):
            pass


def test_without_a_gpu_a_step_is_called_as_it_is() -> None:
    calls = []
    step = graphs.capture(lambda: calls.append(1), [torch.zeros(1)], graphs.place(torch.device("cpu")))
    assert not calls
    step()
    assert calls == [1]
