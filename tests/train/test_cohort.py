"""A cohort: everyone comes to what it comes to alone, bit for bit, whoever takes turns with it."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from cohorts import evaluate_together
from mutants import mutants

from cellsearch.dsl import zoo
from cellsearch.errors import CellsearchError
from cellsearch.tasks import build
from cellsearch.tasks.data import Dataset
from cellsearch.train import evaluate
from cellsearch.train.evaluate import Request
from cellsearch.train.grouping import cohort
from cellsearch.train.grouping.cohort import finish, lane, together
from cellsearch.train.settings import Grid, Training

GRID = Grid((0.7, 1.0), (0.2, 0.5, 1e38), (1.0,), (1, 2), (800, 1500))
SHORT = Training(max_epochs=3, batch=10, steps=20)


@pytest.fixture(scope="module")
def memorize() -> Dataset:
    options = {"symbols": 2, "alphabet": 5, "train": 1200, "valid": 400, "test": 400}
    return build("memorize", options, batch=10, seed=1, data=None)


def in_order(found: Iterable[tuple[int, Any]]) -> list[Any]:
    """What each came to, in the order of the requests; each once."""
    by_place = list(found)
    assert len(dict(by_place)) == len(by_place)
    return [result for _, result in sorted(by_place, key=lambda pair: pair[0])]


def counting(name: str, count: int, said: list[str]) -> Iterator[None]:
    for k in range(count):
        said.append(f"{name}{k}")
        yield
    return name.upper()  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("in_turns", "order"),
    [(True, "a0 b0 c0 a1 c1 c2"), (False, "a0 a1 b0 c0 c1 c2"), (None, "a0 a1 b0 c0 c1 c2")],
)
def test_who_has_ended_takes_no_turn(in_turns: bool | None, order: str) -> None:
    said: list[str] = []
    walks = [counting(name, count, said) for name, count in (("a", 2), ("b", 1), ("c", 3), ("d", 0))]
    found = finish(together(walks, [lane("cpu")] * 4, in_turns=in_turns))  # type: ignore[arg-type]
    assert found == ["A", "B", "C", "D"]
    assert " ".join(said) == order
    assert finish(together([], [])) == []


@pytest.mark.long
@pytest.mark.parametrize("rungs", [(), (1, 2)])
def test_cells_that_take_turns_come_to_what_they_come_to_alone(
    rungs: tuple[int, ...], memorize: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Different cells, different settings of several shapes, one of which diverges."""
    training = replace(SHORT, rungs=rungs)
    cells = [zoo.load("lstm"), zoo.load("clockwork"), zoo.load("mut1"), *mutants(4)[2:]]
    requests = [
        Request(cell, memorize, GRID, range(k, len(GRID), 4 + k), training, seed=3)
        for k, cell in enumerate(cells)
    ]
    alone = [
        evaluate.evaluate(r.cell, r.dataset, r.grid, r.indices, r.training, seed=r.seed) for r in requests
    ]
    assert list(evaluate_together(requests, "cpu")) == list(enumerate(alone))
    assert {o.status for found in alone for o in found} == {"done", "diverged"}

    def in_turns(walks, lanes):  # type: ignore[no-untyped-def]
        return together(walks, lanes, in_turns=True)

    monkeypatch.setattr(evaluate, "together", in_turns)  # as on a GPU: all shapes by turns, and all cells
    assert in_order(evaluate_together(requests, "cpu", in_turns=True)) == alone
    assert in_order(evaluate_together(requests, "cpu", in_turns=True, room=1.0)) == alone  # one at a time


def test_an_error_of_one_is_its_own(memorize: Dataset) -> None:
    nothing = replace(memorize, valid=replace(memorize.valid, targets=memorize.valid.targets * 0 - 1))
    cell = zoo.load("gru")
    good, bad = (Request(cell, data, GRID, [0], SHORT, seed=1) for data in (memorize, nothing))
    found = in_order(evaluate_together([bad, good], "cpu", in_turns=True))
    assert isinstance(found[0], CellsearchError)
    assert found[1] == evaluate.evaluate(cell, memorize, GRID, [0], SHORT, seed=1)


def test_without_a_gpu_a_lane_is_no_stream() -> None:
    made = cohort.lane("cpu")
    assert made.stream is None
    with made.here():
        pass
