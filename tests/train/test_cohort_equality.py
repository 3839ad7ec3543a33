"""A cohort changes no result: eight cells side by side, window by window as on a GPU, and each alone."""

from dataclasses import replace

import pytest
from cohorts import evaluate_together
from mutants import mutants

from cellsearch.dsl import zoo
from cellsearch.tasks import build
from cellsearch.tasks.data import Dataset
from cellsearch.train import evaluate as evaluating
from cellsearch.train.evaluate import Request
from cellsearch.train.grouping.cohort import together
from cellsearch.train.outcome import Outcome
from cellsearch.train.settings import Grid, Training

SHAPES = Grid((0.7, 1.0), (0.2, 0.5), (1.0,), (1, 2), (600, 1000))
THIRTY = Grid((0.7, 1.0, 1.4), (0.1, 0.25, 0.5, 1.0, 2.0), (1.0, 5.0), (1,), (700,))
STEPS = 50  # of training
TEN_WINDOWS = {"symbols": 2, "alphabet": 5, "train": 2000, "valid": 400, "test": 400}
EXACT = Training(max_epochs=STEPS // 10, patience=9, batch=10, steps=20, dtype="float64")


@pytest.fixture(scope="module")
def memorize() -> Dataset:
    return build("memorize", TEN_WINDOWS, batch=10, seed=1, data=None)


def both(
    requests: list[Request], monkeypatch: pytest.MonkeyPatch
) -> tuple[list[list[Outcome]], list[list[Outcome]]]:
    """What each comes to alone, and in the cohort of all, whose shapes take turns too."""
    alone = [
        evaluating.evaluate(r.cell, r.dataset, r.grid, r.indices, r.training, seed=r.seed) for r in requests
    ]
    monkeypatch.setattr(evaluating, "together", lambda walks, lanes: together(walks, lanes, in_turns=True))
    found = dict(evaluate_together(requests, "cpu", in_turns=True))
    assert not any(isinstance(result, Exception) for result in found.values())
    return alone, [found[k] for k in range(len(requests))]  # type: ignore[misc]


@pytest.mark.long
def test_eight_cells_of_different_shapes_after_fifty_steps_in_float64(
    memorize: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promised within 1e-10; it is bit for bit."""
    names = ("lstm", "gru", "mut1", "clockwork", "peephole_lstm")
    cells = [*map(zoo.load, names), *mutants(3)]
    requests = [
        Request(cell, memorize, SHAPES, [k, 15 - k], replace(EXACT, rungs=(2,) if k == 3 else ()), seed=k)
        for k, cell in enumerate(cells)
    ]
    alone, cohort = both(requests, monkeypatch)
    for a, b in zip(alone, cohort, strict=True):
        for x, y in zip(a, b, strict=True):
            assert x.loss is not None and y.loss is not None
            assert abs(x.loss - y.loss) < 1e-10
    assert cohort == alone
    assert len({o.hidden for found in alone for o in found}) > 5
    assert {o.trained for found in alone for o in found} >= {STEPS // 10}


@pytest.mark.long
def test_the_accuracies_of_thirty_settings_in_float32(
    memorize: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Equal one by one, so their distribution is the same."""
    training = replace(EXACT, dtype="float32")
    requests = [
        Request(zoo.load("gru"), memorize, THIRTY, range(30), training, seed=2),
        Request(zoo.load("lstm"), memorize, SHAPES, range(0, 16, 3), training, seed=2),
        Request(mutants(4)[3], memorize, SHAPES, range(1, 16, 5), training, seed=2),
    ]
    alone, cohort = both(requests, monkeypatch)
    assert [o.accuracy for o in cohort[0]] == [o.accuracy for o in alone[0]]
    assert cohort == alone
    assert len({o.accuracy for o in alone[0]}) > 15
