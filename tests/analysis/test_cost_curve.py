"""What a search has spent: counted by hand on one with a known past."""

from itertools import pairwise
from pathlib import Path

import pytest

from cellsearch.analysis import cost_curve
from cellsearch.analysis.cost_curve import Amount
from cellsearch.dsl.zoo import load
from cellsearch.study.tables import cellrecords, queries
from cellsearch.train.outcome import Outcome
from cellsearch.train.resources.cost import of_training
from tests.study.scripted import KEYS, SEEDS, Scripted, one_of, searched, space_of

pytestmark = pytest.mark.long

AMOUNTS = {name: Amount(40, 1_000 * k, 100) for k, name in enumerate(("filter", "arithmetic", "xml"), 1)}


def test_a_stage_costs_its_epochs_times_the_model() -> None:
    grid = cost_curve.grids(space_of())["xml"]
    cell, amount = load("gru"), AMOUNTS["xml"]
    old = Outcome(KEYS[0], "done", 0.9, 0.1, 3, 8, 100)
    new = Outcome(KEYS[1], "done", 0.9, 0.1, 3, 8, 100, trained=5)
    diverged = Outcome(KEYS[2], "diverged", None, None, 2, 8, 100, "loss not finite", trained=2)
    never = Outcome(KEYS[3], "failed", None, None, 0, 0, 0, "overdue")
    epochs = 3 + 5 + 2
    assert cost_curve.cost(cell, grid, amount, [old, new, diverged, never]) == of_training(
        cell, 40, 1, 8, epochs, 3_000, 100
    )
    # forward and backward: a product for h and for x each of three brackets, and the output
    assert of_training(cell, 40, 1, 8, 1, 3_000, 100) == (3 * 3_000 + 100) * (6 * 8 * 8 + 8 * 40)


def test_a_search_as_a_curve(tmp_path: Path) -> None:
    space = space_of()
    lab = Scripted()
    store = searched(tmp_path, lab, space, one_of(40), trials=30)
    found = cost_curve.curve(store, space, 1, AMOUNTS)
    counts = queries.counts(store)
    assert [point.trial for point in found.points] == list(range(len(SEEDS), len(SEEDS) + 30))
    assert found.strategy == "jozefowicz2015"
    last = found.points[-1]
    assert (last.ranked, last.filtered) == (counts.ranked, counts.filtered)
    assert last.spent == found.spent == sum(point.cost for point in found.points)
    scores = [p.score for p in found.points if p.outcome == "ranked" and p.score is not None]
    own = {cell.fingerprint for cell in cellrecords.recorded_cells(store, seeds=True)}
    mutants = [
        p.score for p in found.points
        if p.outcome == "ranked" and p.score is not None and p.fingerprint not in own
    ]  # fmt: skip
    assert 3 < len(mutants) <= len(scores)
    assert last.best == max(mutants)
    for before, after in pairwise(found.points):
        assert before.spent <= after.spent and (before.best or 0) <= (after.best or 0)
    # all that was run was counted once: 3 epochs each, 1 where it diverged
    whole = found.baseline + found.spent
    assert whole == sum(point.cost for point in found.points) + found.baseline > 0
    one = next(point for point in found.points if point.outcome == "filtered" and point.cost)
    assert found.at(one.spent) in found.points[found.points.index(one) :]
    assert found.at(found.points[0].cost - 1) is None and found.best(0) is None
    assert found.best(10 * found.spent) == last.best


def test_the_baseline_costs_the_same_for_all(tmp_path: Path) -> None:
    found = {}
    for name in ("jozefowicz2015", "random"):
        space = space_of(name=name)
        store = searched(tmp_path / name, Scripted(), space, one_of(40), trials=5)
        found[name] = cost_curve.curve(store, space, 1, AMOUNTS).baseline
    assert found["jozefowicz2015"] == found["random"] > 0
