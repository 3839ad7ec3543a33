"""Whole searches by each strategy, with a laboratory that looks results up: what its records say it did."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import insert

from cellsearch.study.leaderboard import board
from cellsearch.study.mutation.sizes import MEASURES
from cellsearch.study.scoring import ranking
from cellsearch.study.space import Space
from cellsearch.study.storage import heartbeat
from cellsearch.study.strategies import tpe
from cellsearch.study.tables import cellrecords, queries, records, schema, transactions
from cellsearch.study.tables.costs import Costs
from cellsearch.study.tables.table_view import TableView
from cellsearch.study.tables.transactions import Store
from cellsearch.study.tables.work_items import Item
from cellsearch.study.workers.evaluator import real_propose
from cellsearch.study.workers.trial import runner
from cellsearch.study.workers.trial.setting_sampler import chooser
from cellsearch.train.settings import Grid, keys
from tests.study.scripted import (
    KEYS,
    SEEDS,
    Scripted,
    based,
    hashed,
    items_of,
    new_study,
    one_of,
    searched,
    space_of,
    work,
)

CHANGES: list[dict[str, Any]] = [
    {"name": "jozefowicz2015"},
    {"name": "jozefowicz2015", "rank": "pareto", "list": 4},
    {"name": "evolution", "population": 5, "sample": 2},
    {"name": "evolution", "population": 5, "sample": 3, "rank": "pareto"},
    {"name": "random", "walk": "[1, 3]"},
    {"name": "jozefowicz2015", "sampler": "tpe"},
]
EACH = pytest.mark.parametrize("changes", CHANGES, ids=lambda changes: " ".join(map(str, changes.values())))


trials = items_of  # of proposals and refinements, in order


def view_of(store: Store, space: Space, costs: Costs | None = None) -> TableView:
    """The study as a worker sees it."""
    counted = costs or Costs(store, space.strategy.cost, space.limits.width)
    seeds = cellrecords.recorded_cells(store, seeds=True)
    return TableView(store, space, records.facts(store), counted, seeds)


def table(store: Store, space: Space) -> list[board.Row]:
    return board.leaderboard(store, space, every=True)


class Killed(BaseException):
    """As abrupt as a signal, for the code in between."""


@pytest.mark.long
@EACH
def test_a_search_that_dies_again_and_again_is_the_search_that_does_not(
    changes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = space_of(**changes)
    whole = Scripted()
    expected = searched(tmp_path / "whole", whole, space, real_propose(space), trials=7)
    points: list[str] = []

    def die(name: str) -> None:
        points.append(name)
        if len(points) % 4 == 1:
            raise Killed

    (tmp_path / "dying").mkdir()
    store = new_study(tmp_path / "dying", space, 7)
    lab = Scripted()
    with monkeypatch.context() as patch:
        patch.setattr(runner, "failpoint", die)
        for _ in range(500):
            try:
                work(store, space, lab, real_propose(space))
                break
            except Killed:
                heartbeat.leave(store, [heartbeat.myself("worker").id], "other", failures=10)
    assert len(points) > 50
    assert table(store, space) == table(expected, space)
    assert set(lab.runs) == set(
        whole.runs
    )  # what died after it was evaluated and before its record runs again


@pytest.mark.long
@EACH
def test_the_rules_for_a_cell_are_the_same(changes: dict[str, Any], tmp_path: Path) -> None:
    space = space_of(**changes)
    lab = Scripted()
    store = searched(tmp_path, lab, space, real_propose(space), trials=60)
    assert len(set(lab.runs)) == len(lab.runs)
    units, stages = records.facts(store).units, queries.recorded_stages(store)
    outcomes = set()
    for row in trials(store):
        known = ranking.bests(stage for stage in stages if stage.trial <= row.trial)
        best = known[row.fingerprint]
        outcomes.add((row.outcome, row.task))
        if (row.outcome, row.task) == ("filtered", "filter"):
            assert set(best) == {"filter"}
        elif row.outcome == "filtered":
            assert not ranking.passed(best[row.task], units[row.task], 0.9)
        elif row.outcome == "ranked":
            assert all(ranking.passed(best[task], unit, 0.9) for task, unit in units.items())
    assert outcomes >= {("filtered", "filter"), ("filtered", "arithmetic"), ("ranked", "")}
    assert board.status(store, space).counts.refinements == 0 or changes["name"] == "jozefowicz2015"


@pytest.mark.long
def test_parents_are_the_best_of_the_last_that_passed_the_filter(tmp_path: Path) -> None:
    space = space_of(name="evolution", population=4, sample=1_000)  # all of them are in the sample
    store = searched(tmp_path, Scripted(), space, real_propose(space), trials=60)
    units, stages = records.facts(store).units, queries.recorded_stages(store)
    origins = cellrecords.origins(store, [cell.fingerprint for cell in cellrecords.recorded_cells(store)])
    population = list(SEEDS.values())
    full = 0
    for row in trials(store):
        found = ranking.bests(stage for stage in stages if stage.trial < row.trial)

        def fitness(mark: str) -> tuple[int, float]:
            standing = ranking.stand(mark, found[mark], origins[mark], units, 0.9)  # noqa: B023  (called at once)
            passed = list(units).index(standing.place) if standing.place else 2
            return passed, standing.score

        if len(population) >= 4:
            assert row.parent == max(population[-4:], key=fitness)
            full += 1
        else:
            assert row.parent in population
        if (row.outcome, row.task) != ("filtered", "filter"):
            population.append(row.fingerprint)
    assert full > 20
    assert queries.entered(store, 4) == population[-4:]
    late = [row.parent for row in trials(store)][-20:]
    assert not set(late) & set(SEEDS.values())  # the seeds are old as well
    assert len(set(late)) > 1


@pytest.mark.long
def test_a_cell_that_comes_again_enters_again(tmp_path: Path) -> None:
    space = space_of(name="evolution", population=10)
    accuracy = lambda mark, task, setting: 1.0 if task == "filter" else 0.5  # noqa: E731
    store = searched(tmp_path, Scripted(accuracy), space, one_of(1), trials=3)
    again = trials(store)[0].fingerprint
    assert queries.entered(store, 10) == [again] * 3
    view = view_of(store, space)
    assert [member.fingerprint for member in view.population()] == [*SEEDS.values(), again, again, again]


@pytest.mark.long
def test_what_has_not_ended_is_not_in_the_population(tmp_path: Path) -> None:
    space = space_of(name="evolution", population=10)
    store = searched(tmp_path, Scripted(), space, one_of(40), trials=20)
    before = queries.entered(store, 10)
    row = {"study": store.study, "piece": 0, "kind": "propose"}
    running = {"trial": 99, "trial_id": 100, "owner": "w", "outcome": "", "fingerprint": "a"}
    failed = {"trial": 98, "trial_id": 99, "owner": "", "outcome": "failed", "fingerprint": "b"}
    with transactions.writing(store) as connection:
        connection.execute(insert(schema.items), [row | running, row | failed])
    assert queries.entered(store, 10) == before


@pytest.mark.long
def test_chance_starts_at_the_seeds_and_inherits_nothing(tmp_path: Path) -> None:
    def accuracy(mark: str, task: str, setting: int) -> float | None:
        return 1.0 if task == "filter" else 0.5 + (0.1 if setting in (3, 5) else 0.0)

    def both(name: str) -> int:
        """How many cells have run the two best settings of the seeds."""
        lab = Scripted(accuracy)
        space = space_of(name=name, refine=0, best=2, settings=6, walk="[1, 2]")
        store = searched(tmp_path / name, lab, space, real_propose(space), trials=10)
        cells = [cell for cell in cellrecords.recorded_cells(store) if not cell.seed]
        if name == "random":
            assert {cell.parent for cell in cells} <= set(SEEDS.values())
            steps = {sum(edit["mutation"] == "strength" for edit in json.loads(cell.edits)) for cell in cells}
            assert steps == {1, 2}
        return sum({3, 5} <= {s for m, t, s in lab.runs if (m, t) == (c.fingerprint, "xml")} for c in cells)

    assert both("evolution") == both("jozefowicz2015") == 10
    assert both("random") < 7  # 6 of 12 settings hold both by chance in 5 of 22 cases


Told = tuple[str, int, list[tuple[str, float | None]], int, frozenset[str], tuple[int, ...]]


def sampled(monkeypatch: pytest.MonkeyPatch) -> list[Told]:
    """From now on samplers are told and answer the last free settings."""
    told: list[Told] = []

    def suggest(
        sampler: str, grid: Grid, history: Sequence[tuple[str, float | None]], count: int,
        taken: frozenset[str], seed: Sequence[int],
    ) -> list[str]:  # fmt: skip
        told.append((sampler, len(grid), list(history), count, taken, tuple(seed)))
        return [s for s in reversed(list(keys(grid))) if s not in taken][:count]

    monkeypatch.setattr(tpe, "suggest", suggest)
    return told


@pytest.mark.long
def test_a_sampler_is_told_of_the_cell_and_its_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = sampled(monkeypatch)
    space = space_of(sampler="tpe", refine=0.4)
    lab = Scripted(lambda mark, task, setting: 1.0 if task == "filter" else hashed(mark, task, setting))
    store = searched(tmp_path, lab, space, one_of(1_000), trials=15, seed=7)
    asked = iter(told)
    seen: dict[tuple[str, str], list[tuple[int, float | None]]] = {}
    for mark in SEEDS.values():
        for task in ("arithmetic", "xml"):
            seen[mark, task] = [(s, hashed(mark, task, s)) for s in range(12)]
    kinds = set()
    for row in trials(store):
        kinds.add(row.kind)
        for purpose, task in ((2, "arithmetic"), (3, "xml")):
            if row.outcome == "filtered" and row.task == "arithmetic" and task == "xml":
                continue
            own = seen.setdefault((row.fingerprint, task), [])
            parents = seen[row.parent, task] if row.kind == "propose" else []
            sampler, size, history, count, taken, seed = next(asked)
            assert (sampler, size, count, seed) == ("tpe", 12, 4, (7, row.trial, purpose))
            expected = [(KEYS[setting], accuracy) for setting, accuracy in [*own, *parents]]
            assert sorted(map(str, history)) == sorted(map(str, expected))
            assert taken == {KEYS[setting] for setting, _ in own}
            chosen = [s for s in reversed(range(12)) if KEYS[s] not in taken][:4]
            assert lab.runs[-1] and {(row.fingerprint, task, s) for s in chosen} <= set(lab.runs)
            own += [(s, hashed(row.fingerprint, task, s)) for s in chosen]
    assert next(asked, None) is None  # of the filter it is not asked
    assert kinds == {"propose", "refine"}


@pytest.mark.long
def test_chance_is_not_told_of_a_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = sampled(monkeypatch)
    space = space_of(sampler="tpe_independent", name="random")
    searched(tmp_path, Scripted(lambda *_: 1.0), space, one_of(1_000), trials=3)
    assert [(call[0], call[2]) for call in told] == [("tpe_independent", [])] * 6


@pytest.mark.long
def test_no_sampler_is_asked_where_chance_chooses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = sampled(monkeypatch)
    searched(tmp_path, Scripted(), space_of(), one_of(1_000), trials=6)
    assert told == []


def test_where_another_worker_was_faster_a_sampler_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = sampled(monkeypatch)
    space = space_of(sampler="tpe")
    store = new_study(tmp_path, space)
    item = Item(50, 0, 51, "refine", "f" * 64, "f" * 64, "")
    choose = chooser(store, space, records.facts(store), item, "xml", 3)
    assert choose(frozenset()) == [KEYS[11], KEYS[10], KEYS[9]]
    assert len(told) == 1
    others = frozenset({KEYS[11], KEYS[9]})
    assert choose(others) == [KEYS[10], KEYS[8], KEYS[7]]
    assert [call[4] for call in told] == [frozenset(), others]


@pytest.mark.long
def test_with_fronts_the_list_goes_through_them(tmp_path: Path) -> None:
    space = space_of(rank="pareto", cost="matrices", list=6)
    store = searched(tmp_path, Scripted(), space, real_propose(space), trials=60)
    view = view_of(store, space)
    rows = [row for row in table(store, space) if row.rank is not None]
    cost = {row.fingerprint: MEASURES["matrices"](view.cell(row.fingerprint), 100) for row in rows}
    assert len(rows) > 8
    assert len(set(cost.values())) > 3
    left, places = {row.fingerprint: row for row in rows}, list[set[str]]()
    while left:
        first = {
            mark
            for mark, row in left.items()
            if not any(
                ((o.score or 0) >= (row.score or 0) and cost[m] <= cost[mark])
                and ((o.score or 0) > (row.score or 0) or cost[m] < cost[mark])
                for m, o in left.items()
            )
        }
        places.append(first)
        left = {mark: row for mark, row in left.items() if mark not in first}
    listed = list(view.listed())
    assert len(listed) == 6
    for front in places:
        taken = set(listed[: len(front)])
        assert taken <= front
        listed = listed[len(taken) :]
    assert listed == []
    assert view.cost(rows[0].fingerprint) == cost[rows[0].fingerprint]


@pytest.mark.long
def test_scores_without_what_is_in_work_are_those_of_before(tmp_path: Path) -> None:
    """The short way (all, then once more those in work) and the plain one."""
    store = searched(tmp_path, Scripted(), space_of(), one_of(40), trials=40)
    units, own = records.facts(store).units, list(SEEDS.values())
    before = queries.scores(store, units, 0.9, own, finished=True)
    assert before == queries.scores(store, units, 0.9, own)
    best, other = before[0][0], "e" * 64
    new = [
        {"study": store.study, "trial": 90 + k, "piece": 0, "trial_id": 91 + k, "kind": "propose"}
        | {"owner": owner, "outcome": outcome, "fingerprint": mark}
        for k, (owner, outcome, mark) in enumerate([("w", "", best), ("", "", other), ("", "ranked", other)])
    ]
    stages = [
        {
            "study": store.study,
            "trial": 90 + k,
            "piece": 0,
            "task": task,
            "fingerprint": new[k]["fingerprint"],
        }
        | {"outcomes": "[]", "settings": 1, "trained": 1, "accuracy": 0.99 - k / 100, "seconds": 1.0}
        for k in range(3)
        for task in units
    ]
    with transactions.writing(store) as connection:
        connection.execute(insert(schema.items), new)
        connection.execute(insert(schema.stages), stages)
    now = queries.scores(store, units, 0.9, own, finished=True)
    assert [pair for pair in now if pair[0] != other] == before
    assert dict(now)[other] == min(0.97 / unit for unit in units.values())
    assert dict(queries.scores(store, units, 0.9, own))[best] == min(0.99 / unit for unit in units.values())


@pytest.mark.long
def test_a_decision_of_any_strategy_is_quick_after_twenty_thousand_trials(tmp_path: Path) -> None:
    from cellsearch.study import strategies
    from tests.study.leaderboard.test_board import quickest, synthetic

    store = based(tmp_path, space_of())
    synthetic(store, 20_000)
    for changes in CHANGES:
        space = space_of(**changes | {"population": 100, "sample": 25, "list": 100})
        counted = Costs(store, "parameters", 100)
        seeds = iter(range(100))

        def one() -> strategies.Decision:
            view = view_of(store, space, counted)  # noqa: B023  (called at once)
            rng = np.random.default_rng(next(seeds))  # noqa: B023
            return strategies.decide(space.strategy, view, one_of(20), rng)  # noqa: B023

        assert quickest(one) < 0.1, changes
