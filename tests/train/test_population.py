"""A population: bit for bit what the plain loop comes to, in one go or in pieces; and what rungs make of it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from cellsearch.dsl import zoo
from cellsearch.tasks import build
from cellsearch.tasks.data import Dataset
from cellsearch.train import halving, model, schedule
from cellsearch.train.evaluate import evaluate, member_seed, on_device
from cellsearch.train.outcome import Outcome
from cellsearch.train.population import Member, Population, Result
from cellsearch.train.resources import cost
from cellsearch.train.settings import Grid, Training, key
from cellsearch.train.steps import Data, Steps
from cellsearch.train.windows import Window

GRID = Grid((0.7, 1.0), (0.05, 0.2, 0.5, 1e38), (1.0, 1e30), (1, 2), (1000, 2000))
SHORT = Training(max_epochs=9, batch=10, steps=20, patience=1, halvings=2)


@pytest.fixture(scope="module")
def memorize() -> Dataset:
    options = {"symbols": 2, "alphabet": 5, "train": 4000, "valid": 800, "test": 800}
    return build("memorize", options, batch=10, seed=1, data=None)


@pytest.fixture(scope="module")
def data(memorize: Dataset) -> Data:
    return on_device(memorize, SHORT.steps, "cpu")


def members(indices: range) -> list[Member]:
    return [Member(i, GRID[i], member_seed(4, zoo.load("gru"), "memorize", i)) for i in indices]


def train_epoch(
    shape: model.Shape,
    windows: Sequence[Window],
    rows: Tensor,
    gradient: Tensor,
    rates: Tensor,
    norms: Tensor,
) -> np.ndarray:
    """One pass of plain SGD with each member's gradient scaled to its norm; says whose gradient was not
    finite [K]."""
    states = model.first_states(shape, rows.shape[0], windows[0].inputs.shape[1], rows)
    broken = torch.zeros(rows.shape[0], dtype=torch.bool, device=rows.device)
    start = 0
    for window in windows:
        _, states = model.run(shape, rows, window, states, start, gradient)
        start += len(window.inputs)
        norm = torch.linalg.vector_norm(gradient, dim=1)
        broken |= ~torch.isfinite(norm)
        factor = rates * torch.clamp(norms / norm, max=1.0)
        factor = torch.where(broken, 0.0, factor)
        rows.addcmul_(gradient, -factor[:, None])
    return broken.numpy()


def score(shape: model.Shape, windows: Sequence[Window], rows: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Mean loss in nats and accuracy of each member [K] on a part."""
    states = model.first_states(shape, rows.shape[0], windows[0].inputs.shape[1], rows)
    loss = torch.zeros(rows.shape[0], dtype=torch.float64, device=rows.device)
    right = torch.zeros(rows.shape[0], dtype=torch.int64, device=rows.device)
    start, total = 0, 0
    for window in windows:
        found, states = model.run(shape, rows, window, states, start)
        start += len(window.inputs)
        loss += found.loss
        right += found.right
        total += found.count
    return (loss / total).numpy(), (right / total).numpy()


def plain(
    shape: model.Shape, data: Data, these: list[Member], training: Training, stop_at: float | None
) -> dict[int, Result]:
    """Training without rungs, as one loop that holds nothing between two epochs but what it has to."""
    dtype = {"float32": torch.float32, "float64": torch.float64}[training.dtype]
    settings = [m.setting for m in these]
    rows = model.first_rows(shape, [s.init_scale for s in settings], [m.seed for m in these], dtype)
    gradient = torch.zeros_like(rows)
    norms = torch.tensor([s.max_norm for s in settings], dtype=dtype)
    plan = schedule.begin(np.array([s.learning_rate for s in settings]))
    results = [Result() for _ in settings]
    standing = np.arange(len(settings))
    epoch = 0
    while True:
        epoch += 1
        rates = torch.tensor(plan.rate * ~plan.stopped, dtype=dtype)
        broken = train_epoch(shape, data.train, rows, gradient, rates, norms)
        loss, accuracy = score(shape, data.valid, rows)
        finite = np.isfinite(loss) & ~broken
        for k in np.flatnonzero(~plan.stopped):
            i = standing[k]
            if not finite[k]:
                cause = "gradient non-finite" if broken[k] else "loss non-finite"
                results[i] = Result("diverged", None, None, epoch, f"{cause} in epoch {epoch}", epoch)
            elif results[i].accuracy is None or accuracy[k] > results[i].accuracy:
                results[i] = Result("done", float(accuracy[k]), float(loss[k]), epoch, "", epoch)
            else:
                results[i] = replace(results[i], trained=epoch)
        plan = schedule.after_epoch(plan, np.where(finite, loss, np.inf), training)
        ended = plan.stopped | ~finite | (epoch >= (training.max_epochs or np.inf))
        if stop_at is not None:
            ended |= finite & (accuracy >= stop_at)
        plan.stopped[:] = ended
        if ended.all():
            return {m.index: r for m, r in zip(these, results, strict=True)}
        if ended.mean() >= 0.25:
            stay = np.flatnonzero(~ended)
            rows, norms = rows[stay], norms[stay]
            gradient = torch.zeros_like(rows)
            standing, plan = standing[stay], plan.keep(stay)


