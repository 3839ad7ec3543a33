"""Strategies as pure functions: which cell, refine or propose, and which settings."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine

from cellsearch.dsl.graph import Cell
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.text import show
from cellsearch.errors import CellError
from cellsearch.options import choices, listed
from cellsearch.study import strategies
from cellsearch.study.mutation.sizes import MEASURES
from cellsearch.study.scoring.ranking import Best, Origin, Standing
from cellsearch.study.space import Limits, Space, Strategy, parse_space
from cellsearch.study.space.model import FILTER
from cellsearch.study.strategies import STRATEGIES, NothingLeft
from cellsearch.study.strategies.tpe import SAMPLERS
from cellsearch.study.tables.costs import Costs
from cellsearch.study.tables.study_facts import Facts, Unit
from cellsearch.study.tables.table_view import Known, TableView
from cellsearch.study.tables.transactions import Store
from tests.study.scripted import one_of, space_of, variant

SPACE = space_of()
UNITS = {"arithmetic": 0.5, "xml": 0.4}
GRIDS = {FILTER: 12, "arithmetic": 12, "xml": 12}
FULL = {"arithmetic": 12, "xml": 12}
STRATEGY = SPACE.strategy
NUMBERS = {fingerprint(variant(n)): n for n in range(20)}


@dataclass(frozen=True)
class Seen:
    """A view in which the list holds `ranked` variants of the scripted family, of which `tried` settings were
    run or are being run."""

    ranked: Sequence[int]
    done: Mapping[int, Known] = field(default_factory=dict)  # number of a variant -> what is known of it
    strategy: Strategy = STRATEGY
    units: Mapping[str, float] = field(default_factory=lambda: UNITS)
    members: Sequence[Standing] | None = None
    costs: Mapping[str, int] = field(default_factory=dict)
    same: Cell | None = None  # which any cell counts as
    again: Sequence[int] = ()  # those that are to be trained again
    unread: Collection[str] = ()  # what is not read

    def read(self, what: str) -> None:
        assert what not in self.unread, f"{what} is read without need"

    @property
    def seeds(self) -> list[str]:
        return [fingerprint(variant(n)) for n in self.ranked[:2]]

    def listed(self) -> list[str]:
        self.read("listed")
        return [fingerprint(variant(n)) for n in self.ranked[: self.strategy.list]]

    def refinable(self, marks: Sequence[str]) -> list[str]:
        self.read("refinable")
        return [m for m in marks if any(self.known(m).tried.get(t, 0) < GRIDS[t] for t in self.units)]

    def repeatable(self) -> list[str]:
        self.read("repeatable")
        return [fingerprint(variant(n)) for n in self.again]

    def runnable(self, mark: str) -> bool:
        return judged_by(self.known(mark)).runnable(mark)

    def population(self) -> Sequence[Standing]:
        self.read("population")
        return [member(n, 1.0) for n in self.ranked] if self.members is None else self.members

    def cost(self, mark: str) -> int:
        self.read("cost")
        return self.costs[mark]

    def known(self, mark: str) -> Known:
        return self.done.get(NUMBERS[mark], Known())

    def cell(self, mark: str) -> Cell:
        return variant(NUMBERS[mark])

    def counts_as(self, cell: Cell) -> str:
        return fingerprint(self.same or cell)


@dataclass(frozen=True)
class Judge(TableView):
    """The view of a search to which one thing is known of every cell."""

    about: Known = field(default_factory=Known)

    def known(self, mark: str) -> Known:
        return self.about


def judged_by(known: Known, space: Space = SPACE) -> Judge:
    """A view without a database."""
    kept = {task: Unit(unit, 0.1, True) for task, unit in UNITS.items()}
    facts = Facts("s", space.text, 1, "test", 1, {}, kept, 1, None, 0.0, "", "", False)
    nowhere = Store(create_engine("sqlite://"), "sqlite://", 1, "s")
    return Judge(nowhere, space, facts, Costs(nowhere, "parameters", 100), [], about=known)


def member(number: int, score: float, place: str = "") -> Standing:
    """A member of a population."""
    return Standing(fingerprint(variant(number)), score, 100, Origin(number, False), place)


@pytest.mark.long
@given(st.data())
def test_draw_never_takes_a_setting_twice_and_stops_only_at_the_end_of_the_grid(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 40))
    grid = [f"s{k}" for k in range(size)]
    settings = st.sampled_from(grid)
    taken = frozenset(data.draw(st.lists(settings)))
    pools = data.draw(st.lists(st.tuples(st.integers(0, 10), st.lists(settings, unique=True)), max_size=3))
    count = data.draw(st.integers(0, 30))
    drawn = strategies.draw(count, grid, pools, taken, np.random.default_rng(data.draw(st.integers(0, 9))))
    assert len(drawn) == len(set(drawn)) == min(count, size - len(taken))
    assert not taken & set(drawn)
    assert set(drawn) <= set(grid)


def test_draw_gives_each_pool_its_quota_and_fills_up_at_random() -> None:
    grid = [f"s{k}" for k in range(840)]
    pools = [(6, grid[:6]), (6, grid[100:103])]
    drawn = strategies.draw(20, grid, pools, frozenset({"s0"}), np.random.default_rng(0))
    assert {*grid[1:6], *grid[100:103]} <= set(drawn)
    assert len(drawn) == 20


def test_top_is_the_best_settings_each_once() -> None:
    results = [("s4", 0.2), ("s1", 0.9), ("s2", None), ("s1", 0.1), ("s7", 0.5), ("s0", 0.5)]
    assert strategies.top(results, 3) == ["s1", "s0", "s7"]


def test_a_parent_with_more_than_enough_settings_gives_four_fifths_from_its_best() -> None:
    parent = [(f"s{setting}", setting / 1000) for setting in range(421)]
    assert strategies.sources(STRATEGY, 20, parent, []) == [(16, [f"s{k}" for k in range(420, 320, -1)])]


def test_else_a_third_comes_from_the_seeds_and_a_third_from_what_the_parent_tried() -> None:
    many = [f"s{setting}" for setting in range(100, 518)]
    parent = [("s099", None), ("s003", 0.1), *((setting, 0.5) for setting in many)]
    assert len(parent) == 420
    seeds, tried = strategies.sources(STRATEGY, 20, parent, [("s5", 0.4), ("s6", 0.6)])
    assert seeds == (6, ["s6", "s5"])
    assert tried == (6, ["s003", "s099", *many])


@pytest.mark.long
def test_refining_comes_as_often_as_the_space_says() -> None:
    view = Seen([0, 1])
    kinds = [
        strategies.decide(STRATEGY, view, one_of(20), np.random.default_rng(s)).kind for s in range(1_000)
    ]
    assert 440 < kinds.count("refine") < 560
    assert set(kinds) == {"refine", "propose"}


@pytest.mark.parametrize("name", STRATEGIES)
def test_near_ties_are_repeated_first_whatever_the_strategy(name: str) -> None:
    strategy = replace(STRATEGY, name=name, repeats=2)
    decided = [
        strategies.decide(strategy, Seen([0, 1, 2, 3], again=again), one_of(20), np.random.default_rng(7))
        for again in ([2, 1], [1], [])
    ]
    found = [(d.kind, d.fingerprint, d.parent, d.edits) for d in decided]
    second, first = fingerprint(variant(2)), fingerprint(variant(1))
    assert found[:2] == [("repeat", second, second, ()), ("repeat", first, first, ())]
    without = replace(strategy, repeats=0)
    view = Seen([0, 1, 2, 3], again=[2, 1], unread=["repeatable"])
    assert decided[2] == strategies.decide(without, view, one_of(20), np.random.default_rng(7))


def test_a_cell_without_an_untried_setting_is_not_refined() -> None:
    view = Seen([0, 1, 2], {0: Known(FULL), 2: Known(FULL)})
    always = replace(STRATEGY, refine=1.0)
    chosen = {
        strategies.decide(always, view, one_of(20), np.random.default_rng(s)).fingerprint for s in range(50)
    }
    assert chosen == {fingerprint(variant(1))}


def test_where_none_can_be_refined_it_proposes() -> None:
    view = Seen([0], {0: Known(FULL)})
    decision = strategies.decide(replace(STRATEGY, refine=1.0), view, one_of(20), np.random.default_rng(0))
    assert decision.kind == "propose"
    assert decision.parent == fingerprint(variant(0))


def test_only_the_list_gives_parents() -> None:
    short = replace(STRATEGY, list=3)
    view = Seen(list(range(10)), {n: Known(FULL, {}, seed=True) for n in range(10)}, short)
    parents = {strategies.decide(short, view, one_of(20), np.random.default_rng(s)).parent for s in range(80)}
    assert parents == {fingerprint(variant(n)) for n in range(3)}


def test_mutants_with_nothing_left_to_run_are_passed_over() -> None:
    done = {n: Known({FILTER: 12}, {FILTER: Best(12, 12, 0.5)}) for n in range(9)}
    view = Seen([10], done | {10: Known(FULL, {}, seed=True)})
    chosen = {
        strategies.decide(STRATEGY, view, one_of(10), np.random.default_rng(s)).fingerprint for s in range(20)
    }
    assert chosen == {fingerprint(variant(9))}


def test_where_nothing_is_left_it_says_so() -> None:
    view = Seen([0], {0: Known(FULL, {}, seed=True)})

    def same(cell: Cell, rng: np.random.Generator) -> tuple[Cell, list[object]]:
        return variant(0), []

    def none(cell: Cell, rng: np.random.Generator) -> tuple[Cell, list[object]]:
        raise CellError("none of 200 mutants was accepted")

    with pytest.raises(NothingLeft, match="1 listed cells"):
        strategies.decide(STRATEGY, view, same, np.random.default_rng(0))
    with pytest.raises(NothingLeft, match="none of 200 mutants"):
        strategies.decide(STRATEGY, view, none, np.random.default_rng(0))


PASSED = Best(1, 1, 0.99)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (Known(), True),
        (Known({FILTER: 3}, {FILTER: Best(3, 3, 0.94)}), True),  # discarded, other settings are left
        (Known({FILTER: 12}, {FILTER: Best(12, 12, 0.94)}), False),
        (Known({FILTER: 12}, {FILTER: PASSED}), True),  # passed: the tasks are left
        (Known({FILTER: 1} | FULL, {FILTER: PASSED, "arithmetic": Best(12, 12, 0.6)}), False),
        (
            Known({"arithmetic": 12}, {FILTER: PASSED, "arithmetic": Best(12, 12, 0.45)}),
            False,
        ),  # not above 0.45
        (Known({"arithmetic": 12}, {FILTER: PASSED, "arithmetic": Best(12, 12, 0.46)}), True),
        (
            Known({"arithmetic": 12}, {"arithmetic": Best(12, 12, 0.1)}, seed=True),
            True,
        ),  # seeds pass everywhere
        (Known(FULL, {}, seed=True), False),
    ],
)
def test_whether_a_proposal_has_anything_to_run(known: Known, expected: bool) -> None:
    assert judged_by(known).runnable("any") is expected


def test_without_a_filter_every_cell_is_admitted() -> None:
    view = judged_by(Known(), parse_space(SPACE.text, overrides=["filter=null"]))
    assert view.admitted(Known())
    assert not judged_by(Known()).admitted(Known())


def parents(strategy: Strategy, population: list[Standing], count: int = 400, **fields: Any) -> Counter[int]:
    """How often each member becomes a parent."""
    view = replace(Seen([]), members=population, **fields)
    found = Counter[int]()
    for seed in range(count):
        decision = strategies.decide(strategy, view, one_of(20), np.random.default_rng(seed))
        assert decision.kind == "propose"
        found[NUMBERS[decision.parent]] += 1
    return found


EVOLUTION = replace(STRATEGY, name="evolution", population=4, sample=2)


@pytest.mark.long
def test_the_best_of_a_sample_is_the_parent() -> None:
    population = [member(n, score) for n, score in enumerate([0.95, 1.0, 0.92, 0.97])]
    many = parents(replace(EVOLUTION, sample=200), population)
    assert many == {1: 400}
    two = parents(EVOLUTION, population, 1_600)
    # with replacement: of two that are drawn from four the best is the k-th best with (9 - 2k) in 16
    assert all(abs(two[n] - 100 * (9 - 2 * k)) < 80 for n, k in ((1, 1), (3, 2), (0, 3), (2, 4)))


@pytest.mark.long
def test_who_passed_more_tasks_is_fitter_whatever_the_scores() -> None:
    population = [member(0, 1.5, "xml"), member(1, 0.91), member(2, 2.0, "arithmetic"), member(3, 0.9)]
    always = replace(EVOLUTION, sample=200)
    assert parents(always, population) == {1: 400}
    assert parents(always, [population[2], population[0]] * 2) == {0: 400}


@pytest.mark.long
def test_the_sample_is_smaller_while_the_population_grows() -> None:
    two = [member(0, 0.5), member(1, 1.0)]
    growing = parents(replace(EVOLUTION, population=100, sample=25), two)
    assert 150 < growing[0] < 250  # a sample of one
    assert parents(replace(EVOLUTION, population=2, sample=25), two)[0] == 0


def test_with_fronts_any_of_the_sample_that_is_not_dominated_is_the_parent() -> None:
    population = [member(0, 1.0), member(1, 0.95), member(2, 0.94), member(3, 3.0, "xml")]
    costs = dict(zip([m.fingerprint for m in population], [100, 50, 60, 10], strict=True))
    pareto = replace(EVOLUTION, sample=200, rank="pareto")
    found = parents(pareto, population, costs=costs)
    assert set(found) == {0, 1}
    assert 150 < found[0] < 250


def test_evolution_with_nothing_left_says_so() -> None:
    view = Seen([0], {0: Known(FULL, {}, seed=True)})
    with pytest.raises(
        NothingLeft, match="1 cells of the population and 100 mutants: all their settings have been run"
    ):
        strategies.decide(EVOLUTION, view, lambda cell, rng: (variant(0), []), np.random.default_rng(0))


def counting(cell: Cell, rng: np.random.Generator) -> tuple[Cell, list[str]]:
    """A mutant of a mutant has one more bias."""
    bias = re.search(r"bias=(\d+)", show(cell))
    number = int(bias[1]) if bias else 0
    return variant(number + 1), [f"to {number + 1}"]


@pytest.mark.long
def test_chance_walks_from_a_seed() -> None:
    view = Seen([0, 10], same=variant(19))
    walk = replace(STRATEGY, name="random", walk=(2, 5), refine=1.0)
    found = Counter[tuple[int, int]]()
    for seed in range(800):
        decision = strategies.decide(walk, view, counting, np.random.default_rng(seed))
        start, length = NUMBERS[decision.parent], len(decision.edits)
        assert decision.kind == "propose"
        assert decision.edits == tuple(f"to {start + k + 1}" for k in range(length))
        assert decision.cell == variant(start + length)
        found[start, length] += 1
    assert set(found) == {(start, length) for start in (0, 10) for length in (2, 3, 4, 5)}
    assert all(60 < count < 145 for count in found.values())


def test_a_walk_that_fails_is_given_up_and_another_one_is_made() -> None:
    failed = 0

    def sometimes(cell: Cell, rng: np.random.Generator) -> tuple[Cell, list[str]]:
        nonlocal failed
        if rng.random() < 0.5:
            failed += 1
            raise CellError("none of 200 mutants was accepted")
        return counting(cell, rng)

    walk = replace(STRATEGY, name="random", walk=(3, 3))
    view = Seen([0], same=variant(19))
    for seed in range(20):
        assert strategies.decide(walk, view, sometimes, np.random.default_rng(seed)).cell == variant(3)
    assert failed
    with pytest.raises(NothingLeft, match="1 seeds and 100 mutants: none of 200"):
        strategies.decide(replace(walk, walk=(200, 200)), view, sometimes, np.random.default_rng(0))


def test_a_strategy_pays_for_what_it_reads_alone() -> None:
    lists = Seen([0], unread=["population", "cost"])
    ages = Seen([0], unread=["listed", "refinable", "cost"])
    chance = Seen([0], unread=["listed", "refinable", "population", "cost"])
    for name, view in (("jozefowicz2015", lists), ("evolution", ages), ("random", chance)):
        strategy = replace(STRATEGY, name=name, refine=0)
        assert strategies.decide(strategy, view, one_of(20), np.random.default_rng(0)).kind == "propose"


def test_the_words_of_the_space_are_those_of_the_tables() -> None:
    assert choices(Strategy, "name") == tuple(STRATEGIES)
    assert choices(Strategy, "sampler") == ("chance", *SAMPLERS)
    assert set(choices(Strategy, "cost")) == set(MEASURES)
    assert {field.name for field in fields(Limits)} == {*MEASURES, "width"}


def test_a_row_of_the_table_is_all_that_a_strategy_needs() -> None:
    """The option, its help and its choices follow from the table; so do what refines and what inherits."""
    assert choices(Strategy, "name") == tuple(STRATEGIES)
    (name,) = (option for option in listed(Strategy) if option.name == "name")
    for word, way in STRATEGIES.items():
        assert f"{word}: {way.about}" in name.about
        assert (strategies.refining(Strategy(name=word, refine=0.5)) > 0) == way.refines
