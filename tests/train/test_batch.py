"""Out of memory: the batch is halved, healthy members keep what they come to, the guilty one alone fails."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch

from cellsearch.dsl import zoo
from cellsearch.tasks import build
from cellsearch.tasks.data import Dataset
from cellsearch.train import population as populations
from cellsearch.train.evaluate import evaluate
from cellsearch.train.outcome import Outcome
from cellsearch.train.resources.shortage import SAID, ran_out
from cellsearch.train.settings import Grid, Training
from cellsearch.train.steps import Steps

GRID = Grid((1.0,), (0.1, 0.2, 0.5, 1.0), (1.0, 5.0), (1,), (1500,))  # eight settings of one shape
EXACT = Training(max_epochs=3, batch=10, steps=20, dtype="float64")
CUDA = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nand how to avoid it")
CPU = RuntimeError(
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
    "allocate 8000000000 bytes. Error code 12 (Cannot allocate memory)"
)


@pytest.fixture(scope="module")
def memorize() -> Dataset:
    options = {"symbols": 2, "alphabet": 5, "train": 2000, "valid": 400, "test": 400}
    return build("memorize", options, batch=10, seed=1, data=None)


@pytest.fixture(scope="module")
def whole(memorize: Dataset) -> list[Outcome]:
    return evaluate(zoo.load("gru"), memorize, GRID, range(8), EXACT, seed=1)


def failing(
    monkeypatch: pytest.MonkeyPatch, error: Exception, when: Callable[[torch.Tensor, int], bool]
) -> list[tuple[int, bool]]:
    """Makes an epoch of training fail in its middle where `when` says so of rows and how many epochs were begun;
    gives the list of (members in the batch, failed) of every epoch."""
    real = Steps.train
    seen: list[tuple[int, bool]] = []

    def train(self: Steps, rates: np.ndarray) -> Iterator[None]:
        fails = when(self.rows, len(seen))
        seen.append((len(self.rows), fails))
        walk = real(self, rates)
        if fails:
            yield from islice(walk, 3)  # the rows are no longer what they were
            raise error
        yield from walk

    monkeypatch.setattr(Steps, "train", train)
    return seen


def same(found: Outcome, expected: Outcome) -> None:
    assert (found.status, found.accuracy, found.epochs, found.trained) == (
        expected.status, expected.accuracy, expected.epochs, expected.trained,
    )  # fmt: skip
    assert found.loss == pytest.approx(expected.loss, rel=1e-9)


@pytest.mark.long
@pytest.mark.parametrize("error", [CUDA, CPU, MemoryError()], ids=["cuda", "cpu", "python"])
def test_a_batch_that_is_too_large_is_halved_until_it_fits(
    memorize: Dataset, whole: list[Outcome], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    seen = failing(monkeypatch, error, lambda rows, _: len(rows) > 3)
    found = evaluate(zoo.load("gru"), memorize, GRID, range(8), EXACT, seed=1)
    for a, b in zip(found, whole, strict=True):
        same(a, b)
        assert a.note == "out of memory with 8 settings at once; trained in a batch of 2"
        assert b.note == ""
    assert [n for n, fails in seen if fails] == [8, 4, 4]
    assert [n for n, fails in seen if not fails] == [2] * 4 * 3


def test_members_that_had_ended_keep_their_results_and_are_not_trained_again(
    memorize: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch fails in its third epoch, when some of the eight have reached 0.35 and left."""
    cell, training = zoo.load("gru"), replace(EXACT, max_epochs=5)
    expected = evaluate(cell, memorize, GRID, range(8), training, seed=1, stop_at=0.35)
    early = [o for o in expected if o.trained < 3]
    assert 2 <= len(early) <= 6
    seen = failing(monkeypatch, CUDA, lambda _, epochs: epochs == 2)
    found = evaluate(cell, memorize, GRID, range(8), training, seed=1, stop_at=0.35)
    for a, b in zip(found, expected, strict=True):
        same(a, b)
        assert bool(a.note) == (b not in early)
    left = 8 - len(early)
    assert [n for n, fails in seen if fails] == [left]
    assert {n for n, _ in seen[3:]} <= {left // 2, left - left // 2, 1, 2}


@pytest.mark.long
def test_the_member_that_does_not_fit_alone_fails_alone(
    memorize: Dataset, whole: list[Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever batch holds the first weights of setting 5 runs out of memory."""
    guilty = zoo.load("gru")
    first: list[torch.Tensor] = []
    real = populations.model.first_rows

    def first_rows(shape, scales, seeds, dtype):  # type: ignore[no-untyped-def]
        rows = real(shape, scales, seeds, dtype)
        if not first:
            first.append(rows[5].clone())
        return rows

    monkeypatch.setattr(populations.model, "first_rows", first_rows)
    failing(monkeypatch, CPU, lambda rows, _: bool((rows == first[0]).all(1).any()))
    found = evaluate(guilty, memorize, GRID, range(8), EXACT, seed=1)
    assert [o.status for o in found] == ["done"] * 5 + ["failed"] + ["done"] * 2
    assert found[5].accuracy is None
    assert found[5].cause.startswith("out of memory, alone in its batch (H=")
    assert "8000000000 bytes" in found[5].cause
    for k in (0, 1, 2, 3, 4, 6, 7):
        same(found[k], whole[k])


def test_with_rungs_halves_are_trained_to_where_the_others_are(
    memorize: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = replace(EXACT, rungs=(1, 2))
    expected = evaluate(zoo.load("gru"), memorize, GRID, range(8), training, seed=1)
    seen = failing(monkeypatch, CUDA, lambda rows, epochs: epochs == 1 and len(rows) == 4)
    found = evaluate(zoo.load("gru"), memorize, GRID, range(8), training, seed=1)
    for a, b in zip(found, expected, strict=True):
        same(a, b)
    assert sorted(o.trained for o in found) == [1] * 4 + [2] * 2 + [3] * 2
    assert [n for n, fails in seen if fails] == [4]
    assert sum(bool(o.note) for o in found) == 4


def test_other_errors_are_raised(memorize: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, RuntimeError("CUDA error: device-side assert triggered"), lambda *_: True)
    with pytest.raises(RuntimeError, match="device-side assert"):
        evaluate(zoo.load("gru"), memorize, GRID, range(2), EXACT, seed=1)


def test_what_says_that_memory_is_short() -> None:
    assert all(map(ran_out, (CUDA, CPU, MemoryError("x"), RuntimeError("std::bad_alloc"))))
    assert ran_out(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"))
    assert not ran_out(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not ran_out(ValueError("out of memory"))
    assert set(SAID) & {"can't allocate memory"}


LIMITED = """
import resource, sys
import torch
torch.set_num_threads(1)
from dataclasses import replace
from cellsearch.dsl import zoo
from cellsearch.tasks import build
from cellsearch.train.evaluate import evaluate
from cellsearch.train.settings import Grid, Training

options = {"symbols": 2, "alphabet": 5, "train": 400, "valid": 200, "test": 200}
data = build("memorize", options, batch=10, seed=1, data=None)
grid = Grid((1.0,), (0.1, 0.2, 0.5, 1.0), (1.0, 5.0), (1,), (1_000_000,))
small = replace(grid, parameters=(2000,))
training = Training(max_epochs=1, batch=10, steps=20)
cell = zoo.load("gru")
evaluate(cell, data, small, [0], training, seed=1)  # what is loaded and compiled at the first use
free = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (free + %d * 1_000_000,) * 2)
for outcome in evaluate(cell, data, grid, range(8), training, seed=1):
    print(outcome.status, "|", outcome.note, "|", outcome.cause)
"""


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="the limit of address space is Linux's")
@pytest.mark.parametrize(
    ("megabytes", "status"), [(40, "done"), (5, "failed")], ids=["two at once", "none at all"]
)
def test_a_real_allocator_that_refuses(megabytes: int, status: str) -> None:
    """Members of 4 MB of weights, and as much of gradient: eight do not fit in the address space, and in the
    smallest one not even one."""
    program = LIMITED % megabytes
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 8
    for line in lines:
        found, note, cause = line.split(" | ")
        assert found == status
        assert note.startswith("out of memory with 8 settings at once; trained in a batch of ")
        assert ("out of memory, alone in its batch" in cause) == (status == "failed")
