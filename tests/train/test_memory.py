"""Memory: what is predicted against the growth of a process, and batches that are cut beforehand."""

import sys
from dataclasses import replace

import pytest
from mutants import mutants

from cellsearch.analysis.bench.footprint import Case, measured
from cellsearch.compiler.engines.native import toolchain
from cellsearch.dsl import zoo
from cellsearch.dsl.graph import Cell
from cellsearch.tasks import build
from cellsearch.tasks.data import Dataset
from cellsearch.train import model
from cellsearch.train.evaluate import evaluate
from cellsearch.train.grouping import batch as batching
from cellsearch.train.grouping.batch import Batch, cut, waves
from cellsearch.train.population import Member
from cellsearch.train.resources.memory import batches, memory
from cellsearch.train.settings import Grid, Setting, Training, keys

T = Training()


def shape(cell: Cell | str, vocabulary: int = 50, layers: int = 1, hidden: int = 64) -> model.Shape:
    return model.Shape(zoo.load(cell) if isinstance(cell, str) else cell, vocabulary, layers, hidden)


def test_by_hand_for_an_rnn() -> None:
    """h' = tanh[x, h]: one slot that tanh takes over, one state, one gradient of a slot and one of x."""
    of = memory(shape("rnn", 50, 1, 64), 3, T)
    value = 3 * 35 * 20 * 64 * 4
    state = 3 * 36 * 20 * 64 * 4
    assert of.weights == 2 * 3 * 4 * (2 * 50 * 64 + 50 + 2 * 64 * 64 + 64)
    tape = (
        of.tape - 2 * value - 2 * state
    )  # embedded inputs, d_outputs; the state of this window and the last
    assert tape in (0, value)  # whether the new state has a slot besides is the plan's choice
    assert of.backward == 2 * value
    assert of.total == of.weights + of.tape + max(of.backward, of.output) + of.kept


@pytest.mark.parametrize(
    "cell", [zoo.load("lstm"), zoo.load("depth_gated_lstm"), *mutants(6)], ids=lambda c: c.name
)
def test_more_of_anything_takes_more(cell: Cell) -> None:
    base = memory(shape(cell, layers=2), 4, T).total
    assert base < memory(shape(cell, layers=2), 5, T).total
    assert base < memory(shape(cell, layers=3), 4, T).total
    assert base < memory(shape(cell, layers=2, hidden=65), 4, T).total
    assert base < memory(shape(cell, vocabulary=60, layers=2), 4, T).total
    assert base < memory(shape(cell, layers=2), 4, replace(T, steps=40)).total
    assert base < memory(shape(cell, layers=2), 4, replace(T, batch=30)).total
    assert base < memory(shape(cell, layers=2), 4, replace(T, dtype="float64")).total
    assert memory(shape(cell, layers=2), 4, T, "cpu").total <= base


@pytest.mark.skipif(toolchain.compiler() is None, reason="no C compiler here")
def test_in_c_logits_take_no_more_from_a_block_of_positions_on() -> None:
    """240 positions are a block. Without blocks one member of the third would have 28 MB of logits."""
    of = shape("lstm", 10_000, 1, 200)
    few, block, many = (memory(of, 1, replace(T, steps=steps), "cpu").output for steps in (6, 12, 36))
    assert few < block
    assert block == many
    assert 240 * 10_000 * 4 < block < 12e6