@pytest.mark.long
@pytest.mark.parametrize("stop_at", [None, 0.4])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_in_one_go_and_in_pieces_it_is_the_plain_loop_bit_for_bit(
    data: Data, memorize: Dataset, dtype: str, stop_at: float | None
) -> None:
    training, these = replace(SHORT, dtype=dtype), members(range(0, 64, 4))
    shape = model.Shape(zoo.load("gru"), memorize.vocabulary, 2, 9)
    expected = plain(shape, data, these, training, stop_at)
    assert len({(r.status, r.epochs) for r in expected.values()}) > 3  # they end in many ways
    whole = Population(shape, these, training, stop_at=stop_at)
    whole.advance(data)
    assert whole.results == expected
    pieces = Population(shape, these, training, stop_at=stop_at)
    for epoch in (1, 2, 2, 5, 9, 12):
        pieces.advance(data, epoch)
        assert pieces.epoch <= epoch
    assert pieces.results == expected
    assert pieces.running == []


# What evaluating `lstm` came to before training could be advanced in pieces: setting, accuracy, loss, epochs, H.
RECORDED = (
    (3, 0.170000002, 1.6142347627, 1, 10),
    (9, 0.995000005, 0.1431896552, 9, 14),
    (15, 0.502499998, 1.1838051314, 9, 10),
    (21, 1.0, 0.0212417542, 6, 14),
    (33, 0.387499988, 1.5344088340, 4, 14),
    (45, 1.0, 0.0738234021, 5, 14),
)


def test_evaluating_comes_to_what_it_came_to(memorize: Dataset) -> None:
    indices = [row[0] for row in RECORDED]
    exact = replace(SHORT, dtype="float64")
    found = evaluate(zoo.load("lstm"), memorize, GRID, indices, exact, seed=4)
    for outcome, (index, accuracy, loss, epochs, hidden) in zip(found, RECORDED, strict=True):
        assert (outcome.setting, outcome.epochs, outcome.hidden) == (key(GRID[index]), epochs, hidden)
        assert outcome.accuracy == pytest.approx(accuracy, rel=1e-6)
        assert outcome.loss == pytest.approx(loss, rel=1e-6)


def test_a_population_holds_nothing_before_it_begins_and_after_it_has_ended(
    data: Data, memorize: Dataset
) -> None:
    shape = model.Shape(zoo.load("gru"), memorize.vocabulary, 1, 9)
    population = Population(shape, members(range(4)), replace(SHORT, max_epochs=2))
    assert population._rows is None
    population.advance(data, 1)
    assert population._rows is not None
    population.advance(data)
    assert population._rows is None
    assert population.epoch == 2


def test_who_is_dropped_ends_with_what_it_has_and_the_others_go_on(data: Data, memorize: Dataset) -> None:
    """Two of four leave the batch; in float64 the others come to what they come to without it."""
    shape = model.Shape(zoo.load("gru"), memorize.vocabulary, 1, 9)
    exact = replace(SHORT, dtype="float64", max_epochs=4)
    whole, cut = (Population(shape, members(range(2, 18, 4)), exact) for _ in range(2))
    whole.advance(data)
    cut.advance(data, 2)
    before = dict(cut.results)
    cut.drop([2, 10])
    assert cut.running == [6, 14]
    cut.advance(data)
    for index in (2, 10):
        assert cut.results[index] == before[index]
        assert cut.results[index].trained == 2
    for index in (6, 14):
        a, b = cut.results[index], whole.results[index]
        assert (a.accuracy, a.epochs, a.trained) == (b.accuracy, b.epochs, 4)
        assert a.loss == pytest.approx(b.loss, rel=1e-9)