def test_batches_are_as_few_and_as_even_as_the_bound_allows() -> None:
    of = shape("lstm", 50, 2, 128)
    one, twenty = memory(of, 1, T).total, memory(of, 20, T).total
    assert batches(of, 20, T, twenty) == [20]
    assert batches(of, 20, T, twenty - 1) == [10, 10]
    assert batches(of, 20, T, memory(of, 7, T).total) == [7, 7, 6]
    assert batches(of, 20, T, one) == [1] * 20
    assert batches(of, 20, T, one - 1) == ()
    for bound in range(one, twenty, (twenty - one) // 17):
        sizes = batches(of, 20, T, bound)
        assert sum(sizes) == 20
        assert max(memory(of, size, T).total for size in sizes) <= bound
        assert max(sizes) - min(sizes) <= 1


GRID = Grid((1.0,), (0.1, 0.2, 0.5, 1.0), (1.0, 5.0), (1, 2), (1500,))
EXACT = Training(max_epochs=3, batch=10, steps=20, dtype="float64")


@pytest.fixture(scope="module")
def memorize() -> Dataset:
    options = {"symbols": 2, "alphabet": 5, "train": 1200, "valid": 400, "test": 400}
    return build("memorize", options, batch=10, seed=1, data=None)


def members(count: int) -> list[Member]:
    return [Member(i, Setting(1.0, 0.1, 1.0, 1, 1), i) for i in range(count)]


@pytest.mark.parametrize("rungs", [(), (1, 2)])
def test_a_stage_that_is_cut_comes_to_what_it_comes_to_whole(
    memorize: Dataset, rungs: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    real = batching.Population

    def population(shape, part, *rest):  # type: ignore[no-untyped-def]
        made.append(len(part))
        return real(shape, part, *rest)

    monkeypatch.setattr(batching, "Population", population)
    training = replace(EXACT, rungs=rungs)
    cell = zoo.load("gru")
    whole = evaluate(cell, memorize, GRID, range(16), training, seed=1)
    assert made == [8, 8]
    made.clear()
    bound = memory(shape(cell, memorize.vocabulary, 2, 10), 3, training).total
    found = evaluate(cell, memorize, GRID, range(16), training, seed=1, memory=bound)
    assert len(made) > 4
    for a, b in zip(found, whole, strict=True):
        assert (a.status, a.accuracy, a.epochs, a.trained) == (b.status, b.accuracy, b.epochs, b.trained)
        assert a.loss == pytest.approx(b.loss, rel=1e-9)
        assert a.note == ""  # it was meant so
    again = evaluate(cell, memorize, GRID, range(16), training, seed=1, memory=bound)
    assert again == found


def test_a_setting_that_does_not_fit_alone_fails_and_says_the_numbers(memorize: Dataset) -> None:
    """Of one and two layers the latter take more."""
    cell = zoo.load("gru")
    found = evaluate(cell, memorize, GRID, range(16), EXACT, seed=1)
    narrow, wide = sorted(
        {(o.hidden, GRID[keys(GRID)[o.setting]].layers) for o in found}, key=lambda pair: pair[1]
    )
    needed = [memory(shape(cell, memorize.vocabulary, n, h), 1, EXACT).total for h, n in (narrow, wide)]
    assert needed[0] < needed[1]
    cut_ = evaluate(cell, memorize, GRID, range(16), EXACT, seed=1, memory=needed[1] - 1)
    for outcome in cut_:
        if GRID[keys(GRID)[outcome.setting]].layers == 1:
            assert outcome.status == "done"
        else:
            assert (outcome.status, outcome.accuracy, outcome.trained) == ("failed", None, 0)
            assert f"2 layers of {wide[0]} units takes about {needed[1] / 1e9:.3g} GB" in outcome.cause
            assert "budget.memory_gb" in outcome.cause


def test_batches_train_side_by_side_as_far_as_the_bound_goes() -> None:
    of = [shape("gru", hidden=h) for h in (64, 32, 128, 16, 200)]
    made = [cut(s, members(4), T, "cpu", None) for s in of]
    peaks = [memory(s, 4, T).total for s in of]
    assert waves(made, None) == [[0, 1, 2, 3, 4]]
    assert waves(made, sum(peaks)) == [[0, 1, 2, 3, 4]]
    assert waves(made, sum(peaks[:3])) == [[0, 1, 2], [3, 4]]
    assert waves(made, max(peaks)) == [[0, 1], [2], [3], [4]] or waves(made, max(peaks))[-1] == [4]
    assert [k for wave in waves(made, 1) for k in wave] == [
        0,
        1,
        2,
        3,
        4,
    ]  # one that has failed takes nothing
    assert waves([Batch([])], 1) == [[0]]


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="it reads what Linux tells of a process")
@pytest.mark.parametrize(
    "case", [("lstm", 50, 2, 160, 30), ("gru", 8000, 1, 128, 6)], ids=["wide", "many symbols"]
)
def test_the_growth_of_a_process_is_as_predicted(case: tuple[str, int, int, int, int]) -> None:
    """The tolerance is wide: an allocator does as it likes."""
    done = measured(Case(*case))
    if "Permission" in done.stderr:
        pytest.skip("this system does not let a process reset its peak")
    assert done.returncode == 0, done.stderr
    name, vocabulary, layers, hidden, count = case
    predicted = memory(shape(name, vocabulary, layers, hidden), count, T, "cpu").total
    assert 0.6 < predicted / int(done.stdout) < 1.5