def test_a_share_of_those_in_training_goes_on() -> None:
    accuracies = {5: 0.5, 3: 0.9, 8: 0.5, 1: 0.2, 4: 0.1}
    assert halving.chosen(accuracies, 0.5) == {3, 5, 8}  # 2.5 of 5, rounded up
    assert halving.chosen(accuracies, 0.4) == {3, 5}  # a tie: the smaller index
    assert halving.chosen(accuracies, 0.2) == {3}
    assert halving.chosen(accuracies, 1e-6) == {3}  # never nobody
    assert halving.chosen(accuracies, 1) == set(accuracies)
    assert halving.chosen({}, 0.5) == set()
    assert len(halving.chosen(dict.fromkeys(range(100), 0.5), 0.07)) == 7  # 0.07 * 100 is above 7 in floats


class Scripted:
    """Settings whose accuracies are known: setting k scores k/100 and improves by 1/1000 at every epoch."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, broken: tuple[int, ...] = ()) -> None:
        self.ran: list[tuple[int, int]] = []  # (setting, epoch)
        script = self

        def one_epoch(population: Population, steps: Steps) -> Iterator[None]:
            population.epoch += 1
            for k in np.flatnonzero(~population._plan.stopped):
                index = int(population._index[k])
                script.ran.append((index, population.epoch))
                if index in broken:
                    population.results[index] = Result("diverged", trained=population.epoch)
                    population._plan.stopped[k] = True
                    continue
                accuracy = index / 100 + population.epoch / 1000
                population.results[index] = Result(
                    "done", accuracy, 1.0, population.epoch, "", population.epoch
                )
            if population.epoch >= population.training.max_epochs:
                population._plan.stopped[:] = True
            yield

        monkeypatch.setattr(Population, "_one_epoch", one_epoch)

    def epochs(self, index: int) -> int:
        return max(epoch for i, epoch in self.ran if i == index)


def halved(memorize: Dataset, rungs: tuple[int, ...], keep: float = 0.5) -> list[Outcome]:
    training = replace(SHORT, rungs=rungs, keep=keep)
    return evaluate(zoo.load("gru"), memorize, GRID, range(12), training, seed=1)


def test_rungs_rank_all_shapes_of_a_stage_together(
    memorize: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twelve settings in four shapes (layers and widths change fastest): 12, then 6, then 3 of them."""
    script = Scripted(monkeypatch)
    found = halved(memorize, (2, 4))
    assert len({(GRID[i].layers, GRID[i].parameters) for i in range(12)}) == 4
    assert [script.epochs(i) for i in range(12)] == [2] * 6 + [4] * 3 + [9] * 3
    assert [o.trained for o in found] == [2] * 6 + [4] * 3 + [9] * 3
    assert all(o.status == "done" for o in found)
    assert found[0].accuracy == pytest.approx(0.002)
    assert script.ran.count((0, 1)) == 1  # nobody is trained twice


def test_who_has_diverged_takes_no_place_at_a_rung(
    memorize: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of twelve four have diverged: half of the eight others goes on, not half of the twelve less four."""
    script = Scripted(monkeypatch, broken=(8, 9, 10, 11))
    halved(memorize, (2,))
    assert [script.epochs(i) for i in range(12)] == [2] * 4 + [9] * 4 + [1] * 4


@pytest.mark.long
def test_rungs_change_nothing_but_how_long_a_setting_is_trained(memorize: Dataset) -> None:
    """In float64, with real training: settings that are kept to the end come to the same as without rungs, and
    the others to what they had by then."""
    exact = replace(SHORT, dtype="float64")
    cell, indices = zoo.load("gru"), [1, 4, 11, 19, 34, 36, 41, 50]
    whole = evaluate(cell, memorize, GRID, indices, exact, seed=1)
    cut = evaluate(cell, memorize, GRID, indices, replace(exact, rungs=(1, 3)), seed=1)
    again = evaluate(cell, memorize, GRID, indices, replace(exact, rungs=(1, 3)), seed=1)
    assert cut == again
    shortened = 0
    for a, b in zip(cut, whole, strict=True):
        if a.trained == b.trained:
            assert (a.status, a.accuracy, a.epochs) == (b.status, b.accuracy, b.epochs)
        else:
            shortened += 1
            assert a.trained in (1, 3)
            assert a.accuracy <= b.accuracy
    assert 0 < shortened < len(indices)
    assert max(o.accuracy or 0 for o in cut) > 0.4


def test_the_cost_of_an_outcome_follows_from_its_epochs(memorize: Dataset) -> None:
    outcome = evaluate(zoo.load("gru"), memorize, GRID, [2], replace(SHORT, max_epochs=3), seed=1)[0]
    assert outcome.trained == 3
    assert cost.of_training(
        zoo.load("gru"), memorize.vocabulary, 2, outcome.hidden, outcome.trained, 4000, 800
    ) == 3 * (3 * 4000 + 800) * cost.multiply_adds(zoo.load("gru"), memorize.vocabulary, 2, outcome.hidden)
